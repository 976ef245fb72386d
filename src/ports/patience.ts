/**
 * Remembers since when something has looked wrong, so that it is only acted on when it still looks wrong later. Proxmox
 * plugs by deleting and adding again: who repairs at once makes Proxmox's own `add-port` fail.
 */

/** How long a missing row is left to Proxmox, and a row without netdev is left alone. */
export const patienceMs = 1000;

export class Patience {
  readonly #since = new Map<string, number>();

  /** Whether `key` has been reported for `patienceMs`; the first report starts its time. */
  isRipe(key: string, nowMs: number): boolean {
    const since = this.#since.get(key);
    if (since === undefined) {
      this.#since.set(key, nowMs);
      return false;
    }
    return nowMs >= since + patienceMs;
  }

  /** Somebody is at it: its time starts anew. */
  postpone(key: string, nowMs: number): void {
    this.#since.set(key, nowMs);
  }

  /** These were acted on: should one look wrong again, its time starts anew. */
  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#since.delete(key);
  }

  /** Nobody has looked for a while: the time of each starts anew. */
  clear(): void {
    this.#since.clear();
  }

  /** Drops keys that `belongs` claims and that were not reported again: what looked wrong has gone. */
  retain(reported: ReadonlySet<string>, belongs: (key: string) => boolean): void {
    for (const key of this.#since.keys()) if (!reported.has(key) && belongs(key)) this.#since.delete(key);
  }

  /** When the oldest waiting key becomes ripe; null when none waits. */
  nextRipeMs(): number | null {
    let first: number | null = null;
    for (const since of this.#since.values()) first = Math.min(first ?? Number.POSITIVE_INFINITY, since + patienceMs);
    return first;
  }
}
