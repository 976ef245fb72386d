/**
 * Somebody deletes the port of a device that Proxmox VE does not know: how long until the row is back, and until the bus
 * hears of it. An observer with a monitor of its own sees both the deletion and the return; against an agent that polls.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { busName } from '../src/api/dbus/port-agent-interface.ts';
import { waitFor } from '../test/support/wait-for.ts';
import type { PrivateSwitch } from '../test/support/private-switch.ts';
import { informationOf, resultOf } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import type { Later } from './cleanup.ts';
import { bridge, vmidsFrom } from './guests.ts';
import { startObservedSwitch } from './observed-switch.ts';
import { startPrivateNode } from './private-node.ts';
import { connectRaw, monitorBytes } from './raw-ovsdb.ts';
import { takeTurns } from './rounds.ts';
import { startShell } from './shell.ts';
import type { Shell } from './shell.ts';

const rounds = 20;
const warmUpRounds = 2;
const backAtMostMs = 10;
const seenAtMostMs = 5;
const pollSeconds = 2;
/** The polling agent sleeps for seconds on end. */
const pollEvery = 2;
/** Longer than the service lets pass between two looks at everything, whatever comes. */
const restMs = 700;
const guests = vmidsFrom(2000, 100);
const netdev = 'box0';
const lossDeadlineMs = 10_000;

export const driftBenchmark: Benchmark = {
  name: 'drift',
  about: 'a port that somebody deleted is back, against an agent that polls every 2 s',
  run: (context) =>
    withCleanup(async (later) => {
      const node = await startPrivateNode({ later, devices: 'own' });
      await node.addGuests(guests);
      await node.devices.addForeign(netdev);
      const service = await node.startService();
      await service.listedMs(guests.length);
      const [port] = (await node.call('add_port', 's', [netdev])) as [string];
      const heard = { atMs: 0 };
      await node.bus.addMatch({ sender: busName, member: 'PortRemoved', arg0: port }, () => {
        heard.atMs = performance.now();
      });
      const repaired = await watchPort(later, node.ovs, port);
      const polled = await startPollingAgent(later, context.signal);

      const seenMs: number[] = [];
      const againMs: number[] = [];
      const shell = startShell(later, { ...process.env, OVSDB: node.ovs.endpoint });
      const sides = [
        {
          name: 'service',
          async sample(round: number) {
            await sleep(restMs);
            heard.atMs = 0;
            const elapsedMs = await repaired.lose(shell);
            await waitFor('PortRemoved', () => heard.atMs > 0);
            if (round >= 0) seenMs.push(Math.max(0, heard.atMs - repaired.lostAtMs));
            if (round >= 0 && round % pollEvery === 0) againMs.push(await repaired.lose(shell));
            return elapsedMs;
          },
        },
        {
          name: 'polling agent',
          every: pollEvery,
          async sample(round: number) {
            // At another time of its sleep in each round: nobody knows when a port is lost.
            await sleep((round / rounds) * pollSeconds * 1000);
            return polled.port.lose(polled.shell);
          },
        },
      ];
      const [back = [], pollBack = []] = await takeTurns(sides, { rounds, warmUpRounds }, context);
      const common = { unit: 'ms', warmUpRounds, rival: null } as const;
      return [
        resultOf({
          ...common,
          name: 'drift',
          clock: 'committed',
          subject: { what: `a deleted port is back, service with ${guests.length} guests beside it`, samples: back },
          target: { kind: 'time', atMost: backAtMostMs },
          information: [
            informationOf(`the same with an agent that polls every ${pollSeconds} s`, 'committed', 'ms', pollBack),
            informationOf('deleted again at once, within `debounce_ms`', 'committed', 'ms', againMs),
          ],
        }),
        resultOf({
          ...common,
          name: 'drift, seen',
          clock: 'seen',
          subject: { what: 'the signal `PortRemoved` arrives on the bus', samples: seenMs },
          target: { kind: 'time', atMost: seenAtMostMs },
        }),
      ];
    }),
};

interface WatchedPort {
  /** When the observer last saw it go. */
  readonly lostAtMs: number;
  /** Has it deleted; answers how long it was away, in milliseconds. */
  lose(shell: Shell): Promise<number>;
}

/** The port as an outsider with a monitor sees it come and go. */
async function watchPort(later: Later, ovs: PrivateSwitch, port: string): Promise<WatchedPort> {
  const seen = { uuid: '', lostAtMs: 0, backAtMs: 0 };
  const onRows = (rows: Readonly<Record<string, RowUpdate>>): void => {
    for (const [uuid, row] of Object.entries(rows)) {
      const name = (row.insert ?? row.initial)?.name;
      if (name === port) {
        seen.uuid = uuid;
        seen.backAtMs = performance.now();
      } else if (uuid === seen.uuid && 'delete' in row) {
        seen.lostAtMs = performance.now();
      }
    }
  };
  const raw = await connectRaw(ovs.socketPath, (params) => {
    const [, , tables] = params as [unknown, unknown, { Port?: Record<string, RowUpdate> }];
    onRows(tables.Port ?? {});
  });
  later(() => {
    raw.close();
    return undefined;
  });
  const { result } = await raw.exchange(monitorBytes(0, { Port: { name: '' } }));
  const [, , { Port = {} }] = result as [unknown, unknown, { Port?: Record<string, RowUpdate> }];
  onRows(Port);
  return {
    get lostAtMs() {
      return seen.lostAtMs;
    },
    async lose(shell) {
      seen.lostAtMs = seen.backAtMs = 0;
      await shell.run(`ovs-vsctl --db="$OVSDB" --no-wait del-port ${port}`);
      await waitFor(`${port} to be back`, () => seen.lostAtMs > 0 && seen.backAtMs >= seen.lostAtMs, lossDeadlineMs);
      return seen.backAtMs - seen.lostAtMs;
    },
  };
}

/** A row of `update2` (ovsdb-server(7)). */
interface RowUpdate {
  readonly initial?: { readonly name?: string };
  readonly insert?: { readonly name?: string };
  readonly delete?: null;
}

/** What one would write in a line of shell. */
async function startPollingAgent(later: Later, signal: AbortSignal): Promise<{ port: WatchedPort; shell: Shell }> {
  const { ovs } = await startObservedSwitch(later);
  const add = `ovs-vsctl --db=${ovs.endpoint} --may-exist add-port ${bridge} ${netdev}`;
  const agent = execa('sh', ['-c', `while ${add} && sleep ${pollSeconds}; do :; done`], {
    cancelSignal: signal,
    reject: false,
  });
  later(() => {
    agent.kill();
    return agent;
  });
  await waitFor('the first poll', async () => (await ovs.vsctl('list-ports', bridge)) === netdev);
  const shell = startShell(later, { ...process.env, OVSDB: ovs.endpoint });
  return { port: await watchPort(later, ovs, netdev), shell };
}
