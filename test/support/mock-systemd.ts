/**
 * `org.freedesktop.systemd1` on a private bus: units that behave as they are told, jobs with paths, signals to those who
 * subscribed. A transient service really runs its program. Tests make it misbehave by `faults`.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { openSync, closeSync } from 'node:fs';
import type { CallReply, IncomingCall } from '../../src/api/dbus/contract.ts';
import { BusConnection } from '../../src/platform/dbus/connection.ts';
import type { JobResult } from '../../src/systemd1/job.ts';
import { parseUnitName, unitOfPath, unitPath } from '../../src/systemd1/unit-name.ts';
import type { UnitName } from '../../src/systemd1/unit-name.ts';

/** What a unit does when it is started. `hangs`: its start never ends by itself. `needs`: another that fails. */
export type Behaviour = 'runs' | 'exits' | 'fails' | 'hangs' | 'masked' | 'needs';

interface MockUnit {
  readonly behaviour: Behaviour;
  activeState: string;
  subState: string;
  result: string;
  execMainStatus: number;
  invocationId: Buffer;
  job: number | null;
}

/** Each applies to every call until it is taken back. */
export interface Faults {
  /** The job ends, and nobody is told. */
  removedLost?: boolean;
  /** The method is carried out, and never answered. */
  replyLost?: boolean;
  /** The method is neither carried out nor answered. */
  callLost?: boolean;
  /** The reply names another job. */
  wrongJobPath?: string;
  /** The unit goes as soon as its job has ended. */
  vanishes?: boolean;
}

const busName = 'org.freedesktop.systemd1';
const root = '/org/freedesktop/systemd1';
const manager = `${busName}.Manager`;

class MockError extends Error {
  readonly errorName: string;
  constructor(name: string, message: string) {
    super(message);
    this.errorName = name;
  }
}

export class MockSystemd {
  faults: Faults = {};
  readonly units = new Map<UnitName, MockUnit>();
  /** Members of the manager that were called, in order. */
  readonly calls: string[] = [];
  readonly #subscribers = new Set<string>();
  readonly #connection: BusConnection;
  readonly #jobs = new Map<number, { unit: UnitName; end: (result: JobResult) => void }>();
  #lastJob = 0;

  static async start(address: string): Promise<MockSystemd> {
    const mock = new MockSystemd(await BusConnection.connect(address, { deadlineMs: 5000 }));
    await mock.#connection.requestName(busName);
    return mock;
  }

  private constructor(connection: BusConnection) {
    this.#connection = connection;
    connection.serve((call) => this.#answer(call));
  }

  get subscribers(): ReadonlySet<string> {
    return this.#subscribers;
  }

  stop(): void {
    this.#connection.close();
  }

  makeUnit(name: string, behaviour: Behaviour): UnitName {
    const unit = parseUnitName(name);
    this.units.set(unit, newUnit(behaviour));
    this.#signal('UnitNew', 'so', [unit, unitPath(unit)]);
    return unit;
  }

  /** Ends a unit as a crash of its process would. */
  crash(name: UnitName): void {
    const unit = this.#unit(name);
    this.#become(name, unit, { activeState: 'failed', subState: 'failed', result: 'signal', execMainStatus: 9 });
  }

  remove(name: UnitName): void {
    this.units.delete(name);
    this.#signal('UnitRemoved', 'so', [name, unitPath(name)]);
  }

  async #answer(call: IncomingCall): Promise<CallReply> {
    try {
      if (call.interface === 'org.freedesktop.DBus.Properties') return this.#answerProperties(call);
      if (call.interface !== manager || call.path !== root)
        throw new MockError('org.freedesktop.DBus.Error.UnknownMethod', '');
      this.calls.push(call.member);
      const isFaulty = /^(Start|Stop|Restart)/.test(call.member);
      if (isFaulty && this.faults.callLost === true) return await never();
      const reply = this.#answerManager(call);
      return isFaulty && this.faults.replyLost === true ? await never() : reply;
    } catch (error) {
      if (!(error instanceof MockError)) throw error;
      return { kind: 'error', errorName: error.errorName, message: error.message };
    }
  }

  #answerManager({ member, body, sender }: IncomingCall): CallReply {
    const [first, second, third] = body;
    switch (member) {
      case 'Subscribe':
        if (this.#subscribers.has(sender))
          throw new MockError(`${busName}.AlreadySubscribed`, 'Client is already subscribed.');
        this.#subscribers.add(sender);
        return reply('', []);
      case 'LoadUnit':
        return reply('o', [unitPath(parseUnitName(String(first)))]);
      case 'ListUnitsByPatterns':
        return reply('a(ssssssouso)', [this.#list(second as string[])]);
      case 'StartUnit':
        return this.#queued(parseUnitName(String(first)), 'start');
      case 'StopUnit':
        return this.#queued(parseUnitName(String(first)), 'stop');
      case 'RestartUnit':
        return this.#queued(parseUnitName(String(first)), 'restart');
      case 'KillUnit':
        this.crash(parseUnitName(String(first)));
        return reply('', []);
      case 'StartTransientUnit':
        return this.#startTransient(parseUnitName(String(first)), new Map(third as [string, { value: unknown }][]));
      case 'UnrefUnit':
        this.units.delete(parseUnitName(String(first)));
        return reply('', []);
      default:
        throw new MockError('org.freedesktop.DBus.Error.UnknownMethod', member);
    }
  }

  #answerProperties({ path, member, body }: IncomingCall): CallReply {
    const name = unitOfPath(path);
    const unit = name === null ? undefined : this.units.get(name);
    const properties = name === null ? {} : propertiesOf(name, unit, String(body[0]));
    if (member === 'GetAll') return reply('a{sv}', [properties]);
    const value = properties[String(body[1])];
    if (value === undefined) throw new MockError('org.freedesktop.DBus.Error.UnknownProperty', String(body[1]));
    return reply('v', [value]);
  }

  #queued(name: UnitName, kind: 'start' | 'stop' | 'restart'): CallReply {
    const unit = this.#unit(name);
    if (unit.behaviour === 'masked') throw new MockError(`${busName}.UnitMasked`, `Unit ${name} is masked.`);
    for (const job of this.#jobs.values()) if (job.unit === name) job.end('canceled');
    const number = this.#startJob(name, (result) => {
      if (kind !== 'stop') return result;
      this.#become(name, unit, { activeState: 'inactive', subState: 'dead' });
      return result;
    });
    if (kind === 'stop') this.#endJob(number, 'done');
    else if (unit.behaviour === 'needs') this.#endJob(number, 'dependency');
    else if (unit.behaviour === 'hangs') this.#become(name, unit, { activeState: 'activating', subState: 'start' });
    else {
      unit.invocationId = randomBytes(16);
      const ending = {
        runs: { activeState: 'active', subState: 'running', result: 'success' },
        exits: { activeState: 'inactive', subState: 'dead', result: 'success', execMainStatus: 0 },
        fails: { activeState: 'failed', subState: 'failed', result: 'exit-code', execMainStatus: 3 },
      }[unit.behaviour];
      this.#become(name, unit, ending);
      this.#endJob(number, unit.behaviour === 'fails' ? 'failed' : 'done');
    }
    return reply('o', [this.faults.wrongJobPath ?? jobPath(number)]);
  }

  #startTransient(name: UnitName, properties: ReadonlyMap<string, { value: unknown }>): CallReply {
    if (this.units.has(name)) throw new MockError(`${busName}.UnitExists`, `Unit ${name} was already loaded.`);
    const [[program, argv]] = properties.get('ExecStartEx')?.value as [[string, string[]]];
    const output = openSync(String(properties.get('StandardOutputFileToAppend')?.value), 'a');
    const unit = newUnit('exits');
    this.units.set(name, unit);
    const number = this.#startJob(name, (result) => result);
    this.#become(name, unit, { activeState: 'activating', subState: 'start' });
    const child = spawn(program, argv.slice(1), { stdio: ['ignore', output, output], argv0: argv[0] });
    closeSync(output);
    const end = (execMainStatus: number, signal: string | null): void => {
      const isGood = execMainStatus === 0 && signal === null;
      const result = isGood ? 'success' : signal === null ? 'exit-code' : 'signal';
      this.#become(name, unit, {
        ...(isGood ? { activeState: 'inactive', subState: 'dead' } : { activeState: 'failed', subState: 'failed' }),
        result,
        execMainStatus: signal === null ? execMainStatus : 9,
      });
      this.#endJob(number, isGood ? 'done' : 'failed');
    };
    child.once('error', () => {
      end(203, null);
    });
    child.once('exit', (code, signal) => {
      end(code ?? 0, signal);
    });
    return reply('o', [this.faults.wrongJobPath ?? jobPath(number)]);
  }

  #startJob(name: UnitName, end: (result: JobResult) => JobResult): number {
    const number = ++this.#lastJob;
    this.#unit(name).job = number;
    this.#jobs.set(number, {
      unit: name,
      end: (result) => {
        this.#jobs.delete(number);
        const unit = this.units.get(name);
        if (unit?.job === number) unit.job = null;
        const said = end(result);
        if (this.faults.removedLost !== true) {
          this.#signal('JobRemoved', 'uoss', [number, jobPath(number), name, said]);
        }
        if (this.faults.vanishes === true) this.remove(name);
      },
    });
    return number;
  }

  #endJob(number: number, result: JobResult): void {
    this.#jobs.get(number)?.end(result);
  }

  #become(name: UnitName, unit: MockUnit, change: Partial<MockUnit>): void {
    Object.assign(unit, change);
    if (this.#subscribers.size === 0) return;
    this.#connection.emitSignal({
      path: unitPath(name),
      interface: 'org.freedesktop.DBus.Properties',
      member: 'PropertiesChanged',
      signature: 'sa{sv}as',
      body: [`${busName}.Unit`, { ActiveState: { signature: 's', value: unit.activeState } }, []],
    });
  }

  #signal(member: string, signature: string, body: readonly unknown[]): void {
    if (this.#subscribers.size > 0)
      this.#connection.emitSignal({ path: root, interface: manager, member, signature, body });
  }

  #list(patterns: readonly string[]): unknown[] {
    const wanted = patterns.map((pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`));
    return [...this.units]
      .filter(([name]) => wanted.some((pattern) => pattern.test(name)))
      .map(([name, unit]) => [
        name,
        '',
        loadStateOf(unit),
        unit.activeState,
        unit.subState,
        '',
        unitPath(name),
        0,
        '',
        '/',
      ]);
  }

  #unit(name: UnitName): MockUnit {
    const unit = this.units.get(name);
    if (unit === undefined) throw new MockError(`${busName}.NoSuchUnit`, `Unit ${name} not found.`);
    return unit;
  }
}

function newUnit(behaviour: Behaviour): MockUnit {
  return {
    behaviour,
    activeState: 'inactive',
    subState: 'dead',
    result: 'success',
    execMainStatus: 0,
    invocationId: Buffer.alloc(0),
    job: null,
  };
}

function propertiesOf(
  name: UnitName,
  unit: MockUnit | undefined,
  interfaceName: string,
): Record<string, { signature: string; value: unknown }> {
  const text = (value: string) => ({ signature: 's', value });
  if (interfaceName === `${busName}.Unit`) {
    return {
      Id: text(name),
      LoadState: text(loadStateOf(unit)),
      ActiveState: text(unit?.activeState ?? 'inactive'),
      SubState: text(unit?.subState ?? 'dead'),
      InvocationID: { signature: 'ay', value: unit?.invocationId ?? Buffer.alloc(0) },
      Job: { signature: '(uo)', value: typeof unit?.job === 'number' ? [unit.job, jobPath(unit.job)] : [0, '/'] },
    };
  }
  return {
    Result: text(unit?.result ?? 'success'),
    MainPID: { signature: 'u', value: unit?.activeState === 'active' ? 4711 : 0 },
    ExecMainStatus: { signature: 'i', value: unit?.execMainStatus ?? 0 },
    ControlGroup: text(unit?.activeState === 'active' ? `/system.slice/${name}` : ''),
  };
}

function loadStateOf(unit: MockUnit | undefined): string {
  return unit === undefined ? 'not-found' : unit.behaviour === 'masked' ? 'masked' : 'loaded';
}

function jobPath(number: number): string {
  return `${root}/job/${number}`;
}

function reply(signature: string, body: readonly unknown[]): CallReply {
  return { kind: 'return', signature, body };
}

function never(): Promise<CallReply> {
  return new Promise(() => undefined);
}
