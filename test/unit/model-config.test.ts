import assert from 'node:assert/strict';
import { ConfigError, configKeys, parseConfig } from '../../src/model/config.ts';

const defaults = {
  bridge_name: 'ovsbr0',
  container_bridge: 'ovsbr1',
  bridges: ['ovsbr0', 'ovsbr1'],
  ovsdb: 'unix:/var/run/openvswitch/db.sock',
  ovsdb_leader_only: false,
  interfaces_path: '/etc/network/interfaces',
  managed_block_tag: 'ovs-port-agent',
  pve_dir: '/etc/pve',
  lock_dir: '/run/lock',
  lxc_dir: '/var/lib/lxc',
  drift: 'repair',
  state_dir: '/var/lib/ovs-port-agent',
  ledger_path: '/var/lib/ovs-port-agent/ledger.jsonl',
  debounce_ms: 500,
  auto_attach: false,
  naming_template: 'vi_{container}',
  naming_mode: 'auto',
  enable_rename: false,
  include_prefixes: [],
  log_level: 'info',
  ledger: { checkpoint_blocks: 1000, checkpoint_seconds: 60, segment_megabytes: 256, witness_seconds: 600 },
  sources: { switch: true, links: true, units: true, cluster: true, timer_seconds: 60 },
  policy: [],
};
/** Keys that are tables of their own. */
const tables = ['ledger', 'sources', 'proxmox'];

describe('the configuration', () => {
  it('has a default for everything', () => {
    const { config, warnings } = parseConfig({});
    assert.deepEqual({ ...config }, defaults);
    assert.deepEqual(warnings, []);
  });

  it('takes every key, and each replaces only its own default', () => {
    const values = {
      auto_attach: true,
      bridge_name: 'vmbr0',
      container_bridge: 'vmbr1',
      bridges: ['vmbr0', 'vmbr1', 'vmbr2'],
      ovsdb: 'ssl:db1:6640,ssl:[::1]:6640, tcp:10.0.0.1,unix:/run/ovs/db.sock',
      ovsdb_key: '/tmp/key.pem',
      ovsdb_certificate: '/tmp/certificate.pem',
      ovsdb_ca: '/tmp/ca.pem',
      ovsdb_leader_only: true,
      interfaces_path: '/tmp/interfaces',
      managed_block_tag: 'nm-monitor',
      pve_dir: '/tmp/pve',
      lock_dir: '/tmp/lock',
      lxc_dir: '/tmp/lxc',
      drift: 'report',
      state_dir: '/tmp/state',
      ledger_path: '/tmp/ledger.jsonl',
      bus: 'unix:path=/tmp/bus',
      debounce_ms: 0,
      naming_template: 'p{index}_{container}',
      naming_mode: 'port',
      enable_rename: false,
      include_prefixes: ['veth', 'tap'],
      container_name_cmd: 'lxc-name {ifname}',
      log_level: 'debug',
      ledger: {
        checkpoint_blocks: 5,
        checkpoint_seconds: 7,
        segment_megabytes: 9,
        witness_dir: '/tmp/witnesses',
        witness_seconds: 9,
      },
      sources: { switch: false, links: false, units: false, cluster: false, timer_seconds: 1 },
      policy: [],
      proxmox: { url: 'https://[::1]:8006', token_file: '/tmp/token', ca: '/tmp/ca.pem' },
    };
    assert.deepEqual(
      configKeys()
        .map(({ key }) => key)
        .sort(),
      Object.entries(values)
        .flatMap(([key, value]) => dotted(key, value))
        // It excludes `ca`.
        .concat('proxmox.fingerprint')
        .sort(),
      'this test knows every key',
    );
    for (const [key, value] of Object.entries(values)) {
      const { config } = parseConfig({ [key]: value });
      assert.deepEqual((config as Record<string, unknown>)[key], value, key);
    }
    assert.deepEqual({ ...parseConfig(values).config }, values);
  });

  it('manages bridge_name and container_bridge unless bridges says otherwise, each once', () => {
    assert.deepEqual(parseConfig({ bridge_name: 'a', container_bridge: 'b' }).config.bridges, ['a', 'b']);
    assert.deepEqual(parseConfig({ bridge_name: 'a', container_bridge: 'a' }).config.bridges, ['a']);
    assert.deepEqual(parseConfig({ bridge_name: 'a', bridges: ['c'] }).config.bridges, ['c']);
  });

  it('keeps the ledger in the state folder unless ledger_path says otherwise', () => {
    assert.equal(parseConfig({ state_dir: '/srv/x' }).config.ledger_path, '/srv/x/ledger.jsonl');
    assert.equal(parseConfig({ state_dir: '/srv/x', ledger_path: '/l' }).config.ledger_path, '/l');
  });

  it('reaches the Proxmox API only where a section says how, by default on this host', () => {
    assert.equal(parseConfig({}).config.proxmox, undefined);
    assert.deepEqual(parseConfig({ proxmox: { token_file: '/t' } }).config.proxmox, {
      url: 'https://localhost:8006',
      token_file: '/t',
    });
    for (const url of ['https://pve1', 'https://[::1]:8006/', 'https://pve1.example:443']) {
      assert.equal(parseConfig({ proxmox: { token_file: '/t', url } }).config.proxmox?.url, url);
    }
    const fingerprint = Array.from({ length: 32 }, () => 'aB').join(':');
    assert.equal(parseConfig({ proxmox: { token_file: '/t', fingerprint } }).config.proxmox?.fingerprint, fingerprint);
    assert.deepEqual(
      configKeys().flatMap(({ key }) => (key.startsWith('proxmox.') ? [key] : [])),
      ['proxmox.url', 'proxmox.token_file', 'proxmox.ca', 'proxmox.fingerprint'],
    );
  });

  it('warns of older keys that mean something else now, and of nothing else', () => {
    const warned = parseConfig({ enable_rename: true, include_prefixes: ['ve'], container_name_cmd: 'x' }).warnings;
    assert.deepEqual(
      warned.map((warning) => warning.split(' ')[0]),
      ['enable_rename'],
    );
    assert.match(warned[0]!, /naming_mode = "auto"/);
    assert.deepEqual(parseConfig({ enable_rename: false }).warnings, []);
  });

  it('may rename devices where there is no Proxmox VE, which is what enable_rename means there', () => {
    const modeOf = (input: object, isProxmox: boolean): string[] => {
      const { config, warnings } = parseConfig(input, (pveDir) => pveDir === '/etc/pve' && isProxmox);
      return [config.naming_mode, ...warnings.map((warning) => warning.split(' ')[0] ?? '')];
    };
    assert.deepEqual(modeOf({ naming_mode: 'rename' }, false), ['rename']);
    assert.deepEqual(modeOf({ enable_rename: true }, false), ['rename']);
    assert.deepEqual(modeOf({ enable_rename: true, naming_mode: 'alias' }, false), ['alias']);
    assert.deepEqual(modeOf({ enable_rename: true }, true), ['auto', 'enable_rename']);
    assert.deepEqual(modeOf({ naming_mode: 'rename', pve_dir: '/none' }, true), ['rename']);
    assert.deepEqual(modeOf({}, false), ['auto']);
  });

  for (const [key, value, said] of [
    ['bridge_name', 5, 'expected string'],
    ['bridge_name', '', 'bridge name "" is not valid'],
    ['bridge_name', 'a/b', 'bridge name "a/b" is not valid'],
    ['bridge_name', 'sixteen_bytes_xx', 'is not valid'],
    ['bridges', 'ovsbr0', 'expected array'],
    ['bridges', [], '>=1'],
    ['bridges.1', ['ovsbr0', 'o vs'], 'bridge name "o vs" is not valid'],
    ['ovsdb', 'udp:127.0.0.1:6640', 'expected "unix:" and an absolute path'],
    ['ovsdb', 'unix:/run/db.sock,', 'expected "unix:" and an absolute path'],
    ['ovsdb', 'xunix:/run/db.sock', 'expected "unix:" and an absolute path'],
    ['ovsdb', 'tcp:127.0.0.1:6640x', 'expected "unix:" and an absolute path'],
    ['include_prefixes.0', ['-ve'], 'expected the beginning of a device name'],
    ['include_prefixes.0', ['ve*'], 'expected the beginning of a device name'],
    ['include_prefixes.0', ['sixteen_bytes_xx'], 'expected the beginning of a device name'],
    ['ovsdb', 'tcp:::1:6640', 'expected "unix:" and an absolute path'],
    ['ovsdb_key', 'key.pem', 'expected an absolute path'],
    ['ovsdb', 'unix:relative', 'expected "unix:" and an absolute path'],
    ['interfaces_path', 'interfaces', 'expected an absolute path'],
    ['state_dir', '', 'expected an absolute path'],
    ['managed_block_tag', 'two\nlines', 'expected 1 to 64 letters'],
    ['managed_block_tag', '', 'expected 1 to 64 letters'],
    ['bus', '', '>=1'],
    ['debounce_ms', -1, '>=0'],
    ['debounce_ms', 60_001, '<=60000'],
    ['debounce_ms', 1.5, 'expected int'],
    ['debounce_ms', '500', 'expected number'],
    ['naming_template', '{contianer}', 'expected letters'],
    ['naming_template', 'vi {container}', 'expected letters'],
    ['naming_template', '', 'expected letters'],
    ['naming_mode', 'netdev', '"auto"|"alias"|"port"|"rename"'],
    ['naming_mode', 'rename', '"rename" is for hosts without Proxmox VE, which would lose its devices'],
    ['lock_dir', 'run/lock', 'expected an absolute path'],
    ['policy', { match: {} }, 'expected array'],
    ['policy.0.match', [{ bridge: 'ovsbr1' }], 'expected object'],
    ['policy.0.mach', [{ match: {}, mach: {} }], 'did you mean match?'],
    ['policy.1.match.vmdi', [{ match: {} }, { match: { vmdi: 100 } }], 'did you mean vmid?'],
    ['policy.0.match.kind', [{ match: { kind: 'ct' } }], '"lxc"|"qemu"|"device"'],
    ['policy.0.match.name', [{ match: { name: '' } }], '>=1'],
    ['policy.0.match.tag', [{ match: { tag: 7 } }], 'expected string'],
    ['policy.0.match.bridge', [{ match: { bridge: 'o vs' } }], 'bridge name "o vs" is not valid'],
    ['policy.0.match.bridge', [{ match: { bridge: 'ovsbr7' } }], 'not a managed bridge; those are ovsbr0, ovsbr1'],
    ['policy.0.bridge', [{ match: {}, bridge: 'ovsbr7' }], 'not a managed bridge'],
    ['policy.0.tag', [{ match: {}, tag: 4095 }], 'VLAN tag "4095" is not valid'],
    ['policy.0.trunks.1', [{ match: {}, trunks: [1, 0] }], 'VLAN tag "0" is not valid'],
    ['policy.0.mirror_to', [{ match: {}, mirror_to: 'vi 900' }], 'port name "vi 900" is not valid'],
    ...[true, 99, 200.5, '', '99-200', '200-', '-299', '299-200', '200-250-299', '200..299', '0200', ' 200', '1e3'].map(
      (vmid) => ['policy.0.match.vmid', [{ match: { vmid } }], 'expected a'] as const,
    ),
    ['lxc_dir', 'lib/lxc', 'expected an absolute path'],
    ['drift', 'ignore', '"repair"|"report"'],
    ['enable_rename', 'yes', 'expected boolean'],
    ['log_level', 'verbose', '"warning"'],
    ['proxmox', 'https://localhost:8006', 'expected object'],
    ['proxmox.token_file', {}, 'expected string'],
    ['proxmox.token_file', { token_file: 'token' }, 'expected an absolute path'],
    ['proxmox.url', { token_file: '/t', url: 'http://localhost:8006' }, 'expected https://HOST:8006'],
    ['proxmox.url', { token_file: '/t', url: 'https://u:p@localhost' }, 'expected https://HOST:8006'],
    ['proxmox.url', { token_file: '/t', url: 'https://localhost/api2' }, 'expected https://HOST:8006'],
    ['proxmox.url', { token_file: '/t', url: 'x https://localhost' }, 'expected https://HOST:8006'],
    ['proxmox.fingerprint', { token_file: '/t', fingerprint: `AA:${Array.from({ length: 32 }, () => '00').join(':')}` }, 'expected a SHA-256'], // prettier-ignore
    ['proxmox.tokenfile', { token_file: '/t', tokenfile: '/t' }, 'unknown key; did you mean token_file?'],
    ['proxmox.fingerprint', { token_file: '/t', fingerprint: 'AA:BB' }, 'expected a SHA-256'],
    ['proxmox', { token_file: '/t', ca: '/c', fingerprint: Array.from({ length: 32 }, () => '00').join(':') }, 'exclude each other'], // prettier-ignore
  ] as const) {
    it(`refuses ${key} = ${JSON.stringify(value)} and says what it expected`, () => {
      const top = key.split('.')[0]!;
      assert.throws(
        () => parseConfig({ [top]: value }),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError);
          assert.equal(error.code, 'InvalidArgument');
          assert.deepEqual(
            error.issues.map((issue) => issue.key),
            [key],
          );
          assert.ok(error.issues[0]!.message.includes(said), error.issues[0]!.message);
          return true;
        },
      );
    });
  }

  it('names everything that is wrong at once, and takes nothing of a file with one mistake', () => {
    assert.throws(
      () => parseConfig({ brigde_name: 'x', debounce_ms: 'soon', log_level: 'info', colour: 1 }),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(
          new Map(error.issues.map(({ key, message }) => [key, message.split(';')[1]?.trim() ?? null])),
          new Map([
            ['debounce_ms', null],
            ['brigde_name', 'did you mean bridge_name?'],
            ['colour', null],
          ]),
        );
        return true;
      },
    );
  });

  it('takes policies in their order, with everything they do not say as null', () => {
    const { policy } = parseConfig({
      policy: [
        {
          match: { kind: 'lxc', tag: 'netmaker', vmid: '200-299', name: 'web-*', pool: 'dmz', bridge: 'ovsbr0' },
          bridge: 'ovsbr1',
          tag: 30,
          trunks: [41, 40, 41],
          mirror_to: 'vi900',
        },
        { match: { vmid: 100 } },
        { match: {}, mirror_to: 'mon0' },
      ],
    }).config;
    const anything = { kind: null, tag: null, vmid: null, name: null, pool: null, bridge: null };
    assert.deepEqual(policy, [
      {
        match: {
          kind: 'lxc',
          tag: 'netmaker',
          vmid: { first: 200, last: 299 },
          name: 'web-*',
          pool: 'dmz',
          bridge: 'ovsbr0',
        },
        bridge: 'ovsbr1',
        tag: 30,
        trunks: [40, 41],
        mirrorTo: 'vi900',
      },
      { match: { ...anything, vmid: { first: 100, last: 100 } }, bridge: null, tag: null, trunks: [], mirrorTo: null },
      { match: anything, bridge: null, tag: null, trunks: [], mirrorTo: 'mon0' },
    ]);
  });

  it('is refused when it is no table at all', () => {
    for (const input of [null, [], 'text', 5]) assert.throws(() => parseConfig(input), ConfigError);
  });

  it('describes every key in words, with its default, for the documents', () => {
    for (const { key, description } of configKeys()) assert.ok(description.length > 5, `${key} has no description`);
    const shown = new Map(configKeys().map(({ key, defaultValue }) => [key, defaultValue]));
    for (const [key, value] of Object.entries(defaults)) {
      if (key === 'bridges' || key === 'ledger_path') continue;
      if (!tables.includes(key)) assert.deepEqual(shown.get(key), value, key);
      else for (const [name, of] of Object.entries(value)) assert.deepEqual(shown.get(`${key}.${name}`), of, name);
    }
  });
});

/** The keys of a table as the documents name them. */
function dotted(key: string, value: unknown): string[] {
  return tables.includes(key) ? Object.keys(value as object).map((name) => `${key}.${name}`) : [key];
}
