/**
 * Changes that the switch refused. The rule, by what it said:
 * - it could not be reached, is busy, or did not answer (retryable): nothing is remembered, the pass is tried again;
 * - a row is not as the plan had seen it (`Conflict`): nothing is remembered, it is looked at again at once;
 * - anything else, such as a constraint violation: the same request would be refused again. It is remembered and not
 *   repeated by events and timers until the rows of the switch or what is wanted have changed; when they have changed
 *   since the plan was made, it is looked at again at once. A hook or a person is always obeyed.
 */
import type { PortChange } from './plan.ts';

interface Refusal {
  readonly reason: string;
  /** `SwitchView.generation` of the rows that the refused change was planned for. */
  readonly generation: number;
}

export class Refusals {
  readonly #refusals = new Map<string, Refusal>();

  note(change: PortChange, reason: string, generation: number): void {
    this.#refusals.set(keyOf(change), { reason, generation });
  }

  /** Why this change is not worth a try; null when it is. */
  reasonAgainst(change: PortChange, generation: number): string | null {
    const refusal = this.#refusals.get(keyOf(change));
    return refusal?.generation === generation ? refusal.reason : null;
  }

  /** Forgets all but these: what is not planned any more is nobody's matter. */
  retain(changes: readonly PortChange[]): void {
    const planned = new Set(changes.map(keyOf));
    for (const key of this.#refusals.keys()) if (!planned.has(key)) this.#refusals.delete(key);
  }
}

/** What is done to which row or device, and how it is wanted. */
function keyOf(change: PortChange): string {
  if (change.kind === 'detach') return `detach ${change.row.portUuid}`;
  const { netdev, port, rowName, bridge, tag, trunks } = change.wanted;
  const what = change.kind === 'attach' ? netdev : change.row.portUuid;
  return JSON.stringify([change.kind, what, port, rowName, bridge, tag, trunks]);
}
