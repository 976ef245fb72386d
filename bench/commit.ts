/**
 * One port committed by the agent's own code, against the same operations as ready-made bytes on a socket. Both work on
 * one switch, as on a node: the agent's monitor and `ovs-vswitchd` are connected, whoever transacts. A sample is the mean
 * of some commits right after one another, as when guests start together.
 */
import { randomBytes } from 'node:crypto';
import type { Block } from '../src/ledger/block.ts';
import { parseBridgeName, parseVmid } from '../src/model/names.ts';
import type { Vmid } from '../src/model/names.ts';
import type { WantedPort } from '../src/model/port.ts';
import { OvsdbClient } from '../src/ovsdb/client.ts';
import type { Operation } from '../src/ovsdb/wire.ts';
import { ovsdbRemotes } from '../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../src/platform/timers.ts';
import { Committer } from '../src/ports/committer.ts';
import { WriteAhead } from '../src/ports/journal.ts';
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
import type { Side } from './measure.ts';
import { connectRaw, transactBytes } from './raw-ovsdb.ts';
import type { RawReply } from './raw-ovsdb.ts';
import { takeTurns } from './rounds.ts';

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
  run: (context) =>
    withCleanup(async (later) => {
      const node = await startNode(later, 'with ovs-vswitchd');
      const alone = await startNode(later, 'database alone');
      const unwatched = await startSwitchWithBridge(later, 'database alone');
      const sides = [
        agentSide(node),
        await rawSide(later, node.observed),
        clientSide(node),
        appliedSide(node),
        agentSide(alone),
        await rawSide(later, alone.observed),
        await rawSide(later, unwatched),
      ];
      const [committed = [], floor = [], client = [], applied = [], ours = [], watched = [], bare = []] =
        await takeTurns(sides, { rounds, warmUpRounds, restMs }, context);
      return resultOf({
        name: 'commit',
        clock: 'committed',
        unit: 'ms',
        warmUpRounds,
        subject: { what: '`Committer.commit` of one port, ledger block apart', samples: committed },
        rival: { what: 'the same operations as ready-made bytes on a socket, on the same switch', samples: floor },
        target: { kind: 'ratio', atMost: ratioMax },
        information: [
          informationOf('`OvsdbClient.transact` alone, operations ready-made', 'committed', 'ms', client),
          informationOf('`Committer.commit` until `ovs-vswitchd` has applied it', 'applied', 'ms', applied),
          informationOf('`Committer.commit` on a database without `ovs-vswitchd`', 'committed', 'ms', ours),
          informationOf('ready-made bytes on that database', 'committed', 'ms', watched),
          informationOf('ready-made bytes on a database that nobody monitors', 'committed', 'ms', bare),
        ],
      });
    }),
};

/** The way a hook's change takes through the service, from the plan's result on. */
function agentSide({ committer, view, observed: { untilApplied } }: Node): Side {
  return {
    name: 'agent',
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
function appliedSide({ committer, view, observed: { untilApplied } }: Node): Side {
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
function clientSide({ client, committer, view, observed: { untilApplied } }: Node): Side {
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

async function rawSide(later: Later, { ovs, untilApplied }: ObservedSwitch): Promise<Side> {
  const raw = await connectRaw(ovs.socketPath);
  later(() => {
    raw.close();
    return undefined;
  });
  let id = 0;
  return {
    name: 'raw',
    async sample() {
      const attached = nextPorts().map(attachOperations);
      const elapsedMs = await meanMs(
        // The lock is the agent's, so that only the agent can assert it.
        attached.map(({ operations }) => transactBytes(++id, withoutAssert(operations))),
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

function withoutAssert(operations: readonly Operation[]): Operation[] {
  return operations.filter(({ op }) => op !== 'assert');
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

interface Node {
  readonly observed: ObservedSwitch;
  readonly client: OvsdbClient<SwitchTables>;
  readonly view: SwitchView;
  readonly committer: Committer;
}

/** The agent's modules as `agent.ts` wires them, on a switch of their own. */
async function startNode(later: Later, daemon: Daemon): Promise<Node> {
  const observed = await startSwitchWithBridge(later, daemon);
  const client = new OvsdbClient({
    remotes: ovsdbRemotes(observed.ovs.endpoint),
    timers: systemTimers,
    database: 'Open_vSwitch',
    tables: switchTables,
    lock: switchLock,
  });
  const view = new SwitchView(() => client.replica);
  const recorder = freeLedger();
  const committer = new Committer({
    switch: client,
    view,
    recorder,
    journal: new WriteAhead({
      recorder,
      host: 'bench',
      settle: () => Promise.resolve(),
      onLedgerGap: (error) => {
        throw error;
      },
    }),
    clock: systemTimers,
    cluster: () => 'bench',
    newTxn: txnNames(randomBytes(6).toString('hex')),
    onCommitted: () => undefined,
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
  return { observed, client, view, committer };
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

/** `ovs-vswitchd` reads and writes in the same `ovsdb-server` while it applies what was committed before. */
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
  const links = new Map([
    [netdev, { name: netdev, master: null, altnames: [], originalName: null, mtu: 1500, peerElsewhere: true }],
  ]);
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
    treeHead: () => ({ tree_size: height, sha256_root_hash: Buffer.alloc(32) }),
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
