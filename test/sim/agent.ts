/**
 * One life of the agent on a simulated host: the real client, engine and ledger, wired as `src/agent.ts` wires them. All
 * that it asks of the outside goes through here, so that a kill ends it at any `await`: nothing is heard any more, and what
 * was under way has happened or has not.
 */
import { planManagedBlock } from '../../src/interfaces/managed-block.ts';
import type { Block } from '../../src/ledger/block.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { AgentError, toAgentError } from '../../src/model/errors.ts';
import { parseBridgeName, parseContainerName } from '../../src/model/names.ts';
import type { NetdevName, PortName } from '../../src/model/names.ts';
import type { Timers } from '../../src/ovsdb/channel.ts';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { Link, Links } from '../../src/ports/contracts.ts';
import { PortEngine } from '../../src/ports/engine.ts';
import { switchTables } from '../../src/ports/switch-view.ts';
import { switchLock } from '../../src/ports/transaction.ts';
import { readOneByOne } from '../support/guests-one-by-one.ts';
import { ledgerOptions } from '../support/ledger-fixtures.ts';
import { SimLedgerStore } from './disk.ts';
import type { Io, SimDisk } from './disk.ts';
import type { SimHost } from './host.ts';
import { managedBridges } from './host.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

const cluster = 'cluster1';
const switchWaitMs = 1000;

export interface AgentOptions {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly host: SimHost;
  readonly disk: SimDisk;
  readonly life: number;
  readonly drift: 'repair' | 'report';
  /** The agent was told that a device exists and that nothing holds it. */
  onSeenFree(netdev: string): void;
  readonly log: (line: string) => void;
  readonly violation: (text: string) => void;
}

/** Parts that `start` makes. */
interface Parts {
  readonly ledger: Ledger;
  readonly client: OvsdbClient<typeof switchTables>;
  readonly engine: PortEngine;
}

export class SimAgent {
  /** Null until it serves. */
  parts: Parts | null = null;
  readonly #options: AgentOptions;
  readonly #store: SimLedgerStore;
  readonly #timers = new Set<() => void>();
  readonly #killed = new AbortController();

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#store = new SimLedgerStore(options.disk, options.random, this.#io);
  }

  get isAlive(): boolean {
    return !this.#killed.signal.aborted;
  }

  /** Callbacks that it waits for. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Resolves when it serves, as the service does once its name is on the bus. */
  async start(): Promise<void> {
    const { host, disk, life, log, violation } = this.#options;
    const ledger = await Ledger.open(this.#store, ledgerOptions({ nowMs: () => this.#wallMs() }));
    if (ledger.tampered) violation(`the ledger opens as tampered: ${ledger.tamperedAt?.reason ?? ''}`);
    const [last] = await ledger.query({ limit: 1 });
    const endedInOrder = isStop(last);
    const client = new OvsdbClient({
      remotes: [{ endpoint: 'unix:/sim', dial: host.ovs.dialFor(this.#killed.signal) }],
      timers: this.#clock,
      database: 'Open_vSwitch',
      tables: switchTables,
      lock: switchLock,
      onListenerError: (error) => {
        violation(`a listener threw: ${error.message}`);
      },
    });
    let txns = 0;
    const engine = new PortEngine({
      switch: client,
      replica: () => client.replica,
      links: this.#links,
      guests: readOneByOne({
        list: () => this.#io(() => [...host.configurations.keys()].sort((a, b) => a - b)),
        read: (vmid) =>
          this.#io(() => {
            if (host.unreadable.has(vmid)) throw new AgentError('Unavailable', `cannot read ${vmid}.conf: EIO`);
            return host.configurations.get(vmid) ?? null;
          }),
      }),
      guestLocks: { isLocked: ({ vmid }) => this.#io(() => host.locked.has(vmid)) },
      recorder: {
        append: (draft) => ledger.append(draft),
        writeAheadAll: (drafts, action) => ledger.writeAheadAll(drafts, action),
        abandon: (block, reason) => ledger.abandon(block, reason),
        treeHead: () => ledger.treeHead(),
        inDoubt: () => (endedInOrder ? [] : ledger.inDoubt()),
      },
      listing: {
        look: () => this.#io(() => new Map()),
        update: (ports) =>
          this.#io(() => {
            if (disk.fault !== null) throw new AgentError('Unavailable', 'ENOSPC');
            const plan = planManagedBlock(disk.interfaces, ports, 'ovs-port-agent');
            disk.interfaces = plan.text;
            return { state: 'present' as const, foreign: plan.foreign };
          }),
      },
      bindingsStore: {
        load: () => this.#io(() => disk.bindings),
        save: (value) =>
          this.#io(() => {
            if (disk.fault !== null) throw new AgentError('Unavailable', 'ENOSPC');
            disk.bindings = structuredClone(value);
          }),
      },
      clock: this.#clock,
      host: 'pve1',
      cluster: () => cluster,
      newTxn: () => `life${life}-${++txns}`,
      bridges: managedBridges.map(parseBridgeName),
      bridgeName: parseBridgeName('ovsbr0'),
      containerBridge: parseBridgeName('ovsbr1'),
      namingTemplate: 'vi_{container}',
      namingMode: 'auto',
      includePrefixes: [],
      policies: [],
      pools: { problem: null, poolOf: () => null },
      containerNames: { nameOf: (netdev) => Promise.resolve(parseContainerName(netdev)) },
      debounceMs: 500,
      timerMs: 60_000,
      switchWakes: true,
      drift: this.#options.drift,
      events: {
        portAdded: () => undefined,
        portRemoved: () => undefined,
        portChanged: () => undefined,
        drift: (port, text) => {
          log(`drift of ${port}: ${text}`);
        },
        trouble: (error) => {
          log(`trouble: ${error.code} ${error.message}`);
          if (error.code === 'Internal') violation(`internal error: ${error.stack ?? error.message}`);
        },
      },
    });
    client.listen({
      onChanges: (changes) => {
        engine.onSwitchChanges(changes);
      },
      onLock: (isHeld) => {
        engine.onSwitchLock(isHeld);
      },
      onState: (problem) => {
        log(problem === null ? 'connected' : problem.message);
        engine.onSwitchState(problem);
      },
    });
    client.start();
    await engine.load();
    await engine.switchReady(switchWaitMs).catch(() => undefined);
    await engine.start();
    this.parts = { ledger, client, engine };
    await record(ledger, 'start');
  }

  /** As on SIGTERM. */
  async stop(): Promise<void> {
    const parts = this.parts;
    if (parts === null) {
      this.kill();
      return;
    }
    this.parts = null;
    await parts.engine.stop();
    parts.client.stop();
    if (parts.engine.isOutcomeKnown) await record(parts.ledger, 'stop');
    await parts.ledger.close();
  }

  /** As on SIGKILL. */
  kill(): void {
    this.#store.tear();
    this.#killed.abort();
    this.parts = null;
  }

  devicesChanged(names: readonly string[]): void {
    this.parts?.engine.onLinkChanges(names);
  }

  readonly #clock: Timers = {
    nowMs: () => this.#options.scheduler.nowMs,
    after: (delayMs, callback) => {
      const timer = (): void => {
        this.#timers.delete(timer);
        if (this.isAlive) callback();
      };
      this.#timers.add(timer);
      const cancel = this.#options.scheduler.after(delayMs, timer);
      return () => {
        this.#timers.delete(timer);
        cancel();
      };
    },
    afterReceiving: (callback) => this.#clock.after(0, callback),
  };

  readonly #io: Io = async (action) => {
    await this.#later();
    let result;
    try {
      result = await action();
    } finally {
      await this.#later();
    }
    return result;
  };

  /** Never resolves in a process that was killed. */
  #later(): Promise<void> {
    const { random, scheduler } = this.#options;
    const delayMs = random.chance(0.02) ? random.between(0, 200) : random.between(0, 1);
    return new Promise((resolve) => {
      scheduler.after(delayMs, () => {
        if (this.isAlive) resolve();
      });
    });
  }

  #wallMs(): number {
    return Date.UTC(2025, 9, 14, 12) + this.#options.scheduler.nowMs;
  }

  readonly #links: Links = {
    observe: (names) => this.#io(() => this.#observed(names)),
    observeAll: () => this.#io(() => this.#observed([...this.#options.host.devices.keys()])),
    // Only naming mode `rename` asks for these, which is not for hosts with Proxmox VE.
    rename: () => Promise.reject(new Error('misuse: rename')),
    giveBackNames: (devices) =>
      devices.length === 0 ? Promise.resolve(new Map()) : Promise.reject(new Error('misuse: giveBackNames')),
    withAddress: () => this.#io(() => new Set<string>()),
    addAltnames: (names) =>
      this.#io(() => {
        const { devices } = this.#options.host;
        for (const [netdev, altname] of names) {
          const isTaken = [...devices.values()].some(
            ({ name, altnames }) => name === altname || altnames.includes(altname),
          );
          const device = devices.get(netdev);
          if (device !== undefined && !isTaken)
            devices.set(netdev, { ...device, altnames: [...device.altnames, altname] });
        }
        return new Map(
          [...this.#observed([...names.keys()])].filter(([netdev, { altnames }]) =>
            altnames.includes(names.get(netdev as NetdevName) as PortName),
          ),
        );
      }),
    removeAltname: (netdev, altname) =>
      this.#io(() => {
        const { devices } = this.#options.host;
        const device = devices.get(netdev);
        if (device === undefined) return;
        devices.set(netdev, { ...device, altnames: device.altnames.filter((name) => name !== altname) });
      }),
    joinBridges: (bridges) =>
      this.#io(() => {
        for (const [netdev, master] of bridges) this.#options.host.changeDevice(netdev, { master });
        return this.#observed([...bridges.keys()]);
      }),
  };

  #observed(names: readonly string[]): ReadonlyMap<string, Link> {
    const { devices } = this.#options.host;
    const byAltname = (name: string): Link | undefined =>
      [...devices.values()].find(({ altnames }) => altnames.includes(name));
    const found = new Map(
      names.flatMap((name) => devices.get(name) ?? byAltname(name) ?? []).map((link) => [link.name, link]),
    );
    for (const [name, { master }] of found) if (master === null) this.#options.onSeenFree(name);
    return found;
  }
}

async function record(ledger: Ledger, action: 'start' | 'stop'): Promise<void> {
  const metadata = { user: 'root', uid: 0, host: 'pve1', plugin: 'agent', cause: action };
  await ledger.append({ category: 'settings', action, metadata, data: {} }).catch((error: unknown) => {
    if (toAgentError(error).code === 'Internal') throw error;
  });
}

function isStop(block: Block | undefined): boolean {
  return block?.category === 'settings' && block.action === 'stop';
}
