import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { parseVmid } from '../../src/model/names.ts';
import { runStates } from '../../src/proxmox/run-state.ts';

const header = 'Num       RefCount Protocol Flags    Type St Inode Path\n';
const socket = (path: string, flags = '00010000'): string =>
  `00000000988f38ed: 00000002 00000000 ${flags} 0001 01 6716061 ${path}\n`;
const container = { kind: 'lxc', vmid: parseVmid(100) } as const;
const machine = { kind: 'qemu', vmid: parseVmid(100) } as const;
const stateOf = (guest: typeof container | typeof machine, unixSockets: string, ...units: [string, string][]): string =>
  runStates({
    unixSockets,
    lxcDir: '/var/lib/lxc',
    units: units.map(([name, activeState]) => ({ name, activeState })),
  })(guest);

describe('a container', () => {
  const listening = header + socket('/run/x') + socket('@/var/lib/lxc/100/command');

  it('runs while LXC listens on its command socket, whatever its unit says', () => {
    assert.equal(stateOf(container, listening), 'running');
    assert.equal(stateOf(container, listening, ['pve-container@100.service', 'failed']), 'running');
  });

  it('is changing while its unit is active and nobody listens', () => {
    for (const unit of ['pve-container@100.service', 'pve-container-debug@100.service'])
      for (const state of ['active', 'activating', 'deactivating'])
        assert.equal(stateOf(container, header, [unit, state]), 'changing');
  });

  it('is stopped otherwise', () => {
    for (const state of ['inactive', 'failed'])
      assert.equal(stateOf(container, header, ['pve-container@100.service', state]), 'stopped');
    for (const path of [
      '@/var/lib/lxc/1000/command',
      '@/var/lib/lxc/100/monitor',
      '/var/lib/lxc/100/command',
      '@x/var/lib/lxc/100/command',
      '@/var/lib/lxc/100/command2',
    ])
      assert.equal(stateOf(container, header + socket(path)), 'stopped', path);
    assert.equal(
      stateOf(container, header + socket('@/var/lib/lxc/100/command', '00000000')),
      'stopped',
      'a client end',
    );
    assert.equal(stateOf(container, header, ['100.scope', 'active']), 'stopped', "a machine's scope");
  });

  it('is known by the socket as this kernel lists it', async () => {
    // No number of a guest: other tests, and a node, may have that one.
    const vmid = parseVmid(900_000_000 + (process.pid % 1_000_000));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen({ path: `\0/var/lib/lxc/${vmid}/command` }, resolve));
    try {
      // LXC gives its name's own length; Node.js fills the address up with NUL bytes, which are shown as @.
      const unixSockets = readFileSync('/proc/net/unix', 'latin1').replaceAll(/@+$/gm, '');
      const state = runStates({ unixSockets, lxcDir: '/var/lib/lxc', units: [] });
      assert.equal(state({ kind: 'lxc', vmid }), 'running');
    } finally {
      server.close();
    }
  });
});

describe('a machine', () => {
  it('runs while its scope is active or QEMU listens on its monitor', () => {
    assert.equal(stateOf(machine, header, ['100.scope', 'active']), 'running');
    for (const path of ['/var/run/qemu-server/100.qmp', '/run/qemu-server/100.qmp'])
      assert.equal(stateOf(machine, header + socket(path)), 'running');
    assert.equal(stateOf(machine, header, ['100.scope', 'failed']), 'stopped');
    assert.equal(stateOf(machine, header + socket('/run/qemu-server/100.vnc')), 'stopped');
    assert.equal(stateOf(machine, header + socket('@/var/lib/lxc/100/command')), 'stopped');
  });
});
