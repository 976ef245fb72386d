/** Each check of `doctor`: what spoils it, what it says, and a remedy that exists. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import fc from 'fast-check';
import { buildProgram } from '../../src/cli/program.ts';
import type { Environment } from '../../src/cli/environment.ts';
import { parseConfig } from '../../src/model/config.ts';
import { parseVmid } from '../../src/model/names.ts';
import type { Finding } from '../../src/node/doctor/check.ts';
import type { NodeFacts, ProxmoxFacts, ServiceFacts } from '../../src/node/doctor/facts.ts';
import { neededPrivileges } from '../../src/node/doctor/proxmox-checks.ts';
import { checks, examine } from '../../src/node/doctor/report.ts';
import type { GuestHook } from '../../src/node/hooks/survey.ts';
import { interfacesText } from '../support/interfaces-text.ts';
import { attached, healthyInterfaces, healthyNode } from '../support/node-facts.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

type Spoiled = Partial<NodeFacts>;

const proxmox = (changes: Partial<ProxmoxFacts>): Spoiled => ({ proxmox: { ...healthyNode.proxmox, ...changes } });
const hook = (changes: Partial<GuestHook>): Spoiled => proxmox({ hooks: [{ ...attached, ...changes }] });
const interfaces = (text: string | null, changes: Partial<NodeFacts['interfaces']> = {}): Spoiled => ({
  interfaces: { ...healthyNode.interfaces, text, ...changes },
});
const unit = (changes: Partial<NonNullable<ServiceFacts['unit']>>): Spoiled => ({
  service: { ...healthyNode.service, unit: { ...(healthyNode.service.unit ?? assert.fail()), ...changes } },
});
const service = (changes: Partial<ServiceFacts>): Spoiled => ({ service: { ...healthyNode.service, ...changes } });
const missingUnit = unit({ loadState: 'not-found', activeState: 'inactive' }).service ?? assert.fail();
const configured = (input: Record<string, unknown>): Spoiled => ({
  config: { ...healthyNode.config, config: parseConfig(input).config },
});
const onSwitch = (...names: string[]): Spoiled => ({
  switch: {
    problem: null,
    bridges: [{ name: 'ovsbr0', ports: names.map((name) => ({ name, isOurs: name.startsWith('vi_') })) }],
  },
});
const ledger = (changes: Partial<NodeFacts['ledger']>): Spoiled => ({ ledger: { ...healthyNode.ledger, ...changes } });
const api = (changes: Partial<NonNullable<NodeFacts['api']>>): Spoiled => ({
  api: { ...(healthyNode.api ?? assert.fail()), ...changes },
});
const shipped = (state: 'missing' | 'altered' | 'overridden'): Spoiled => ({
  shipped: healthyNode.shipped.map((file, index) => (index === 0 ? { ...file, state } : file)),
});
const disk = (freeBytes: number, isReadOnly = false): Spoiled => ({
  disks: [{ path: '/etc/network', freeBytes, isReadOnly }],
});
const uncondoned = healthyInterfaces.replace(/\tovs-ports-condone-regex .*\n/, '');

/** Check, severity, what is wrong, its words, its remedy. */
const rows: readonly (readonly [string, Finding['severity'], Spoiled, RegExp, RegExp])[] = [
  ['switch', 'error', { switch: { problem: 'no such socket', bridges: [] } }, /no such socket/, /restart openvswitch/],
  [
    'bridges',
    'error',
    { switch: { problem: null, bridges: [] } },
    /ovsbr0 \(bridge_name\) is missing/,
    /setup --bridge ovsbr0$/,
  ],
  [
    'bridges',
    'error',
    { ...onSwitch(), ...proxmox({ guestBridges: [{ bridge: 'ovsbr1', vmid: parseVmid(101), kind: 'lxc' }] }) },
    /ovsbr1 is missing, and guest 101 is on it/,
    /--bridge ovsbr1$/,
  ],
  ['bridges', 'note', onSwitch(), /ovsbr1 does not exist; no guest/, /--bridge ovsbr1$/],
  ['bridge-stanzas', 'warning', interfaces('auto lo\n'), /ovsbr0 has no stanza.*at every boot/, /--bridge ovsbr0$/],
  ['condone', 'warning', interfaces(uncondoned), /ovsbr0 has no ovs-ports-condone-regex/, /setup$/],
  [
    'condone',
    'warning',
    interfaces(healthyInterfaces.replace('|vi[0-9_])', ')')),
    /ovs-ports-condone-regex \^\(tap\|veth\|fwln\)/,
    /setup$/,
  ],
  [
    'condone',
    'error',
    { ...interfaces(uncondoned), ...onSwitch('enp1s0', 'vi_dummy0') },
    /deletes vi_dummy0 from ovsbr0/,
    /setup$/,
  ],
  ['condone', 'warning', onSwitch('enp1s0', 'own0'), /deletes own0 from ovsbr0, which are not ours/, /editor \+5 /],
  [
    'interfaces',
    'error',
    interfaces(healthyInterfaces.replace('enp1s0', 'enp1s0 vi100')),
    /line 7: vi100 is in ovs_ports: every change of the network in the GUI fails/,
    /^sed /,
  ],
  [
    'interfaces',
    'error',
    interfaces(`auto vi100\n${healthyInterfaces}`),
    /line 1: vi100 is brought up with the network/,
    /^sed /,
  ],
  [
    'interfaces',
    'warning',
    interfaces(healthyInterfaces.replace('# BEGIN', 'iface vi101 inet manual\n\n# BEGIN')),
    /a stanza vi101 that is not ours/,
    /editor/,
  ],
  [
    'interfaces',
    'error',
    interfaces(healthyInterfaces, { pending: 'auto vi100\n' }),
    /interfaces\.new, line 1/,
    /interfaces\.new$/,
  ],
  ['interfaces', 'error', interfaces(null, { problem: 'cannot read it: EIO' }), /EIO/, /^file /],
  [
    'managed-block',
    'note',
    interfaces(healthyInterfaces.replace('# END ovs-port-agent\n', '')),
    /1 entries of ours, 1 lines of beginning and 0 of end/,
    /reconcile$/,
  ],
  [
    'interfaces-new',
    'warning',
    interfaces('', { pending: '' }),
    /nobody applied/,
    /^pvesh set \/nodes\/pve1\/network$/,
  ],
  ['ifupdown2', 'warning', interfaces('', { hasIfupdown2: false }), /ifupdown2 is missing/, /install ifupdown2$/],
  ['foreign-ports', 'warning', onSwitch('vi100'), /port vi100 on ovsbr0 is not ours/, /del-port ovsbr0 vi100$/],
  [
    'config',
    'error',
    { config: { ...healthyNode.config, problem: 'config.toml:1:1: unknown key' } },
    /does not start with it: config\.toml:1:1/,
    /config\.toml$/,
  ],
  ['config', 'warning', { config: { ...healthyNode.config, warnings: ['enable_rename'] } }, /enable_rename/, /config/],
  ['naming-mode', 'warning', configured({ naming_mode: 'port' }), /`pct set -netN` on a running guest fails/, /^sed /],
  [
    'unit',
    'error',
    { service: { ...missingUnit, hasName: false } },
    /there is no ovs-port-agent\.service/,
    /install\.sh$/,
  ],
  ['unit', 'note', { service: missingUnit }, /runs, but there is no/, /install\.sh$/],
  ['unit', 'warning', unit({ loadState: 'masked', unitFileState: 'masked' }), /is masked/, /unmask/],
  ['unit', 'error', unit({ loadState: 'bad-setting' }), /cannot read .*bad-setting/, /systemctl cat/],
  ['unit', 'warning', unit({ needsReload: true }), /has changed/, /daemon-reload$/],
  ['unit', 'warning', unit({ unitFileState: 'disabled' }), /is disabled/, /setup$/],
  ['unit', 'error', unit({ activeState: 'failed' }), /has failed/, /^journalctl /],
  ['unit', 'warning', unit({ activeState: 'inactive' }), /does not run/, /systemctl start/],
  ['bus', 'error', service({ hasName: null }), /bus cannot be asked/, /dbus\.service$/],
  ['bus', 'error', service({ hasName: false }), /active, but has no name/, /restart ovs-port-agent/],
  ['service', 'warning', service({ status: { interfaces: '', problems: ['vi100: odd'] } }), /^vi100: odd$/, /status$/],
  ['ledger', 'error', ledger({ problem: 'block 3 at byte 9: hash' }), /was altered: block 3/, /ledger verify \/var/],
  ['ledger', 'warning', ledger({ unknown: 'EACCES' }), /could not be verified: EACCES/, /^ls /],
  ['disk', 'error', disk(1e6), /0 MiB left/, /^df /],
  ['disk', 'warning', disk(1e8), /95 MiB left/, /^df /],
  ['disk', 'error', disk(1e10, true), /takes no writes/, /^findmnt /],
  ['clock', 'warning', { clockSynchronized: false }, /follows no other/, /^timedatectl /],
  ['clock', 'error', ledger({ lastBlockMs: healthyNode.nowMs + 60_000 }), /yet to come/, /^timedatectl/],
  ['drop-ins', 'warning', shipped('missing'), /is missing/, /setup$/],
  ['drop-ins', 'warning', shipped('altered'), /not as the package brought it/, /setup$/],
  ['drop-ins', 'note', shipped('overridden'), /^\/etc\/systemd\/system\/pve-container@/, /^rm \/etc\/systemd/],
  ['older-tool', 'error', { leftovers: ['/usr/local/bin/ovs-port-agent'] }, /shadows or fights/, /setup$/],
  ['older-tool', 'note', { leftovers: ['/etc/op-dbus/state.json'] }, /nothing reads it/, /setup$/],
  [
    'node-name',
    'error',
    proxmox({ nodeName: 'pve9' }),
    /called pve1, its node in the cluster pve9/,
    /set-hostname pve9$/,
  ],
  ['quorum', 'warning', proxmox({ quorate: false }), /no quorum/, /^pvecm status$/],
  [
    'snippet',
    'warning',
    proxmox({
      snippet: { kind: 'none', problem: 'no storage allows snippets', remedy: 'pvesm set local --content x' },
    }),
    /no guest can get/,
    /^pvesm set local/,
  ],
  [
    'snippet',
    'warning',
    proxmox({ snippet: { kind: 'place', path: '/x/s', state: 'missing' } }),
    /not exist/,
    /setup$/,
  ],
  [
    'snippet',
    'warning',
    proxmox({ snippet: { kind: 'place', path: '/x/s', state: 'outdated' } }),
    /is a link/,
    /setup$/,
  ],
  ['snippet', 'warning', proxmox({ snippet: { kind: 'place', path: '/x/s', state: 'foreign' } }), /not ours/, /^mv /],
  [
    'hookscripts',
    'error',
    hook({ state: 'dangling', problem: '/x does not exist' }),
    /CT 100 does not start: .*\/x does not exist/,
    /hook attach 100$/,
  ],
  [
    'hookscripts',
    'error',
    hook({ state: 'dangling', kind: 'qemu', other: 'local:snippets/x', problem: 'gone' }),
    /VM 100 does not start/,
    /^qm set 100 --delete hookscript$/,
  ],
  ['hookscripts', 'note', hook({ state: 'none', hookscript: null }), /guest 100: no hookscript/, /hook attach --all$/],
  ['hookscripts', 'note', hook({ state: 'other', hookscript: 'local:snippets/x' }), /another one alone/, /hook attach/],
  [
    'hookscripts',
    'warning',
    hook({ danglingSnapshots: [['s1', 'gone']] }),
    /rollback to s1: gone/,
    /listsnapshot 100$/,
  ],
  ['hookscripts', 'warning', proxmox({ hooksProblem: 'EIO' }), /cannot be looked at: EIO/, /^pvecm/],
  [
    'hookscripts-elsewhere',
    'warning',
    proxmox({ missingForOthers: [{ volume: 'local:snippets/ovs-port-agent+x', path: '/x' }] }),
    /guest of another node names local:snippets\/ovs-port-agent\+x/,
    /setup$/,
  ],
  ['api', 'error', api({ tokenMode: null }), /does not exist/, /setup --api manage$/],
  ['api', 'error', api({ tokenMode: null, privileges: null, rights: null }), /does not exist/, /setup --api$/],
  ['api', 'error', api({ tokenMode: 0o644 }), /read by others/, /^chmod 600 /],
  ['api', 'warning', api({ problem: '401' }), /does not answer: 401/, /pveproxy/],
  ['api', 'warning', api({ privileges: neededPrivileges }), /everything that it is for: VM\.Config\.Network, SDN\.Use, VM\.Allocate, .* is missing/, /setup --api manage$/], // prettier-ignore
  ['api', 'warning', api({ privileges: ['VM.Audit', 'SDN.Use'], rights: 'control' }), /VM\.PowerMgmt, VM\.Config\.Network, VM\.Allocate/, /setup --api manage$/], // prettier-ignore
  ['api', 'note', api({ privileges: neededPrivileges, rights: null }), /neither change network cards/, /setup --api manage$/], // prettier-ignore
];

function findingsOf(spoiled: Spoiled, id: string): readonly Finding[] {
  const report = examine({ ...healthyNode, ...spoiled });
  return report.checks.find((check) => check.id === id)?.findings ?? assert.fail(`there is no check ${id}`);
}

describe('doctor', () => {
  it('finds nothing on a node on which all is well', () => {
    const report = examine(healthyNode);
    assert.deepEqual(
      report.checks.filter(({ findings }) => findings.length > 0),
      [],
    );
    assert.deepEqual([report.errors, report.warnings, report.notes], [0, 0, 0]);
  });

  it('finds nothing wrong on a host without Proxmox VE, systemd and interfaces', () => {
    const service: ServiceFacts = { unit: null, hasName: true, status: null };
    const report = examine({ ...healthyNode, ...interfaces(null), service, proxmox: null, api: null });
    assert.deepEqual([report.errors, report.warnings, report.notes], [0, 0, 0]);
    assert.ok(report.checks.filter(({ result }) => result === 'skipped').length > 5);
  });

  for (const [id, severity, spoiled, words, remedy] of rows) {
    it(`${id} tells of ${severity === 'error' ? 'an' : 'a'} ${severity}: ${words.source}`, () => {
      const finding = findingsOf(spoiled, id).find((candidate) => words.test(candidate.message));
      assert.ok(finding !== undefined, JSON.stringify(findingsOf(spoiled, id)));
      assert.equal(finding.severity, severity);
      assert.match(finding.remedy, remedy);
    });
  }

  it('has a row above for every check', () => {
    const tried = new Set(rows.map(([id]) => id));
    assert.deepEqual(
      checks.map(({ id }) => id).filter((id) => !tried.has(id)),
      [],
    );
  });

  it('gives remedies that are commands of ours, of Debian or of Proxmox VE', () => {
    const own = buildProgram({ version: '' } as Environment, () => undefined).commands;
    const others =
      /^(sensible-editor|sed|systemctl|journalctl|pct|qm|pvesh|pvesm|pvecm|ovs-vsctl|apt-get|chmod|mv|rm|ls|df|findmnt|file|timedatectl|hostnamectl|scripts\/install\.sh)( |$)/;
    for (const [id, , spoiled] of rows) {
      for (const { remedy } of findingsOf(spoiled, id)) {
        const words = remedy.split(' ');
        if (words[0] !== 'ovs-port-agent') assert.match(remedy, others);
        else assert.ok(own.some((command) => command.name() === words[1]) || words[1] === 'setup', remedy);
      }
    }
  });

  it('says why hookscripts of another kind than ours are left to people', () => {
    assert.deepEqual(findingsOf(hook({ state: 'none', hookscript: null, isTemplate: true }), 'hookscripts'), []);
    const many = Array.from({ length: 12 }, (_, index): GuestHook => {
      return { ...attached, vmid: parseVmid(200 + index), state: 'none', hookscript: null };
    });
    const [finding] = findingsOf(proxmox({ hooks: [...many, attached] }), 'hookscripts');
    assert.match(finding?.message ?? '', /^guests 200, .*, 209 and 2 more: /);
  });

  describe('remedies that edit interfaces', () => {
    const folder = temporaryFolder();

    it('take the name out of its line, and nothing else', () => {
      const path = join(folder(), 'interfaces');
      const cases: readonly (readonly [string, string])[] = [
        ['\tovs_ports enp1s0 vi100\n', '\tovs_ports enp1s0\n'],
        ['\tovs_ports vi100 enp1s0\n', '\tovs_ports enp1s0\n'],
        ['\tovs_ports enp1s0 vi100 vi100i1 bond0\n', '\tovs_ports enp1s0 bond0\n'],
      ];
      const bridge = 'iface ovsbr0 inet manual\n\tovs_type OVSBridge\n';
      for (const [line, wanted] of cases) assert.equal(mended(path, bridge + line), bridge + wanted);
      assert.equal(mended(path, 'auto vi100\nauto lo\n'), 'auto lo\n');
      assert.equal(mended(path, 'auto lo vi100\n'), 'auto lo\n');
      assert.equal(mended(path, 'allow-ovsbr0 vi100 eth0\n'), 'allow-ovsbr0 eth0\n');
    });

    function mended(path: string, text: string): string {
      writeFileSync(path, text);
      for (let time = 0; time < 5; time++) {
        const now = readFileSync(path, 'utf8');
        const [finding] = findingsOf(interfaces(now, { path }), 'interfaces');
        if (finding === undefined) break;
        execaSync('/bin/sh', ['-c', finding.remedy]);
      }
      return readFileSync(path, 'utf8');
    }
  });

  it('answers for every text of interfaces', () => {
    fc.assert(
      fc.property(interfacesText(), fc.option(interfacesText()), (text, pending) => {
        const report = examine({ ...healthyNode, ...interfaces(text, { pending }) });
        const found = report.checks.flatMap(({ findings }) => findings);
        assert.equal(found.length, report.errors + report.warnings + report.notes);
        for (const { message, remedy } of found) assert.ok(message !== '' && remedy !== '');
      }),
    );
  });
});
