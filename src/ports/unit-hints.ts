/**
 * What systemd says of guests' units, as hints for the runner. A container's unit is active as soon as `lxc-start` was
 * executed, before its devices are there, and nothing is signalled when they come: so a guest whose unit changed is
 * looked at a few times more.
 */
import type { Vmid } from '../model/names.ts';
import type { Clock } from './contracts.ts';

/** After a unit's last change. LXC makes the devices within the first second; mounting slow storage takes longer. */
export const followUpsMs: readonly number[] = [250, 1_000, 3_000, 10_000];
/** More guests than this at once are what a whole pass is for. */
const followedMax = 1_000;

export class UnitHints {
  readonly #clock: Clock;
  readonly #touch: (vmid: Vmid) => void;
  /** What cancels the next look at each guest. */
  readonly #followed = new Map<Vmid, () => void>();

  constructor(clock: Clock, touch: (vmid: Vmid) => void) {
    this.#clock = clock;
    this.#touch = touch;
  }

  changed(vmid: Vmid): void {
    this.#touch(vmid);
    this.#cancel(vmid);
    if (this.#followed.size < followedMax) this.#follow(vmid, 0);
  }

  stop(): void {
    for (const vmid of [...this.#followed.keys()]) this.#cancel(vmid);
  }

  #follow(vmid: Vmid, index: number): void {
    const atMs = followUpsMs[index];
    if (atMs === undefined) {
      this.#followed.delete(vmid);
      return;
    }
    const cancel = this.#clock.after(atMs - (followUpsMs[index - 1] ?? 0), () => {
      this.#touch(vmid);
      this.#follow(vmid, index + 1);
    });
    this.#followed.set(vmid, cancel);
  }

  #cancel(vmid: Vmid): void {
    this.#followed.get(vmid)?.();
    this.#followed.delete(vmid);
  }
}
