/**
 * Tells which guests' configurations changed, by Proxmox VE's own list of guests: inotify does not see what other nodes
 * write to `/etc/pve`. While nothing changes, a look costs one read of `.version`, which the cluster file system makes
 * from memory.
 */
import type { Vmid } from '../model/names.ts';
import type { Registry } from './cluster-registry.ts';

const lookIntervalMs = 1000;

/** What tells one state of a guest's file from another, by vmid. */
type Stamps = ReadonlyMap<Vmid, string>;

/**
 * Calls `onChanged` with the guests of this node whose files were written, came or went, at most once in `intervalMs`. A
 * cluster file system that cannot be read tells nothing until it can be again; then every guest whose file may be another
 * is told. The result ends it.
 */
export function watchGuestFiles(
  registry: { current(): Promise<Pick<Registry, 'guests' | 'version'> | null> },
  onChanged: (vmids: readonly Vmid[]) => void,
  { intervalMs = lookIntervalMs }: { intervalMs?: number } = {},
): () => void {
  let before: Stamps | null = null;
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    // Whoever reads guests reports what is wrong; here it only means that nothing new is known.
    const now = await registry.current().then(stampsOf, () => null);
    if (isOver) return;
    if (now !== null && before !== null) {
      const changed = changedGuests(before, now);
      if (changed.length > 0) onChanged(changed);
    }
    before = now ?? before ?? new Map();
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
  const { guests, version } = registry;
  return new Map([...guests.values()].map((guest) => [guest.vmid, `${version.starttime} ${guest.kind} ${guest.version}`])); // prettier-ignore
}

function changedGuests(before: Stamps, now: Stamps): Vmid[] {
  const vmids = new Set([...before.keys(), ...now.keys()]);
  return [...vmids].filter((vmid) => before.get(vmid) !== now.get(vmid));
}
