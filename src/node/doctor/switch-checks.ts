/** Open vSwitch, and what `/etc/network/interfaces` may do to it. */
import { agentPortsIn, condonesAgentPorts, readBridgeStanzas, uncondoned } from '../../interfaces/bridge-stanza.ts';
import type { BridgeStanza } from '../../interfaces/bridge-stanza.ts';
import { inspectManagedBlock, isAgentPortName, portNamesOf } from '../../interfaces/managed-block.ts';
import type { ForeignMention } from '../../interfaces/managed-block.ts';
import { parseGuestNetdev } from '../../model/guest.ts';
import { error, note, setUp, warning } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { NodeFacts } from './facts.ts';

export const switchChecks: readonly Check[] = [
  {
    id: 'switch',
    looksAt: 'whether Open vSwitch answers',
    run: ({ switch: { problem } }) =>
      problem === null
        ? []
        : [error(`${problem}: guests on its bridges have no network`, 'systemctl restart openvswitch-switch.service')],
  },
  { id: 'bridges', looksAt: 'the managed bridges, and those that guests name', run: checkBridges },
  {
    id: 'bridge-stanzas',
    looksAt: 'whether the managed bridges outlive a boot',
    run: (facts) => {
      const stanzas = stanzasOf(facts);
      if (stanzas === null) return null;
      const named = new Set(stanzas.map(({ name }) => name));
      return managedOnSwitch(facts)
        .filter(({ name }) => !named.has(name))
        .map(({ name }) =>
          warning(
            facts.proxmox === null
              ? `${name} has no stanza of type OVSBridge in ${facts.interfaces.path}: ifupdown does not make it`
              : `${name} has no stanza of type OVSBridge in ${facts.interfaces.path}: Proxmox VE deletes the switch's database at every boot, and this bridge with it`,
            `${setUp} --bridge ${name}`,
          ),
        );
    },
  },
  { id: 'condone', looksAt: 'whether an ifreload spares the ports of the managed bridges', run: checkCondone },
  {
    id: 'interfaces',
    looksAt: 'names of ours in interfaces where they do harm',
    run: (facts) => {
      const { text, pending, path, problem } = facts.interfaces;
      if (problem !== null) return [error(problem, `file ${path}`)];
      if (text === null) return null;
      return [...mentions(facts, text, path), ...(pending === null ? [] : mentions(facts, pending, `${path}.new`))];
    },
  },
  {
    id: 'managed-block',
    looksAt: 'the managed block in interfaces',
    run: ({ interfaces: { text, path }, config: { config } }) => {
      if (text === null) return null;
      const { begins, ends, own, isInOrder } = inspectManagedBlock(
        text,
        config.managed_block_tag,
        portNamesOf(config.naming_template),
      );
      const isWhole = own === 0 ? begins === 0 && ends === 0 : begins === 1 && ends === 1 && isInOrder;
      if (isWhole) return [];
      return [
        note(
          `${path} has ${own} entries of ours, ${begins} lines of beginning and ${ends} of end: somebody rewrote the block; the service gathers it`,
          'ovs-port-agent reconcile',
        ),
      ];
    },
  },
  {
    id: 'interfaces-new',
    looksAt: 'changes of interfaces that wait to be applied',
    run: ({ interfaces: { pending, path }, node }) =>
      pending === null
        ? []
        : [
            warning(
              `${path}.new has changes that nobody applied: both files are kept in step until somebody does`,
              `pvesh set /nodes/${node}/network`,
            ),
          ],
  },
  {
    id: 'ifupdown2',
    looksAt: 'whether ifupdown2 reads interfaces',
    run: ({ proxmox, interfaces: { text, hasIfupdown2 } }) =>
      proxmox === null || text === null || hasIfupdown2
        ? []
        : [warning('ifupdown2 is missing: the GUI cannot apply changes of the network', 'apt-get install ifupdown2')],
  },
  {
    id: 'foreign-ports',
    looksAt: 'ports of others that are named as ours are',
    run: (facts) =>
      managedOnSwitch(facts).flatMap(({ name: bridge, ports }) =>
        ports
          .filter(({ name, isOurs }) => !isOurs && isAgentPortName(name))
          .map(({ name }) =>
            warning(
              `the port ${name} on ${bridge} is not ours: the guest of that name gets its port late, or not at all`,
              `ovs-vsctl del-port ${bridge} ${name}`,
            ),
          ),
      ),
  },
];

function checkBridges(facts: NodeFacts): Finding[] {
  const { switch: observed, config, proxmox } = facts;
  if (observed.problem !== null) return [];
  const { bridges, bridge_name: main } = config.config;
  const present = new Set(observed.bridges.map(({ name }) => name));
  const users = new Map<string, number>();
  for (const { bridge, vmid } of proxmox?.guestBridges ?? []) if (!users.has(bridge)) users.set(bridge, vmid);
  return bridges.flatMap((name): Finding[] => {
    if (present.has(name)) return [];
    const remedy = `${setUp} --bridge ${name}`;
    const user = users.get(name);
    if (user !== undefined) return [error(`the bridge ${name} is missing, and guest ${user} is on it`, remedy)];
    return [
      name === main
        ? error(`the bridge ${name} (bridge_name) is missing`, remedy)
        : note(`the bridge ${name} does not exist; no guest of this node is on it`, remedy),
    ];
  });
}

function checkCondone(facts: NodeFacts): Finding[] | null {
  const stanzas = stanzasOf(facts);
  if (stanzas === null) return null;
  const managed = new Set<string>(facts.config.config.bridges);
  return stanzas
    .filter(({ name }) => managed.has(name))
    .flatMap((stanza): Finding[] => {
      const { name, condone } = stanza;
      const ports = facts.switch.bridges.find((bridge) => bridge.name === name)?.ports ?? [];
      const doomed = uncondoned(
        stanza,
        ports.map((port) => port.name),
      );
      const ours = doomed.filter(
        (port) => parseGuestNetdev(port) !== null || ports.some((row) => row.name === port && row.isOurs),
      );
      const findings: Finding[] = [];
      if (ours.length > 0) {
        findings.push(
          error(`the next ifreload deletes ${ours.join(', ')} from ${name}: neither in ovs_ports nor condoned`, setUp),
        );
      } else if (condone === null || !condonesAgentPorts(condone)) {
        const what = condone === null ? 'no ovs-ports-condone-regex' : `ovs-ports-condone-regex ${condone}`;
        findings.push(warning(`${name} has ${what}: an ifreload may delete ports of ours`, setUp));
      }
      const others = doomed.filter((port) => !ours.includes(port));
      if (others.length > 0) {
        findings.push(
          warning(
            `the next ifreload deletes ${others.join(', ')} from ${name}, which are not ours: neither in ovs_ports nor condoned`,
            `sensible-editor +${stanza.line} ${facts.interfaces.path}`,
          ),
        );
      }
      return findings;
    });
}

function mentions(facts: NodeFacts, text: string, path: string): Finding[] {
  const { config } = facts.config;
  const { foreign } = inspectManagedBlock(text, config.managed_block_tag, portNamesOf(config.naming_template));
  const inBridges = new Set(readBridgeStanzas(text).flatMap(agentPortsIn));
  return foreign.map((mention) => describeMention(mention, path, inBridges));
}

function describeMention({ name, line, kind }: ForeignMention, path: string, inBridges: ReadonlySet<string>): Finding {
  const withoutName = `sed -i '${line}s/[[:space:]]${name}\\([[:space:]]\\|$\\)/\\1/' ${path}`;
  switch (kind) {
    case 'iface':
      return warning(
        `${path}, line ${line}: a stanza ${name} that is not ours; the port of that name is not listed`,
        `sensible-editor +${line} ${path}`,
      );
    case 'auto':
      return error(
        `${path}, line ${line}: ${name} is brought up with the network: an ifreload takes away its VLAN, or the live port`,
        `sed -i '${line}{s/[[:space:]]${name}\\([[:space:]]\\|$\\)/\\1/;/^[[:space:]]*[a-z-]*[[:space:]]*$/d}' ${path}`,
      );
    case 'ovs_ports':
      return error(
        `${path}, line ${line}: ${name} is in ovs_ports: ${inBridges.has(name) ? 'every change of the network in the GUI fails' : 'that bridge takes it for its own'}`,
        withoutName,
      );
  }
}

function managedOnSwitch({ switch: { bridges }, config: { config } }: NodeFacts): NodeFacts['switch']['bridges'] {
  const managed = new Set<string>(config.bridges);
  return bridges.filter(({ name }) => managed.has(name));
}

/** null where nothing brings bridges up from that file. */
function stanzasOf({ interfaces: { text } }: NodeFacts): BridgeStanza[] | null {
  return text === null ? null : readBridgeStanzas(text);
}
