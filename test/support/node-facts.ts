/** A node on which all is well, for checks that each spoil one thing. */
import { parseConfig } from '../../src/model/config.ts';
import { parseVmid } from '../../src/model/names.ts';
import type { NodeFacts, ProxmoxFacts } from '../../src/node/doctor/facts.ts';
import { managePrivileges, neededPrivileges } from '../../src/node/doctor/proxmox-checks.ts';
import { shippedFiles } from '../../src/node/doctor/shipped.ts';
import type { GuestHook } from '../../src/node/hooks/survey.ts';

export const healthyInterfaces = `auto lo
iface lo inet loopback

auto ovsbr0
iface ovsbr0 inet manual
\tovs_type OVSBridge
\tovs_ports enp1s0
\tovs-ports-condone-regex ^(tap|veth|fwln|vi[0-9_])

auto ovsbr1
iface ovsbr1 inet manual
\tovs_type OVSBridge
\tovs-ports-condone-regex ^(tap|veth|fwln|vi[0-9_])

# BEGIN ovs-port-agent

iface vi100 inet manual
\tovs_bridge ovsbr0
\tovs_type OVSPort
#ovs-port-agent: CT 100 net0 (veth100i0) web01

# END ovs-port-agent
`;

export const attached: GuestHook = {
  kind: 'lxc',
  vmid: parseVmid(100),
  isTemplate: false,
  lock: null,
  hookscript: 'local:snippets/ovs-port-agent',
  state: 'attached',
  other: null,
  problem: null,
  isPending: false,
  danglingSnapshots: [],
};

const healthyProxmox: ProxmoxFacts = {
  nodeName: 'pve1',
  quorate: true,
  hooks: [attached],
  hooksProblem: null,
  snippet: { kind: 'place', path: '/var/lib/vz/snippets/ovs-port-agent', state: 'current' },
  missingForOthers: [],
  guestBridges: [],
};

export const healthyNode: NodeFacts & { readonly proxmox: ProxmoxFacts } = {
  node: 'pve1',
  nowMs: Date.parse('2026-11-20T12:00:00Z'),
  config: { config: parseConfig({}).config, problem: null, warnings: [] },
  service: {
    unit: {
      loadState: 'loaded',
      unitFileState: 'enabled',
      activeState: 'active',
      fragmentPath: '/usr/lib/systemd/system/ovs-port-agent.service',
      needsReload: false,
    },
    hasName: true,
    status: { interfaces: 'in step', problems: [] },
  },
  switch: {
    problem: null,
    bridges: [
      {
        name: 'ovsbr0',
        ports: [
          { name: 'enp1s0', isOurs: false },
          { name: 'veth100i0', isOurs: true },
        ],
      },
      { name: 'ovsbr1', ports: [] },
    ],
  },
  interfaces: {
    path: '/etc/network/interfaces',
    text: healthyInterfaces,
    pending: null,
    problem: null,
    hasIfupdown2: true,
  },
  shipped: shippedFiles.map(({ path, source }) => ({ path, source, state: 'current' })),
  proxmox: healthyProxmox,
  api: {
    tokenFile: '/etc/ovs-port-agent/token',
    tokenMode: 0o600,
    privileges: [...neededPrivileges, ...managePrivileges],
    problem: null,
    rights: 'manage',
  },
  ledger: {
    path: '/var/lib/ovs-port-agent/ledger.jsonl',
    problem: null,
    unknown: null,
    lastBlockMs: Date.parse('2026-11-20T11:59:00Z'),
  },
  leftovers: [],
  disks: [{ path: '/var/lib/ovs-port-agent', freeBytes: 1e10, isReadOnly: false }],
  clockSynchronized: true,
};
