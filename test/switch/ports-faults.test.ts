import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { ovsdbDialer } from '../../src/platform/ovsdb-socket.ts';
import { parseVmid } from '../../src/model/names.ts';
import { blocksLost } from '../../src/ports/in-doubt.ts';
import { SwitchView } from '../../src/ports/switch-view.ts';
import { CuttingDial } from '../support/cutting-dial.ts';
import { engineOnSwitch } from '../support/engine-on-switch.ts';
import type { EngineOnSwitch } from '../support/engine-on-switch.ts';
import { cause, guestOf } from '../support/ports-fixtures.ts';
import { hastyTimers } from '../support/hasty-timers.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { waitFor } from '../support/wait-for.ts';

interface Schema {
  readonly tables: Readonly<Record<string, { readonly columns: Record<string, unknown> }>>;
}

/** The switch has just the rows of these guests, each once, and every change in the ledger is there or said to have failed. */
describe('a fault of the switch under the port engine', function () {
  this.timeout(60_000);
  let ovs: PrivateSwitch;
  let world: EngineOnSwitch;
  let line: CuttingDial;
  let next = 100;

  const rows = async (): Promise<string[]> =>
    (await ovs.vsctl('list-ports', 'ovsbr0')).split('\n').filter(Boolean).sort();
  /** A guest whose device is there and that nobody has plugged. */
  function newGuest(): { vmid: ReturnType<typeof parseVmid>; row: string } {
    const vmid = parseVmid(next++);
    world.configure(guestOf(vmid, [{ tag: 10 }]));
    world.links.add(`veth${vmid}i0`);
    return { vmid, row: `veth${vmid}i0` };
  }
  const start = (vmid: ReturnType<typeof parseVmid>): Promise<string> =>
    world.engine.notifyLifecycle(vmid, 'post-start', cause);
  /** Blocks of attached ports whose change the ledger does not say has failed. */
  async function attachedByLedger(): Promise<string[]> {
    const blocks = await world.ledger.query({ category: 'port', order: 'oldest', limit: 10_000 });
    const failed = new Set(blocks.flatMap(({ action, data }) => (action === 'failed' ? [data['height']] : [])));
    const view = new SwitchView(() => world.client.replica);
    view.apply(
      (['Bridge', 'Port', 'Interface'] as const).flatMap((table) =>
        [...world.client.replica.table(table)].map(([uuid, row]) => ({ table, uuid, kind: 'insert', row }) as never),
      ),
    );
    const attaches = blocks.filter(({ action }) => action === 'attach');
    for (const block of attaches) {
      assert.equal(
        blocksLost([block], view).length === 0,
        !failed.has(block.height),
        `block ${block.height} of ${JSON.stringify(block.data)}`,
      );
    }
    return attaches.flatMap(({ height, data }) => (failed.has(height) ? [] : [data['netdev'] as string])).sort();
  }
  async function convergesTo(...expected: string[]): Promise<void> {
    await waitFor(`rows ${expected.join()}`, async () => (await rows()).join() === expected.sort().join(), 15_000);
    await world.engine.switchReady(5000);
    assert.deepEqual(await attachedByLedger(), expected);
  }

  beforeEach(async () => {
    ovs = await startPrivateSwitch();
    await ovs.vsctl('add-br', 'ovsbr0');
    line = new CuttingDial(ovsdbDialer(ovs.endpoint));
    world = await engineOnSwitch(ovs.endpoint, { dial: line.dial, timers: hastyTimers(8) });
    await world.engine.start();
  });
  afterEach(async () => {
    await world.close();
    await ovs.stop();
  });

  for (const direction of ['sent', 'received'] as const) {
    it(`a line that breaks at any byte ${direction} for a change leaves it made once, or failed and made again`, async () => {
      const all: string[] = [];
      line.count();
      const first = newGuest();
      all.push(first.row);
      await start(first.vmid);
      const { [direction]: bytes } = line.passed;
      assert.ok(bytes > 300, `${bytes}`);
      const cuts = [
        0,
        1,
        2,
        ...Array.from({ length: 12 }, (_, n) => Math.floor(((n + 1) * bytes) / 14)),
        bytes - 2,
        bytes - 1,
        bytes,
      ];
      for (const cut of cuts) {
        const { vmid, row } = newGuest();
        all.push(row);
        line.cutAfter(direction, cut);
        await start(vmid);
        await start(vmid);
        await waitFor(`${row} after a cut at ${cut}`, async () => (await rows()).includes(row), 10_000);
        line.cutAfter(direction, Infinity);
      }
      await convergesTo(...all);
      assert.ok(line.cuts >= cuts.length - 1, `${line.cuts} cuts`);
    });
  }

  for (const [what, arrange] of [
    // Nothing that is sent from now on is read.
    [
      'before it read the change',
      () => {
        ovs.signalServer('SIGSTOP');
      },
    ],
    // The answer is lost on the way.
    [
      'after it made the change',
      () => {
        line.cutAfter('received', 0);
      },
    ],
  ] as const) {
    it(`a server that is killed ${what} and comes back`, async () => {
      const { vmid, row } = newGuest();
      arrange();
      const answer = start(vmid);
      await waitFor('the request', () => line.passed.sent > 0);
      await answer;
      await ovs.killServer('SIGKILL');
      await ovs.startServer();
      await convergesTo(row);
    });
  }

  it('a server that stands still answers the hook in time, and what it does when it goes on is in the ledger', async () => {
    const { vmid, row } = newGuest();
    ovs.signalServer('SIGSTOP');
    const begun = performance.now();
    const answer = await start(vmid);
    assert.ok(performance.now() - begun < 1500);
    assert.match(answer, /ovs-port-agent tries again by itself$/);
    // Longer than the deadline of a transaction.
    await waitFor('the end of the first try', async () => (await world.ledger.query({ category: 'port' })).length > 0);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    ovs.signalServer('SIGCONT');
    await convergesTo(row);
  });

  it('frames whose bytes are whole multiples of 4,096 arrive whole, one after the other', async () => {
    for (const pages of [1, 2, 4, 16]) {
      line.count();
      await world.client.transact([{ op: 'comment', comment: '' }]);
      const { sent } = line.passed;
      for (const more of [-1, 0, 1]) {
        const size = pages * 4096 + more;
        line.count();
        await world.client.transact([{ op: 'comment', comment: 'x'.repeat(size - sent) }]);
        assert.ok(Math.abs(line.passed.sent - size) <= 1, 'only the digits of the id may differ');
      }
    }
    const { vmid, row } = newGuest();
    await start(vmid);
    await convergesTo(row);
  });

  it('ovs-vswitchd that stands still: the port is committed, the hook is told, and it is applied when it goes on', async () => {
    const { vmid, row } = newGuest();
    ovs.signalVswitchd('SIGSTOP');
    assert.match(
      await start(vmid),
      /^CT \d+: net0 is vi\d+ on ovsbr0, tag 10; committed, but ovs-vswitchd did not apply it/,
    );
    ovs.signalVswitchd('SIGCONT');
    await convergesTo(row);
    await waitFor('its number', async () => Number(await ovs.vsctl('get', 'interface', row, 'ofport')) > 0);
  });

  it('somebody else who writes the same columns in a loop is overwritten in the end, and each time in words', async () => {
    const { vmid, row } = newGuest();
    await start(vmid);
    let writes = 0;
    for (const end = performance.now() + 3000; performance.now() < end; writes++) {
      await ovs.vsctl('--no-wait', 'set', 'port', row, `tag=${100 + (writes % 50)}`);
    }
    await waitFor('tag 10', async () => (await ovs.vsctl('get', 'port', row, 'tag')) === '10', 5000);
    const drift = await world.ledger.query({ category: 'drift', limit: 1000 });
    assert.ok(drift.length > 0 && drift.length < writes + 10, `${drift.length} blocks for ${writes} writes`);
    assert.equal(
      world.events.filter((event) => event.startsWith('drift')).length,
      drift.filter(({ action }) => action === 'repair').length -
        drift.filter(({ action }) => action === 'failed').length,
    );
    await convergesTo(row);
  });

  it('a lock that is stolen: nothing is written without it, and all is made when it is back', async () => {
    const thief = await engineOnSwitch(ovs.endpoint);
    try {
      await thief.client.steal();
      await waitFor('the loss', () => !world.client.lockHeld);
      const { vmid, row } = newGuest();
      assert.match(await start(vmid), /ovs-port-agent tries again by itself$/);
      assert.deepEqual(await rows(), []);
      assert.deepEqual(await world.ledger.query({ vmid, category: 'port' }), []);
      await thief.close();
      await convergesTo(row);
    } finally {
      await thief.close();
    }
  });

  for (const [what, act] of [
    [
      'ifreload, which takes every port off and sets the bridge anew',
      async () => {
        await ovs.vsctl(...(await rows()).flatMap((row) => ['--', '--if-exists', 'del-port', 'ovsbr0', row]));
        await ovs.vsctl(
          '--',
          '--may-exist',
          'add-br',
          'ovsbr0',
          '--',
          'clear',
          'bridge',
          'ovsbr0',
          'external_ids',
          '--',
          'clear',
          'bridge',
          'ovsbr0',
          'other_config',
        );
      },
    ],
    [
      'systemctl restart networking, which makes the bridge anew',
      async () => {
        await ovs.vsctl('del-br', 'ovsbr0');
        await ovs.vsctl('add-br', 'ovsbr0');
      },
    ],
    [
      'rm conf.db',
      async () => {
        await ovs.wipe();
        await ovs.startServer();
        await ovs.vsctl('--no-wait', 'add-br', 'ovsbr0');
      },
    ],
  ] as const) {
    it(`${what}: every port is back, and once`, async () => {
      const guests = Array.from({ length: 20 }, newGuest);
      await Promise.all(guests.map(({ vmid }) => start(vmid)));
      await act();
      await waitFor('all rows', async () => (await rows()).length === guests.length, 10_000);
      assert.deepEqual(await rows(), guests.map(({ row }) => row).sort());
      assert.equal(await ovs.vsctl('get', 'port', guests[7]!.row, 'tag'), '10');
    });
  }

  it('a schema that lacks columns: ports are attached, adopted, put back and taken off as with them', async () => {
    const schema = JSON.parse(await readFile('/usr/share/openvswitch/vswitch.ovsschema', 'utf8')) as Schema;
    for (const [table, ...columns] of [
      ['Port', 'protected', 'cvlans', 'lacp'],
      ['Interface', 'error'],
    ] as const) {
      for (const column of columns) Reflect.deleteProperty(schema.tables[table]!.columns, column);
    }
    const old = await startPrivateSwitch({ schema });
    const engine = await engineOnSwitch(old.endpoint);
    try {
      await old.vsctl('--no-wait', 'init', '--', 'add-br', 'ovsbr0', '--', 'add-port', 'ovsbr0', 'veth901i0', 'tag=10');
      for (const vmid of [900, 901]) {
        engine.configure(guestOf(vmid, [{ tag: 10 }]));
        engine.links.add(`veth${vmid}i0`);
        await engine.engine.notifyLifecycle(parseVmid(vmid), 'post-start', cause);
      }
      await old.vsctl('--no-wait', 'set', 'port', 'veth900i0', 'tag=20');
      await engine.engine.notifyLifecycle(parseVmid(900), 'post-start', cause);
      for (const row of ['veth900i0', 'veth901i0']) {
        assert.equal(await old.vsctl('get', 'port', row, 'tag'), '10');
        assert.match(await old.vsctl('get', 'port', row, 'external_ids'), /port-name=vi90[01]/);
      }
      engine.links.devices.delete('veth900i0');
      assert.match(
        await engine.engine.notifyLifecycle(parseVmid(900), 'post-stop', cause),
        /removed vi900 from ovsbr0$/,
      );
      assert.equal(await old.vsctl('list-ports', 'ovsbr0'), 'veth901i0');
    } finally {
      await engine.close();
      await old.stop();
    }
  });

  it('200 guests that start at once, half of them plugged by Proxmox VE, all get their port and a good answer', async () => {
    await world.close();
    // However slow the machine is: the answers are what counts here.
    world = await engineOnSwitch(ovs.endpoint, { clock: hastyTimers(0.05) });
    await world.engine.start();
    const guests = Array.from({ length: 200 }, newGuest);
    const plugged = guests.filter((_, index) => index % 2 === 0);
    await ovs.vsctl('--no-wait', ...plugged.flatMap(({ row }) => ['--', 'add-port', 'ovsbr0', row, 'tag=10']));
    const answers = await Promise.all(guests.map(({ vmid }) => start(vmid)));
    for (const [index, { vmid }] of guests.entries())
      assert.match(answers[index]!, new RegExp(`^CT ${vmid}: net0 is vi${vmid} on ovsbr0, tag 10`));
    assert.deepEqual(await rows(), guests.map(({ row }) => row).sort());
    assert.deepEqual(
      await attachedByLedger(),
      guests
        .filter((_, index) => index % 2 === 1)
        .map(({ row }) => row)
        .sort(),
    );
  });
});
