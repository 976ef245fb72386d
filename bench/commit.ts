/**
 * One port committed by the agent's own code, against the same operations as ready-made bytes on a socket. Each side has
 * a switch to itself, so that neither pays for what the other's change makes monitors do. A sample is the mean of some
 * commits right after one another, as when guests start together: warm, and no pause in which either side grows cold.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Block } from '../src/ledger/block.ts';
import { parseBridgeName, parseVmid } from '../src/model/names.ts';
import type { Vmid } from '../src/model/names.ts';
import type { WantedPort } from '../src/model/port.ts';
import { OvsdbClient } from '../src/ovsdb/client.ts';
import type { Operation } from '../src/ovsdb/wire.ts';
import { ovsdbRemotes } from '../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../src/platform/timers.ts';
import { Committer } from '../src/ports/committer.ts';
import type { Recorder } from '../src/ports/contracts.ts';
import { desiredPorts } from '../src/ports/desired.ts';
import { SwitchView, switchTables } from '../src/ports/switch-view.ts';
import type { SwitchTables } from '../src/ports/switch-view.ts';
import { buildTransaction, insertedPortUuid, switchLock } from '../src/ports/transaction.ts';
import { txnNames } from '../src/ports/txn-name.ts';
import { parseGuestConfig } from '../src/proxmox/guest-config.ts';
import { startPrivateSwitch } from '../test/support/private-switch.ts';
import type { PrivateSwitch } from '../test/support/private-switch.ts';
import { waitFor } from '../test/support/wait-for.ts';
import { informationOf, resultOf } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import type { Later } from './cleanup.ts';
import { interleave } from './measure.ts';
import type { Side } from './measure.ts';
import { connectRaw, monitorBytes, requestBytes, transactBytes } from './raw-ovsdb.ts';
import type { RawReply } from './raw-ovsdb.ts';

const rounds = 60;
const warmUpRounds = 40;
const commitsInARow = 10;
/** Each side has waited until its switch applied what it did; this is for what `ovs-vswitchd` does afterwards. */
const restMs = 10;
const ratioMax = 1.5;
const bridge = parseBridgeName('ovsbr0');
const cause = { cause: 'hook post-start', user: 'root', uid: 0 };
const appliedDeadlineMs = 5000;

export const commitBenchmark: Benchmark = {
  name: 'commit',
  about: 'one warm commit, ledger block apart, against a raw JSON-RPC transact',
  run: ({ signal, progress }) =>
    withCleanup(async (later) => {
      const sides = [
        await agentSide(later, 'database alone'),
        await rawSide(later, 'plain', 'database alone'),
        await rawSide(later, 'monitored', 'database alone'),
        await clientSide(later),
        await agentSide(later, 'with ovs-vswitchd'),
        await rawSide(later, 'plain', 'with ovs-vswitchd'),
        await rawSide(later, 'monitored', 'with ovs-vswitchd'),
        await appliedSide(later),
      ];
      const [
        committed = [],
        floor = [],
        monitored = [],
        client = [],
        beside = [],
        floorBeside = [],
        monitoredBeside = [],
        applied = [],
      ] = await interleave(sides, {
        rounds,
        warmUpRounds,
        rest: () => sleep(restMs),
        onRound: (round) => {
          progress(`round ${round + 1} of ${rounds}`);
        },
        signal,
      });
      return resultOf({
        name: 'commit',
        clock: 'committed',
        unit: 'ms',
        warmUpRounds,
        subject: { what: '`Committer.commit` of one port, ledger block apart', samples: committed },
        rival: { what: 'the same operations as ready-made bytes on a socket', samples: floor },
        target: { kind: 'ratio', atMost: ratioMax },
        information: [
          // What a client pays for a replica before its own first instruction: the server serves the monitor first.
          informationOf('the ready-made bytes on a socket that keeps the same monitor', 'committed', 'ms', monitored),
          informationOf('`OvsdbClient.transact` alone, operations ready-made', 'committed', 'ms', client),
          informationOf('`Committer.commit` while `ovs-vswitchd` applies the one before', 'committed', 'ms', beside),
          informationOf('ready-made bytes while `ovs-vswitchd` applies the one before', 'committed', 'ms', floorBeside),
          informationOf('the same on a connection that also keeps a monitor', 'committed', 'ms', monitoredBeside),
          informationOf('`Committer.commit` until `ovs-vswitchd` has applied it', 'applied', 'ms', applied),
        ],
      });
    }),
};

/** The way a hook's change takes through the service, from the plan's result on. */
async function agentSide(later: Later, daemon: Daemon): Promise<Side> {
  const { committer, view, untilApplied } = await startCommitter(later, daemon);
  return {
    name: `agent, ${daemon}`,
    async sample() {
      const wanted = nextPorts();
      const elapsedMs = await meanMs(
        wanted,
        (each) => committer.commit([{ kind: 'attach', wanted: each, after: [] }], cause),
        untilApplied,
      );
      await detachAll(wanted, committer, view);
      await untilApplied();
      return elapsedMs;
    },
  };
}

/** The same, with the wait for `ovs-vswitchd` on the clock, as the service itself waits. */
async function appliedSide(later: Later): Promise<Side> {
  const { committer, view, untilApplied } = await startCommitter(later, 'with ovs-vswitchd');
  return {
    name: 'applied',
    async sample() {
      const wanted = nextPorts();
      const elapsedMs = await meanMs(
        wanted,
        async (each) => {
          const committed = await committer.commit([{ kind: 'attach', wanted: each, after: [] }], cause);
          await committer.waitApplied(committed, appliedDeadlineMs);
        },
        untilApplied,
      );
      await detachAll(wanted, committer, view);
      await untilApplied();
      return elapsedMs;
    },
  };
}

/** The client without what the agent builds on it. */
async function clientSide(later: Later): Promise<Side> {
  const { client, committer, view, untilApplied } = await startCommitter(later, 'database alone');
  return {
    name: 'client',
    async sample() {
      const wanted = nextPorts();
      const elapsedMs = await meanMs(
        wanted.map(attachOperations),
        ({ operations }) => client.transact(operations),
        untilApplied,
      );
      await detachAll(wanted, committer, view);
      await untilApplied();
      return elapsedMs;
    },
  };
}

/** `monitored`: with a monitor of the agent's own tables, as whoever keeps a replica has one. */
async function rawSide(later: Later, kind: 'plain' | 'monitored', daemon: Daemon): Promise<Side> {
  const { ovs, untilApplied } = await startSwitchWithBridge(later, daemon);
  const raw = await connectRaw(ovs.socketPath);
  later(() => {
    raw.close();
    return undefined;
  });
  await raw.exchange(requestBytes(0, 'lock', [switchLock]));
  if (kind === 'monitored') await raw.exchange(monitorBytes(0, switchTables));
  let id = 0;
  return {
    name: `raw ${kind}, ${daemon}`,
    async sample() {
      const attached = nextPorts().map(attachOperations);
      const elapsedMs = await meanMs(
        attached.map(({ operations }) => transactBytes(++id, operations)),
        (bytes) => raw.exchange(bytes),
        (replies) => {
          for (const reply of replies) resultsOf(reply);
          return untilApplied();
        },
      );
      const ports = ['set', attached.map(({ seed }) => ['uuid', insertedPortUuid(seed)])];
      const detached = [
        { op: 'mutate', table: 'Bridge', where: [['name', '==', bridge]], mutations: [['ports', 'delete', ports]] },
        { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
      ];
      resultsOf(await raw.exchange(transactBytes(++id, detached)));
      await untilApplied();
      return elapsedMs;
    },
  };
}

/** The mean of all but the first, which comes out of a pause: one right after the other. `settle` is not on the clock. */
async function meanMs<T, R>(
  inputs: readonly T[],
  act: (input: T) => Promise<R>,
  settle: (results: R[]) => Promise<void>,
): Promise<number> {
  const results: R[] = [];
  let startedMs = 0;
  for (const [index, input] of inputs.entries()) {
    if (index === 1) startedMs = performance.now();
    results.push(await act(input));
  }
  const elapsedMs = performance.now() - startedMs;
  await settle(results);
  return elapsedMs / (inputs.length - 1);
}

interface Started {
  readonly untilApplied: () => Promise<void>;
  readonly client: OvsdbClient<SwitchTables>;
  readonly view: SwitchView;
  readonly committer: Committer;
}

/** The agent's modules as `agent.ts` wires them, on a switch of their own. */
async function startCommitter(later: Later, daemon: Daemon): Promise<Started> {
  const { ovs, untilApplied } = await startSwitchWithBridge(later, daemon);
  const client = new OvsdbClient({
    remotes: ovsdbRemotes(ovs.endpoint),
    timers: systemTimers,
    database: 'Open_vSwitch',
    tables: switchTables,
    lock: switchLock,
  });
  const view = new SwitchView(() => client.replica);
  const committer = new Committer({
    switch: client,
    view,
    recorder: freeLedger(),
    clock: systemTimers,
    host: 'bench',
    cluster: () => 'bench',
    newTxn: txnNames(randomBytes(6).toString('hex')),
    onLedgerGap: (error) => {
      throw error;
    },
  });
  client.listen({
    onChanges: (changes) => {
      view.apply(changes);
      committer.onSwitchChanged();
    },
  });
  client.start();
  later(() => {
    client.stop();
    return undefined;
  });
  await waitFor('the lock', () => client.problem === null && client.lockHeld);
  return { client, view, committer, untilApplied };
}

async function detachAll(ports: readonly WantedPort[], committer: Committer, view: SwitchView): Promise<void> {
  const changes = ports.map(({ port, netdev }) => {
    const row = view.byNetdev(netdev);
    if (row === null) throw new Error(`${netdev} was committed and is not on the switch`);
    return { kind: 'detach', port, row } as const;
  });
  await committer.commit(changes, cause);
}

function attachOperations(wanted: WantedPort): { seed: string; operations: Operation[] } {
  const seed = randomBytes(32).toString('hex');
  const txn = randomBytes(8).toString('hex');
  const comment = `ovs-port-agent txn ${txn} ledger 1 ${seed}`;
  const change = { kind: 'attach', wanted, after: [] } as const;
  const { operations } = buildTransaction([{ change, seed }], { cluster: 'bench', txn, comment });
  return { seed, operations };
}

/**
 * `committed` is the database's answer, so that it is measured on the database alone; `ovs-vswitchd`, which reads and writes
 * in the same `ovsdb-server` while it applies, is measured beside it.
 */
type Daemon = 'database alone' | 'with ovs-vswitchd';

interface ObservedSwitch {
  readonly ovs: PrivateSwitch;
  /** Resolves when `ovs-vswitchd` has applied everything. The same for every side, so that none is warmer than another. */
  readonly untilApplied: () => Promise<void>;
}

async function startSwitchWithBridge(later: Later, daemon: Daemon): Promise<ObservedSwitch> {
  const vswitchd = daemon === 'with ovs-vswitchd';
  const ovs = await startPrivateSwitch({ vswitchd });
  later(() => ovs.stop());
  await ovs.vsctl('--no-wait', 'add-br', bridge);
  const observer = await connectRaw(ovs.socketPath);
  later(() => {
    observer.close();
    return undefined;
  });
  const columns = ['cur_cfg', 'next_cfg'];
  const question = transactBytes(0, [{ op: 'select', table: 'Open_vSwitch', where: [], columns }]);
  return {
    ovs,
    async untilApplied() {
      if (!vswitchd) return;
      const end = performance.now() + appliedDeadlineMs;
      while (performance.now() < end) {
        const [selected] = resultsOf(await observer.exchange(question));
        const [row] = selected?.rows ?? [];
        if (row !== undefined && row['cur_cfg'] === row['next_cfg']) return;
      }
      throw new Error(`ovs-vswitchd did not apply a port within ${appliedDeadlineMs} ms`);
    },
  };
}

let lastVmid = 1000;

/** What the plan wants of containers with one card, none of them seen before. */
function nextPorts(): WantedPort[] {
  return Array.from({ length: commitsInARow }, () => wantedPort(parseVmid(++lastVmid)));
}

function wantedPort(vmid: Vmid): WantedPort {
  const text = `hostname: ct${vmid}\nnet0: name=eth0,bridge=${bridge},hwaddr=BC:24:11:00:01:00,tag=10\n`;
  const { guest } = parseGuestConfig('lxc', vmid, text);
  const netdev = `veth${vmid}i0`;
  const links = new Map([[netdev, { name: netdev, master: null, altnames: [], mtu: 1500, peerElsewhere: true }]]);
  const [verdict] = desiredPorts(guest, links, new Set([bridge]), 'auto');
  if (verdict?.wanted == null) throw new Error(`guest ${vmid} wants no port`);
  return verdict.wanted;
}

/** Blocks that cost nothing: the ledger has figures of its own. No two hashes are equal, since rows are named after them. */
function freeLedger(): Recorder {
  let height = 0;
  const block = (): Block => ({ height: ++height, hash: height.toString(16).padStart(64, '0') }) as Block;
  return {
    append: () => Promise.resolve(block()),
    writeAheadAll: (drafts, action) => action(drafts.map(block)),
    inDoubt: () => [],
    abandon: () => Promise.resolve(block()),
  };
}

interface RawResult {
  readonly error?: string;
  readonly details?: string;
  readonly rows?: Record<string, unknown>[];
}

function resultsOf({ result, error }: RawReply): RawResult[] {
  const results = (result ?? []) as (RawResult | null)[];
  const refused = results.find((entry) => entry?.error !== undefined);
  if (error !== null || refused !== undefined) {
    throw new Error(`the switch refused: ${JSON.stringify(error ?? refused)}`);
  }
  return results.map((entry) => entry ?? {});
}
