/**
 * Tells which guests' configurations changed, by Proxmox VE's own list of guests: inotify does not see what other nodes
 * write to `/etc/pve`. While nothing changes, a look costs one read of `.version`, which the cluster file system makes
 * from memory.
 */
import type { Vmid } from '../model/names.ts';
import type { Registry } from './cluster-registry.ts';

const lookIntervalMs = 1000;

/** What tells one state of a file from another: of guests by vmid, of the cluster's own by name. */
interface Stamps {
  readonly guests: ReadonlyMap<Vmid, string>;
  readonly files: ReadonlyMap<string, string>;
}

export interface GuestFileWatch {
  readonly intervalMs?: number;
  /** Files of the cluster that concern guests as well, such as `user.cfg`, and who wants to hear of a write. */
  readonly files?: ReadonlyMap<string, () => void>;
}

/**
 * Calls `onChanged` with the guests of this node whose files were written, came or went, at most once in `intervalMs`. A
 * cluster file system that cannot be read tells nothing until it can be again; then every guest whose file may be another
 * is told, and every file of `files`. The result ends it.
 */
export function watchGuestFiles(
  registry: { current(): Promise<Pick<Registry, 'guests' | 'version'> | null> },
  onChanged: (vmids: readonly Vmid[]) => void,
  { intervalMs = lookIntervalMs, files = new Map() }: GuestFileWatch = {},
): () => void {
  let before: Stamps | null = null;
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    // Whoever reads guests reports what is wrong; here it only means that nothing new is known.
    const now = await registry.current().then(stampsOf, () => null);
    if (isOver) return;
    if (now !== null && before !== null) {
      const changed = differences(before.guests, now.guests);
      if (changed.length > 0) onChanged(changed);
      for (const name of differences(before.files, now.files)) files.get(name)?.();
    }
    before = now ?? before ?? { guests: new Map(), files: new Map() };
    // Only when the last look is over: a file system that hangs holds one read, not one for each second.
    timer = setTimeout(() => void look(), intervalMs).unref();
  };
  void look();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

function stampsOf(registry: Pick<Registry, 'guests' | 'version'> | null): Stamps | null {
  if (registry === null) return null;
  const { starttime, files } = registry.version;
  return {
    guests: new Map([...registry.guests.values()].map(({ vmid, kind, version }) => [vmid, `${starttime} ${kind} ${version}`])), // prettier-ignore
    files: new Map([...files].map(([name, count]) => [name, `${starttime} ${count}`])),
  };
}

function differences<K>(before: ReadonlyMap<K, string>, now: ReadonlyMap<K, string>): K[] {
  const keys = new Set([...before.keys(), ...now.keys()]);
  return [...keys].filter((key) => before.get(key) !== now.get(key));
}
