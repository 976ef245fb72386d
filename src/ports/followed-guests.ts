/**
 * Guests that an event told of and that are looked at a few times more, because what the event announces comes after it
 * and may be told by nobody: a container's unit is active, and `pre-start` is called, before its devices are there; Proxmox
 * VE writes a configuration and plugs at different times; a killed guest's devices go a moment after its processes.
 */
import type { Vmid } from '../model/names.ts';
import type { Clock } from './contracts.ts';

/** After the last event. LXC makes the devices within the first second; mounting slow storage takes longer. */
export const followUpsMs: readonly number[] = [250, 1_000, 3_000, 10_000];
/** More guests than this at once are what a whole pass is for. */
const followedMax = 1_000;

export class FollowedGuests {
  readonly #clock: Clock;
  readonly #touch: (vmid: Vmid, cause: string) => void;
  /** What cancels the next look at each guest. */
  readonly #followed = new Map<Vmid, () => void>();

  constructor(clock: Clock, touch: (vmid: Vmid, cause: string) => void) {
    this.#clock = clock;
    this.#touch = touch;
  }

  /** From now on, and no more for what was told of the guest before. */
  follow(vmid: Vmid, cause: string): void {
    this.#cancel(vmid);
    if (this.#followed.size < followedMax) this.#lookAgain(vmid, cause, 0);
  }

  stop(): void {
    for (const vmid of [...this.#followed.keys()]) this.#cancel(vmid);
  }

  #lookAgain(vmid: Vmid, cause: string, index: number): void {
    const atMs = followUpsMs[index];
    if (atMs === undefined) {
      this.#followed.delete(vmid);
      return;
    }
    const cancel = this.#clock.after(atMs - (followUpsMs[index - 1] ?? 0), () => {
      this.#touch(vmid, cause);
      this.#lookAgain(vmid, cause, index + 1);
    });
    this.#followed.set(vmid, cancel);
  }

  #cancel(vmid: Vmid): void {
    this.#followed.get(vmid)?.();
    this.#followed.delete(vmid);
  }
}
