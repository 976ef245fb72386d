/**
 * Carries out changes on the switch: written ahead in the ledger, then one transaction at a time. Everything that
 * arrives while one is in flight forms the next (group commit, no timer); a group that is refused is tried again request by
 * request, so that a bad one never fails its neighbours.
 *
 * Steps of one commit, and what a crash between two of them leaves:
 *   1. the block of each change is durable in the ledger            -> crash: nothing done, the block is in doubt
 *   2. `transact`: the switch has all of the group or none: COMMIT  -> crash: done; the block already says so
 *   3. on failure only: a `failed` block that names the height      -> crash: in doubt, like 1
 * At the next start the engine looks at the switch and writes `abandoned` for what is not there.
 */
import { AgentError, isRetryable, toAgentError } from '../model/errors.ts';
import type { Block } from '../ledger/block.ts';
import type { Cause, Clock, Journal, Recorder, Switch } from './contracts.ts';
import { plannedChange } from './record.ts';
import { mirrorChangeKey } from './mirror-plan.ts';
import type { Change } from './change.ts';
import { buildTransaction, switchLock } from './transaction.ts';
import type { SeededChange } from './transaction.ts';
import type { SwitchView } from './switch-view.ts';
import { blocksLost, transactionLanded } from './in-doubt.ts';
import { LostReplies } from './lost-replies.ts';
import type { Operation, OperationResult } from '../ovsdb/wire.ts';

/** Changes waiting for the transaction in flight. Beyond this a caller is told to come back. */
const queuedRequestsMax = 10_000;
/** How long a lost reply is looked for on the switch before the callers are told that nobody knows the outcome. */
const lookDeadlineMs = 3000;
const transactDeadlineMs = 5000;

export interface CommitterOptions {
  readonly switch: Switch;
  readonly view: SwitchView;
  readonly journal: Pick<Journal, 'change'>;
  readonly recorder: Pick<Recorder, 'treeHead' | 'inDoubt' | 'abandon'>;
  readonly clock: Clock;
  readonly cluster: () => string;
  /** A new name for a transaction. */
  readonly newTxn: () => string;
  /** Told once of every change that the switch has taken, whoever asked for it. */
  readonly onCommitted: (change: Change) => void;
}

export interface Committed {
  /** Value `cur_cfg` must reach for the changes to be applied; null when there is nothing to apply. */
  readonly nextCfg: number | null;
}

interface Request {
  readonly changes: readonly Change[];
  readonly cause: Cause;
  resolve(committed: Committed): void;
  reject(error: AgentError): void;
}

export class Committer {
  readonly #options: CommitterOptions;
  readonly #appliedWaiters = new Set<() => void>();
  #queue: Request[] = [];
  readonly #inFlight = new Map<string, Promise<Committed>>();
  readonly #lostReplies: LostReplies;
  #sent: Promise<unknown> = Promise.resolve();
  #running = false;
  /** Groups whose blocks may be written and whose outcome is not recorded yet. */
  #open = 0;
  /** What the last run left in doubt is settled. */
  #isSettled = false;
  /** Set while nobody knows what became of a transaction and its callers were told so. */
  #unknown: AgentError | null = null;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#lostReplies = new LostReplies({ ...options, send: (operations) => this.#send(operations) });
  }

  /** There is a change, of this run or the last, of which the ledger does not say yet what became of it. */
  get isInDoubt(): boolean {
    return this.#open > 0 || (!this.#isSettled && this.#options.recorder.inDoubt().length > 0);
  }

  /** What is not known by now stays in doubt: the next run looks for it. */
  stop(): void {
    this.#lostReplies.stop();
  }

  /** Resolves when the switch's database has the changes; see `waitApplied`. */
  commit(changes: readonly Change[], cause: Cause): Promise<Committed> {
    if (changes.length === 0) return Promise.resolve({ nextCfg: null });
    if (this.#queue.length >= queuedRequestsMax) {
      return Promise.reject(
        new AgentError('Busy', `${queuedRequestsMax} changes are waiting for the switch; try again later`),
      );
    }
    const [change, another] = changes;
    const key = change === undefined || another !== undefined ? null : changeKey(change);
    // Two that saw the same thing missing at the same time want one change, not two.
    const same = key === null ? undefined : this.#inFlight.get(key);
    if (same !== undefined) return same;
    const committed = new Promise<Committed>((resolve, reject) => {
      this.#queue.push({ changes, cause, resolve, reject });
      if (!this.#running) void this.#run();
    });
    if (key === null) return committed;
    this.#inFlight.set(key, committed);
    const forget = (): void => {
      this.#inFlight.delete(key);
    };
    committed.then(forget, forget);
    return committed;
  }

  /** Wake those who wait for `cur_cfg`; call after every change of the replica. */
  onSwitchChanged(): void {
    for (const check of [...this.#appliedWaiters]) check();
    this.#lostReplies.onSwitchChanged();
  }

  /** Resolves when `ovs-vswitchd` has applied what `committed` stands for; rejects with `NotApplied` after the deadline. */
  waitApplied({ nextCfg }: Committed, deadlineMs: number): Promise<void> {
    const { view, clock } = this.#options;
    if (nextCfg === null || view.curCfg >= nextCfg) return Promise.resolve();
    return this.#waitUntil(
      () => view.curCfg >= nextCfg,
      deadlineMs,
      clock,
      `committed, but ovs-vswitchd did not apply it within ${deadlineMs} ms (cur_cfg ${view.curCfg}, wanted ${nextCfg}); is it running?`,
    );
  }

  /** Resolves when the replica is in step with the switch; rejects with the reason after the deadline. */
  async waitForSwitch(deadlineMs: number): Promise<void> {
    const isConnected = (): boolean => this.#options.switch.problem === null;
    try {
      await this.#waitUntil(isConnected, deadlineMs, this.#options.clock, '');
    } catch (error) {
      throw this.#options.switch.problem ?? error;
    }
  }

  /**
   * Once, before the first change: what the last run wrote ahead and the switch does not have was never done. With the lock
   * the server is done with what the last run had sent. Rejects when the ledger does not take the block that says so.
   */
  async settleInDoubt(): Promise<void> {
    const { recorder, view, switch: ovs } = this.#options;
    if (this.#isSettled || ovs.problem !== null || !ovs.lockHeld) return;
    for (const block of blocksLost(recorder.inDoubt(), view)) {
      await recorder.abandon(block, 'the switch does not have this change');
    }
    this.#isSettled = true;
  }

  async #run(): Promise<void> {
    this.#running = true;
    // What is asked for in this turn of the event loop belongs together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#queue.filter((request) => !this.#isOutdated(request));
      this.#queue = [];
      if (group.length > 0) await this.#commitGroup(group);
    }
    this.#running = false;
  }

  /**
   * What the transaction before, or Proxmox VE meanwhile, has made impossible is rejected as the switch would do it, without
   * blocks that say only this.
   */
  #isOutdated(request: Request): boolean {
    const { view } = this.#options;
    for (const change of request.changes) {
      const why = whyOutdated(change, view);
      if (why === null) continue;
      request.reject(new AgentError('Conflict', why));
      return true;
    }
    return false;
  }

  async #commitGroup(group: readonly Request[]): Promise<void> {
    try {
      const committed = await this.#recordAndTransact(group);
      for (const request of group) {
        for (const change of request.changes) this.#options.onCommitted(change);
        request.resolve(committed);
      }
      return;
    } catch (error) {
      // It was the switch that could not, or nobody knows: each by itself would fare no better, only much longer.
      if (group.length === 1 || isRetryable(error)) {
        for (const request of group) request.reject(toAgentError(error));
        return;
      }
    }
    for (const request of group) await this.#commitGroup([request]);
  }

  /** Resolves or rejects as soon as there is something to tell; the ledger waits for the truth. */
  #recordAndTransact(group: readonly Request[]): Promise<Committed> {
    return new Promise((resolve, reject) => {
      this.#record(group, reject).then(resolve, reject);
    });
  }

  async #record(group: readonly Request[], giveUp: (error: AgentError) => void): Promise<Committed> {
    this.#requireSwitch();
    this.#open++;
    try {
      return await this.#writeAhead(group, giveUp);
    } finally {
      this.#open--;
    }
  }

  /** Nothing is written ahead of what cannot be sent, or could hide what became of what was sent before. */
  #requireSwitch(): void {
    const { problem, lockHeld } = this.#options.switch;
    if (problem !== null) throw problem;
    if (this.#unknown !== null) throw this.#unknown;
    if (!lockHeld) throw new AgentError('Busy', `another client of Open vSwitch holds the lock ${switchLock}`);
  }

  #writeAhead(group: readonly Request[], giveUp: (error: AgentError) => void): Promise<Committed> {
    const { journal, newTxn } = this.#options;
    const txn = newTxn();
    const changes = group.flatMap((request) => request.changes);
    const planned = group.flatMap(({ changes, cause }) => changes.map((change) => plannedChange(change, cause, txn)));
    return journal.change(planned, (blocks) => this.#transact(changes, blocks, txn, giveUp));
  }

  async #transact(
    changes: readonly Change[],
    blocks: readonly Block[],
    txn: string,
    giveUp: (error: AgentError) => void,
  ): Promise<Committed> {
    const comment = `ovs-port-agent txn ${txn}${blocks.length === 0 ? '' : this.#commitment()}`;
    const seeded = changes.map((change, index) => ({ change, seed: blocks[index]?.hash ?? `${txn} ${index}` }));
    const { operations, nextCfgIndex } = buildTransaction(seeded, { cluster: this.#options.cluster(), txn, comment });
    try {
      const results = await this.#send(operations);
      const nextCfg = nextCfgIndex === null ? null : results[nextCfgIndex]?.rows?.[0]?.['next_cfg'];
      return { nextCfg: typeof nextCfg === 'number' ? nextCfg : null };
    } catch (thrown) {
      const error = toAgentError(thrown);
      // Refused as a whole, or never sent: the outcome is known.
      if (!isRetryable(error) || error.code === 'Busy' || this.#options.switch.problem === thrown) throw error;
      await this.#lookForLost(seeded, txn, error, giveUp);
      return { nextCfg: nextCfgIndex === null ? null : this.#options.view.nextCfg };
    }
  }

  /** What binds the switch's own log to the ledger: the tree with the blocks of this transaction in it. */
  #commitment(): string {
    const { tree_size, sha256_root_hash } = this.#options.recorder.treeHead();
    return ` ledger ${tree_size} ${sha256_root_hash.toString('base64')}`;
  }

  /** One transaction at a time. */
  #send(operations: readonly Operation[]): Promise<OperationResult[]> {
    const sent = this.#sent.then(() => this.#options.switch.transact(operations, { deadlineMs: transactDeadlineMs }));
    this.#sent = sent.catch(() => undefined);
    return sent;
  }

  /** The reply was lost, the transaction perhaps not. Never repeated blindly: the replica says which, however late. */
  async #lookForLost(
    seeded: readonly SeededChange[],
    txn: string,
    lost: AgentError,
    giveUp: (error: AgentError) => void,
  ): Promise<void> {
    const { view, clock } = this.#options;
    const cancel = clock.after(lookDeadlineMs, () => {
      this.#unknown = new AgentError('NotApplied', lost.message);
      giveUp(this.#unknown);
    });
    await this.#lostReplies.known();
    cancel();
    this.#unknown = null;
    if (!transactionLanded(seeded, txn, view)) throw lost;
  }

  #waitUntil(condition: () => boolean, deadlineMs: number, clock: Clock, message: string): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        cancel();
        this.#appliedWaiters.delete(check);
      };
      const check = (): void => {
        if (!condition()) return;
        settle();
        resolve();
      };
      const cancel = clock.after(deadlineMs, () => {
        settle();
        reject(new AgentError('NotApplied', message));
      });
      this.#appliedWaiters.add(check);
    });
  }
}

function whyOutdated(change: Change, view: SwitchView): string | null {
  switch (change.kind) {
    case 'attach': {
      const row = view.byNetdev(change.wanted.netdev);
      return row === null ? null : `${change.wanted.netdev} was plugged meanwhile, as ${row.rowName} on ${row.bridge}`;
    }
    case 'adopt':
    case 'replace':
    case 'set':
    case 'detach': {
      const { portUuid, rowName } = change.row;
      return view.byUuid(portUuid) === null ? `the row ${rowName} was taken away meanwhile` : null;
    }
    case 'mirror':
    case 'set-mirror':
    case 'unmirror':
      return null;
  }
}

/** What tells two requests for one and the same change. */
function changeKey(change: Change): string {
  switch (change.kind) {
    case 'attach':
      return `attach ${change.wanted.netdev} ${change.wanted.port}`;
    case 'detach':
      return `detach ${change.row.portUuid}`;
    case 'adopt':
    case 'replace':
    case 'set':
      return `${change.kind} ${change.row.portUuid} ${change.wanted.port}`;
    case 'mirror':
    case 'set-mirror':
    case 'unmirror':
      return mirrorChangeKey(change);
  }
}
