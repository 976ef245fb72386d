/** Devices that the agent said it had taken over: until it is asked to take one off, it has to know of it. */
import { parseGuestNetdev } from '../../src/model/guest.ts';

export class Promises {
  readonly #portOf = new Map<string, string>();
  #takenOff = 0;

  /** A device is being handed over; what is returned takes the answer and hands it on. */
  begin(netdev: string): (port: string) => string {
    const takenOff = this.#takenOff;
    return (port) => {
      // A guest's card is known from its guest, and asked for in between it is anybody's guess who came first.
      if (parseGuestNetdev(netdev) !== null || takenOff !== this.#takenOff) return port;
      for (const [other, name] of this.#portOf) if (name === port) this.#portOf.delete(other);
      this.#portOf.set(netdev, port);
      return port;
    };
  }

  /** Somebody asks for that; whether it succeeds may stay unknown. */
  takenOff(name: string): void {
    this.#takenOff++;
    for (const [netdev, port] of this.#portOf) if (netdev === name || port === name) this.#portOf.delete(netdev);
  }

  all(): ReadonlyMap<string, string> {
    return this.#portOf;
  }
}
