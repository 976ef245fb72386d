/**
 * Network devices of this host, each change of them recorded before it is made. What cannot work is not tried, so that a
 * name that stays taken does not fill the ledger; what was tried and did not come about gets a block that says so.
 */
import type { Block, JsonObject, JsonValue } from '../ledger/block.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import type { NetdevName, PortName } from '../model/names.ts';
import type { Cause, Journal, Link, Links, PlannedChange, Recorder } from './contracts.ts';

type LinksByName = ReadonlyMap<string, Link>;

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

  constructor({ links, journal }: DevicesOptions) {
    this.#links = links;
    this.#journal = journal;
  }

  observe(names: readonly string[]): Promise<LinksByName> {
    return this.#links.observe(names);
  }

  observeAll(): Promise<LinksByName> {
    return this.#links.observeAll();
  }

  withAddress(names: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#links.withAddress(names);
  }

  /** As `Links.addAltnames`; a name that a device has already is not asked for. */
  async addAltnames(names: ReadonlyMap<NetdevName, PortName>, cause: Cause): Promise<LinksByName> {
    const before = await this.#links.observe([...names.keys(), ...names.values()]);
    const free = new Map([...names].filter(([netdev, port]) => before.has(netdev) && !isName(port, before)));
    const changes = [...free].map(([netdev, port]) => {
      const altnames = before.get(netdev)?.altnames ?? [];
      return {
        netdev,
        action: 'add-altname',
        data: { port, before: { altnames: [...altnames] }, after: { altnames: [...altnames, port] } },
        isDone: (found: LinksByName) => found.get(netdev)?.altnames.includes(port) === true,
      };
    });
    const named = [...before].filter(([netdev, { altnames }]) =>
      altnames.includes(names.get(netdev as NetdevName) ?? ''),
    );
    const added = await this.#change(changes, cause, () => this.#links.addAltnames(free));
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

  async #change(changes: readonly DeviceChange[], cause: Cause, act: () => Promise<LinksByName>): Promise<LinksByName> {
    if (changes.length === 0) return new Map();
    return this.#journal.change(
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

function isName(name: string, links: LinksByName): boolean {
  return [...links.values()].some((link) => link.name === name || link.altnames.includes(name));
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
