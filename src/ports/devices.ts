/**
 * Network devices of this host, each change of them recorded before it is made. What cannot work is not tried, and a name
 * that was refused is asked for first, so that one that stays taken does not fill the ledger; what was tried and did not
 * come about gets a block that says so.
 */
import type { Block, JsonObject, JsonValue } from '../ledger/block.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import type { NetdevName, PortName } from '../model/names.ts';
import type { Cause, Journal, Link, Links, PlannedChange, Recorder } from './contracts.ts';

type LinksByName = ReadonlyMap<string, Link>;

/** Devices as they were at some time after `moment` (`Devices.moment`). */
export interface Seen {
  readonly links: LinksByName;
  readonly moment: number;
}

export interface DevicesOptions {
  readonly links: Links;
  readonly journal: Journal;
}

/** One change of one device; `isDone` looks at what was read back. */
interface DeviceChange {
  readonly netdev: string;
  readonly action: string;
  readonly data: JsonObject;
  readonly isDone: (found: LinksByName) => boolean;
}

export class Devices implements Pick<Links, 'observe' | 'observeAll' | 'withAddress'> {
  readonly #links: Links;
  readonly #journal: Journal;
  /** What the last run left in doubt is settled. */
  #isSettled = false;
  /** Changes that came to their end, whatever it was. */
  #changes = 0;
  /** Of devices that are there: which of the changes was its last. */
  readonly #lastChangeOf = new Map<string, number>();
  /** Whoever is naming a device. */
  readonly #naming = new Map<string, Promise<unknown>>();
  /** Altnames that a device was refused, because another has them as far as is known. */
  readonly #refused = new Set<PortName>();

  constructor({ links, journal }: DevicesOptions) {
    this.#links = links;
    this.#journal = journal;
  }

  /** Taken before a look at devices, tells later which of them were changed since. */
  get moment(): number {
    return this.#changes;
  }

  observe(names: readonly string[]): Promise<LinksByName> {
    return this.#links.observe(names);
  }

  async observeAll(): Promise<LinksByName> {
    const found = await this.#links.observeAll();
    for (const netdev of this.#lastChangeOf.keys()) if (!found.has(netdev)) this.#lastChangeOf.delete(netdev);
    return found;
  }

  withAddress(names: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#links.withAddress(names);
  }

  /**
   * As `Links.addAltnames`; a name that a device is seen to have is not asked for. Who else has a name is looked at only
   * after it was refused: iproute2 remembers altnames that it was asked for, and has to be started anew when one went.
   */
  async addAltnames(names: ReadonlyMap<NetdevName, PortName>, seen: Seen, cause: Cause): Promise<LinksByName> {
    // Two passes that see the same name missing at the same time want one change, not two.
    const others = Promise.allSettled([...names.keys()].flatMap((netdev) => this.#naming.get(netdev) ?? []));
    const mine = others.then(() => this.#addAltnames(names, seen, cause));
    for (const netdev of names.keys()) this.#naming.set(netdev, mine);
    try {
      return await mine;
    } finally {
      for (const netdev of names.keys()) if (this.#naming.get(netdev) === mine) this.#naming.delete(netdev);
    }
  }

  async #addAltnames(
    names: ReadonlyMap<NetdevName, PortName>,
    { links: seen, moment }: Seen,
    cause: Cause,
  ): Promise<LinksByName> {
    const before = await this.#refreshed(names, seen, moment);
    const holders = holdersOf(before);
    const free = new Map([...names].filter(([netdev, port]) => before.has(netdev) && !holders.has(port)));
    const changes = [...free].map(([netdev, port]) => {
      const altnames = before.get(netdev)?.altnames ?? [];
      return {
        netdev,
        action: 'add-altname',
        data: { port, before: { altnames: [...altnames] }, after: { altnames: [...altnames, port] } },
        isDone: (found: LinksByName) => found.get(netdev)?.altnames.includes(port) === true,
      };
    });
    const named = [...names].flatMap(([netdev, port]) => {
      const link = before.get(netdev);
      return link?.altnames.includes(port) === true ? [[netdev, link] as const] : [];
    });
    const added = await this.#change(changes, cause, () => this.#links.addAltnames(free));
    for (const [netdev, port] of free) {
      if (added.has(netdev)) this.#refused.delete(port);
      else this.#refused.add(port);
    }
    return new Map([...named, ...added]);
  }

  async removeAltname(netdev: string, altname: string, cause: Cause): Promise<void> {
    const altnames = (await this.#links.observe([netdev])).get(netdev)?.altnames ?? [];
    if (!altnames.includes(altname)) return;
    const change = {
      netdev,
      action: 'remove-altname',
      data: {
        port: altname,
        before: { altnames: [...altnames] },
        after: { altnames: altnames.filter((name) => name !== altname) },
      },
      isDone: () => true,
    };
    await this.#change([change], cause, async () => {
      await this.#links.removeAltname(netdev, altname);
      return new Map<string, Link>();
    });
  }

  /** As `Links.rename`; a name that another device has is not asked for. */
  async rename(names: ReadonlyMap<string, PortName>, cause: Cause): Promise<LinksByName> {
    const before = await this.#links.observe([...names].flat());
    const possible = new Map(
      [...names].filter(([netdev, port]) => {
        const holder = before.get(port);
        // A kill may have come between its new name and the old one as an altname.
        return holder === undefined ? before.has(netdev) : holder.originalName === netdev;
      }),
    );
    const changes = [...possible].map(([netdev, port]) => ({
      netdev,
      action: 'rename',
      data: { port, before: { name: netdev }, after: { name: port } },
      isDone: (found: LinksByName) => found.has(port),
    }));
    return this.#change(changes, cause, () => this.#links.rename(possible));
  }

  /** As `Links.giveBackNames`. */
  giveBackNames(devices: readonly Link[], cause: Cause): Promise<LinksByName> {
    const changes = devices.flatMap(({ name, originalName }) =>
      originalName === null
        ? []
        : [
            {
              netdev: originalName,
              action: 'rename',
              data: { port: name, before: { name }, after: { name: originalName } },
              isDone: (found: LinksByName) => found.has(originalName),
            },
          ],
    );
    return this.#change(changes, cause, () => this.#links.giveBackNames(devices));
  }

  /** As `Links.joinBridges`; a bridge that is not there is not asked for. */
  async joinBridges(bridges: ReadonlyMap<NetdevName, NetdevName>, cause: Cause): Promise<LinksByName> {
    const before = await this.#links.observe([...bridges].flat());
    const possible = new Map([...bridges].filter(([netdev, bridge]) => before.has(netdev) && before.has(bridge)));
    const changes = [...possible].map(([netdev, bridge]) => ({
      netdev,
      action: 'join-bridge',
      data: { bridge, before: { master: before.get(netdev)?.master ?? null }, after: { master: bridge } },
      isDone: (found: LinksByName) => found.get(netdev)?.master === bridge,
    }));
    return this.#change(changes, cause, () => this.#links.joinBridges(possible));
  }

  /** Once: what the last run wrote ahead of a device that does not have it was never done. */
  async settleInDoubt(recorder: Pick<Recorder, 'inDoubt' | 'abandon'>): Promise<void> {
    if (this.#isSettled) return;
    for (const block of recorder.inDoubt().filter(({ category }) => category === 'interface')) {
      if (hasLanded(block, await this.#links.observe(namesIn(block))) === false) {
        await recorder.abandon(block, 'the device does not have this change');
      }
    }
    this.#isSettled = true;
  }

  /** What was seen, with another look at whatever was changed since, by another pass or by this one, or was refused. */
  async #refreshed(names: ReadonlyMap<NetdevName, PortName>, seen: LinksByName, moment: number): Promise<LinksByName> {
    const holders = holdersOf(seen);
    const isOutdated = (netdev: string): boolean => (this.#lastChangeOf.get(netdev) ?? 0) > moment;
    const outdated = [...names].filter(
      ([netdev, port]) => isOutdated(netdev) || isOutdated(holders.get(port) ?? '') || this.#refused.has(port),
    );
    if (outdated.length === 0) return seen;
    const current = [...seen].filter(([netdev]) => !isOutdated(netdev));
    return new Map([...current, ...(await this.#links.observe(outdated.flat()))]);
  }

  async #change(changes: readonly DeviceChange[], cause: Cause, act: () => Promise<LinksByName>): Promise<LinksByName> {
    if (changes.length === 0) return new Map();
    try {
      return await this.#journal.change(
        changes.map((change) => plannedChange(change, cause)),
        async (blocks) => {
          const found = await act();
          for (const [index, { isDone }] of changes.entries()) {
            const block = blocks[index];
            if (block !== undefined && !isDone(found)) await this.#journal.undone(block, 'the device was not changed');
          }
          return found;
        },
      );
    } finally {
      this.#changes++;
      for (const { netdev } of changes) this.#lastChangeOf.set(netdev, this.#changes);
    }
  }
}

/** The names under which the device of a block may be found. */
function namesIn({ data: { netdev, after } }: Block): string[] {
  const name = isObject(after) ? after['name'] : undefined;
  return [netdev, name].filter((one) => typeof one === 'string');
}

/** null: the block is no such change, or nothing tells. */
function hasLanded({ data: { netdev, after } }: Block, links: LinksByName): boolean | null {
  if (typeof netdev !== 'string' || !isObject(after)) return null;
  const { altnames, master, name } = after;
  if (typeof name === 'string') return links.has(name);
  const link = links.get(netdev);
  if (Array.isArray(altnames)) return link?.altnames.toSorted().join() === altnames.map(String).toSorted().join();
  return typeof master === 'string' ? link?.master === master : null;
}

function plannedChange({ netdev, action, data }: DeviceChange, cause: Cause): PlannedChange {
  const vmid = parseGuestNetdev(netdev)?.vmid;
  return {
    category: 'interface',
    action,
    cause,
    data: { ...(vmid === undefined ? {} : { vmid }), netdev, ...data },
  };
}

/** Which device has a name, as its name or as an altname. */
function holdersOf(links: LinksByName): Map<string, string> {
  return new Map([...links.values()].flatMap(({ name, altnames }) => [name, ...altnames].map((one) => [one, name])));
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
