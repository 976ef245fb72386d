/**
 * One history of one host: a seed decides who does what when, what breaks, and when the agent is killed. In the end
 * everything is mended, comes to rest, and is looked at.
 */
import type { Phase } from '../../src/model/lifecycle.ts';
import { AgentError } from '../../src/model/errors.ts';
import type { Vmid } from '../../src/model/names.ts';
import type { Cause } from '../../src/ports/contracts.ts';
import { SimAgent } from './agent.ts';
import { Checks } from './checks.ts';
import { SimDisk } from './disk.ts';
import { chooseEvent } from './events.ts';
import { Promises } from './promises.ts';
import { SimHost } from './host.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';

export interface Outcome {
  readonly seed: number;
  /** Empty when all was well. */
  readonly violations: readonly string[];
  readonly log: readonly string[];
  /** Of what the history was made, for the test that it was made of something. */
  readonly counts: Readonly<Record<string, number>>;
}

const answersMs: Record<Phase, number> = { 'pre-start': 900, 'post-start': 1400, 'pre-stop': 900, 'post-stop': 900 };
/** What a person asks for: several handovers in turn, each with its deadlines. */
const apiAnswerMs = 60_000;
/** Long enough for every deadline, back-off and retry, and twice the timer. */
const restMs = 160_000;
/** Nothing moves any more for this long. */
const stillMs = 65_000;
const cause: Cause = { cause: 'simulator', user: 'root', uid: 0 };

export class Simulation {
  readonly random: Random;
  readonly scheduler = new Scheduler();
  readonly disk = new SimDisk();
  readonly host: SimHost;
  readonly checks: Checks;
  readonly promises = new Promises();
  readonly drift: 'repair' | 'report';
  agent: SimAgent | null = null;
  /** No event about devices reaches the agent. */
  linkEventsAreLost = false;
  readonly #seed: number;
  readonly #log: string[] = [];
  readonly #violations: string[] = [];
  readonly #counts: Record<string, number> = {};
  /** Calls of a living agent that were not answered yet, by what they are. */
  readonly #open = new Map<object, { what: string; agent: SimAgent; atMs: number; withinMs: number }>();
  /** When such a call was last under way, for a guest and for all. */
  readonly #askedMs = new Map<Vmid, number>();
  #askedAllMs = -1;
  #lives = 0;
  #faults = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.random = new Random(seed);
    this.drift = this.random.chance(0.8) ? 'repair' : 'report';
    this.host = new SimHost(this.random, this.scheduler, {
      devicesChanged: (names) => {
        this.#tellDevices(names);
      },
      hook: (vmid, phase) => this.#hook(vmid, phase),
      agentTransaction: (operations, before, after) => {
        this.count(before === after ? 'refused' : 'committed');
        this.checks.transaction(operations, before, after);
      },
      log: (line) => {
        this.log(line);
      },
      isAskedSince: (livedMs, vmid) => this.#isAskedSince(livedMs, vmid),
      violation: (text) => {
        this.violation(text);
      },
    });
    this.checks = new Checks({
      host: this.host,
      disk: this.disk,
      promises: this.promises,
      drift: this.drift,
      nowMs: () => this.scheduler.livedMs,
      violation: (text) => {
        this.violation(text);
      },
    });
  }

  log(line: string): void {
    this.#log.push(`${(this.scheduler.nowMs - 1_000_000).toFixed(1).padStart(9)}  ${line}`);
  }

  violation(text: string): void {
    this.log(`VIOLATION: ${text}`);
    this.#violations.push(text);
  }

  count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }

  async run(): Promise<Outcome> {
    try {
      await this.#play();
    } catch (error) {
      this.violation(error instanceof Error ? error.message : String(error));
    }
    this.killAgent();
    return { seed: this.#seed, violations: this.#violations, log: this.#log, counts: this.#counts };
  }

  async #play(): Promise<void> {
    const { random } = this;
    this.startAgent();
    const events = random.integer(10, 40);
    for (let event = 0; event < events && this.#violations.length === 0; event++) {
      const { name, happen } = chooseEvent(this);
      this.log(name);
      this.count(name);
      happen();
      await this.#live(
        random.weighted([
          [2, 0],
          [4, random.between(0, 30)],
          [3, random.between(0, 600)],
          [2, random.between(500, 4000)],
        ]),
      );
    }
    await this.#comeToRest();
  }

  startAgent(): void {
    if (this.agent !== null) return;
    const agent = new SimAgent({
      random: this.random,
      scheduler: this.scheduler,
      host: this.host,
      disk: this.disk,
      life: ++this.#lives,
      drift: this.drift,
      onSeenFree: (netdev) => this.checks.seenFreeMs.set(netdev, this.scheduler.livedMs),
      log: (line) => {
        this.log(`agent: ${line}`);
      },
      violation: (text) => {
        this.violation(text);
      },
    });
    this.agent = agent;
    agent.start().catch((error: unknown) => {
      // As systemd would: what cannot start is started again.
      this.log(`agent: did not start: ${String(error)}`);
      if (!(error instanceof AgentError)) this.violation(`the start failed: ${String(error)}`);
      if (this.agent === agent) this.killAgent();
      this.scheduler.after(500, () => {
        this.startAgent();
      });
    });
  }

  killAgent(): void {
    const { agent } = this;
    this.agent = null;
    agent?.kill();
    for (const [key, call] of this.#open) if (call.agent === agent) this.#open.delete(key);
  }

  /** SIGTERM; callers of a service that stops hear that it is gone. */
  async stopAgent(): Promise<void> {
    const { agent } = this;
    if (agent === null) return;
    for (const [key, call] of this.#open) if (call.agent === agent) this.#open.delete(key);
    await agent.stop();
    if (this.agent === agent) this.agent = null;
  }

  /** A fault begins; the function given ends it after a while, or at the latest when all is mended. */
  fault(forMs: number, end: () => void): void {
    this.#faults++;
    this.scheduler.after(forMs, () => {
      end();
      this.#faults--;
    });
  }

  /** A person calls; the answer, whatever it is, has to come in time. */
  call(what: string, ask: (engine: NonNullable<SimAgent['parts']>['engine']) => Promise<unknown>): void {
    void this.#asked(what, apiAnswerMs, (engine) => ask(engine)).finally(() => {
      if (!what.startsWith('stray')) this.#askedAllMs = this.scheduler.livedMs;
    });
  }

  get cause(): Cause {
    return cause;
  }

  async #asked(
    what: string,
    withinMs: number,
    ask: (engine: NonNullable<SimAgent['parts']>['engine']) => Promise<unknown>,
  ): Promise<void> {
    const { agent } = this;
    const engine = agent?.parts?.engine;
    if (agent === null || engine === undefined) return;
    const key = {};
    this.#open.set(key, { what, agent, atMs: this.scheduler.livedMs, withinMs });
    try {
      const answer = await ask(engine);
      this.log(`${what}: ${typeof answer === 'string' ? answer : 'done'}`);
      this.count('answered');
    } catch (error) {
      this.log(`${what}: ${String(error)}`);
      this.count('refused call');
      if (!(error instanceof AgentError) || error.code === 'Internal') {
        this.violation(`${what} ended with ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
    this.#open.delete(key);
  }

  #isAskedSince(livedMs: number, vmid: Vmid): boolean {
    const isUnderWay = [...this.#open.values()].some(({ what }) => !/^stray|pre-|post-stop/.test(what));
    return isUnderWay || (this.#askedMs.get(vmid) ?? -1) >= livedMs || this.#askedAllMs >= livedMs;
  }

  /** In order, late, twice, or never; Proxmox VE waits for its hook, but not for ever. */
  async #hook(vmid: Vmid, phase: Phase): Promise<void> {
    const { random, scheduler } = this;
    const notify = (): Promise<void> =>
      this.#asked(`hook ${vmid} ${phase}`, answersMs[phase], (engine) =>
        engine.notifyLifecycle(vmid, phase, cause),
      ).finally(() => {
        // What it began may go on for a while when it was answered that it is still under way.
        if (phase === 'post-start') this.#askedMs.set(vmid, scheduler.livedMs + answersMs[phase]);
      });
    const way = random.weighted([
      [12, 'once'],
      [2, 'never'],
      [2, 'twice'],
      [2, 'late'],
    ] as const);
    if (way === 'never') return;
    if (way === 'late') {
      scheduler.after(random.between(0, 3000), () => {
        void notify();
      });
      return;
    }
    if (way === 'twice') void notify();
    await Promise.race([notify(), scheduler.sleep(answersMs[phase] + 100)]);
  }

  #tellDevices(names: readonly string[]): void {
    if (this.linkEventsAreLost) return;
    this.scheduler.after(this.random.between(0, 5), () => {
      this.agent?.devicesChanged(names);
    });
  }

  async #live(ms: number): Promise<void> {
    await this.scheduler.run(ms, () => {
      this.#checkAnswers();
    });
  }

  #checkAnswers(): void {
    for (const [key, { what, atMs, withinMs }] of this.#open) {
      if (this.scheduler.livedMs - atMs <= withinMs) continue;
      this.#open.delete(key);
      this.violation(`${what}: no answer within ${withinMs} ms`);
    }
  }

  async #comeToRest(): Promise<void> {
    this.log('--- everything is mended');
    for (let waited = 0; this.#faults > 0 || this.host.busy.size > 0; waited++) {
      await this.#live(1000);
      if (waited > 200) {
        this.violation(`faults or tasks that do not end: ${this.#faults}, ${[...this.host.busy.keys()].join()}`);
        return;
      }
    }
    this.host.ovs.cuts.length = 0;
    this.host.ovs.races.length = 0;
    this.linkEventsAreLost = false;
    this.startAgent();
    await this.#live(restMs);
    if (this.#violations.length > 0) return;
    if (this.scheduler.livedMs - this.checks.lastCommitMs < stillMs) this.violation('the agent does not come to rest');
    const problem = this.agent?.parts?.client.problem ?? null;
    if (problem !== null) this.violation(`not in step at the end: ${problem.message}`);
    if (this.agent?.parts?.engine.isHealthy === false) this.violation('a pass does not end');
    if (this.agent?.parts === null) this.violation('the agent does not serve at the end');
    const { agent } = this;
    const stopped = agent?.stop();
    await this.#live(1000);
    await Promise.race([stopped, this.#stillStopping()]);
    if (agent !== null && agent.pendingTimers > 0)
      this.violation(`${agent.pendingTimers} timers are left after the stop`);
    await this.checks.atRest();
  }

  async #stillStopping(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    this.violation('the stop hangs');
  }
}
