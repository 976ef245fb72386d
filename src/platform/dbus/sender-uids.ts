/** Which uid is behind a unique name. A bus never gives a unique name twice, so answers stay true for a connection. */
import { senderUidsMax } from './limits.ts';

export class SenderUids {
  readonly #query: (sender: string) => Promise<number>;
  /** Promises, so that a burst of calls by one sender asks once. Oldest first. */
  readonly #known = new Map<string, Promise<number>>();

  constructor(query: (sender: string) => Promise<number>) {
    this.#query = query;
  }

  get(sender: string): Promise<number> {
    const known = this.#known.get(sender);
    if (known !== undefined) return known;
    const asked = this.#query(sender);
    this.#known.set(sender, asked);
    asked.catch(() => this.#known.delete(sender));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= senderUidsMax) break;
      this.#known.delete(oldest);
    }
    return asked;
  }
}
