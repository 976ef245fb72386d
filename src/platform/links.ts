/** Kernel network devices through iproute2. */
import { IpBatch, sentinel } from './ip-batch.ts';
import { isDeviceName, renamedPrefix } from './link-info.ts';
import type { LinkInfo } from './link-info.ts';

interface NameChange {
  readonly before: string;
  readonly after: string;
  /** Command lines before and after the change itself. */
  readonly first: string;
  readonly then: string;
  /** What the device says of itself when all is done. */
  readonly originalName: string | null;
}

export class Links {
  readonly #ip = new IpBatch();

  /** The named devices as they are now, under any of their names; those that do not exist are missing. */
  async observe(names: readonly string[]): Promise<Map<string, LinkInfo>> {
    const valid = validNames(names);
    const shown = await this.#ip.show(valid.map((name) => `link show dev ${name}`));
    return new Map(valid.flatMap((name) => shown.find(name) ?? []).map((link) => [link.name, link]));
  }

  async observeAll(): Promise<ReadonlyMap<string, LinkInfo>> {
    return (await this.#ip.run(['link show'], 1)).byName;
  }

  /** Adds altnames and reads each device back; the answer holds those that have theirs. */
  async addAltnames(names: ReadonlyMap<string, string>): Promise<Map<string, LinkInfo>> {
    const lines = [...names].flatMap(([netdev, altname]) => [
      `link property add dev ${netdev} altname ${altname}`,
      `link show dev ${netdev}`,
    ]);
    const shown = await this.#ip.runTogether(lines);
    return new Map(
      [...names].flatMap(([netdev, altname]) => {
        const link = shown.byName.get(netdev);
        return link?.altnames.includes(altname) === true ? [[netdev, link]] : [];
      }),
    );
  }

  /** Those of the named devices that have an address other than a link-local one. */
  async withAddress(names: readonly string[]): Promise<Set<string>> {
    if (names.length === 0) return new Set();
    const shown = await this.#ip.run(validNames(names).map((name) => `address show dev ${name}`));
    return new Set([...shown.byName.values()].filter(({ hasAddress }) => hasAddress).map(({ name }) => name));
  }

  /** Does nothing when the device or the altname is gone. */
  async removeAltname(netdev: string, altname: string): Promise<void> {
    await this.#ip.run([`link property del dev ${netdev} altname ${altname}`]);
  }

  /**
   * Renames devices; the names they had become altnames. Answers those that have their new names, by these.
   *   1. the altname that remembers the old name     -> killed here: the device is as it was, `originalName` says so
   *   2. the name                                    -> killed here: known by `originalName`, not yet by its old name
   *   3. the old name as an altname
   */
  async rename(names: ReadonlyMap<string, string>): Promise<Map<string, LinkInfo>> {
    const renamed = await this.#setNames(
      [...names].map(([before, after]) => ({
        before,
        after,
        first: `link property add dev ${before} altname ${renamedPrefix}${before}`,
        // At once: whoever made the device may be about to ask for it. Where the new name is another device's, the old
        // one is still a name, and this fails.
        then: `link property add dev ${after} altname ${before}`,
        originalName: before,
      })),
    );
    const failed = [...names].filter(([, after]) => !renamed.has(after));
    await this.#ip.run(failed.map(([before]) => `link property del dev ${before} altname ${renamedPrefix}${before}`));
    return renamed;
  }

  /** The way back, for devices with an `originalName`: the same steps backwards. Answers those that have it, by it. */
  giveBackNames(devices: readonly LinkInfo[]): Promise<Map<string, LinkInfo>> {
    return this.#setNames(
      devices.flatMap(({ name, originalName }) =>
        originalName === null
          ? []
          : [
              {
                before: name,
                after: originalName,
                // A name that a device has as an altname cannot become its name.
                first: `link property del dev ${name} altname ${originalName}`,
                then: `link property del dev ${originalName} altname ${renamedPrefix}${originalName}`,
                originalName: null,
              },
            ],
      ),
    );
  }

  /** Answers the devices that have their names. Kernels before 6.2 rename none that is up: it is down for a moment. */
  async #setNames(changes: readonly NameChange[]): Promise<Map<string, LinkInfo>> {
    const done = new Map<string, LinkInfo>();
    const attempt = async (some: readonly NameChange[], isBusy: boolean): Promise<void> => {
      const lines = some.flatMap(({ before, after, first, then }) => [
        first,
        `link property del dev ${before} altname ${after}`,
        ...(isBusy ? [`link set dev ${before} down`] : []),
        `link set dev ${before} name ${after}`,
        then,
        `link show dev ${after}`,
      ]);
      const shown = await this.#ip.run(lines);
      for (const { after, originalName } of some) {
        const link = shown.byName.get(after);
        if (link?.originalName === originalName) done.set(after, link);
      }
    };
    await attempt(changes, false);
    const left = changes.filter(({ after }) => !done.has(after));
    // A device whose new name is taken is not set down for nothing.
    const taken = [...(await this.observe(left.map(({ after }) => after))).values()];
    const busy = left.filter(
      ({ after }) => !taken.some(({ name, altnames }) => name === after || altnames.includes(after)),
    );
    await attempt(busy, true);
    await this.#ip.run(busy.map(({ before, after }) => `link set dev ${done.has(after) ? after : before} up`));
    return done;
  }

  /** Sets devices up and puts each into its Linux bridge; the answer holds those that are in theirs. */
  async joinBridges(bridges: ReadonlyMap<string, string>): Promise<Map<string, LinkInfo>> {
    // `ip` takes a master that does not exist for a mistake in its arguments, and ends in spite of `-force`.
    const existing = await this.observe([...bridges.values()]);
    const joinable = [...bridges].filter(([, bridge]) => existing.has(bridge));
    if (joinable.length === 0) return new Map();
    const lines = joinable.flatMap(([netdev, bridge]) => [
      `link set dev ${netdev} up master ${bridge}`,
      `link show dev ${netdev}`,
    ]);
    const shown = await this.#ip.run(lines);
    return new Map([...shown.byName].filter(([netdev, link]) => link.master === bridges.get(netdev)));
  }

  close(): void {
    this.#ip.close();
  }
}

/** Names also come from rows that anybody can write; what is no device name is not put into a command line. */
function validNames(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => isDeviceName(name) && name !== sentinel);
}
