/**
 * Keeps the Mirrors that policies ask for. A Mirror has the ports of many guests, a pass may have looked at one: what each
 * port is to be mirrored to is remembered from pass to pass, and compared with the switch at the end of every pass and
 * whenever a Mirror or a target changes. Nothing is decided before the first whole pass.
 */
import { isRetryable, toAgentError } from '../model/errors.ts';
import type { BridgeName, PortName, Vmid } from '../model/names.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';
import type { Committer } from './committer.ts';
import type { Cause } from './contracts.ts';
import { isOurs, markKeys } from './marks.ts';
import { isOursMirror, mirrorTarget } from './mirror-marks.ts';
import { mirrorChangeKey, planMirrors } from './mirror-plan.ts';
import type { MirrorChange, MirrorDrift, MirrorPlan, MirrorSource } from './mirror-plan.ts';
import { portNameOfRow } from './plan.ts';
import type { Scope } from './scope.ts';
import { isTable } from './switch-view.ts';
import type { SwitchChange, SwitchTables, SwitchView } from './switch-view.ts';

export interface MirrorsOptions {
  readonly view: SwitchView;
  readonly committer: Committer;
  readonly managed: ReadonlySet<BridgeName>;
  readonly drift: 'repair' | 'report';
  /** The row of a port, by any name that people call it. */
  readonly findPort: (name: string) => ObservedPort | null;
}

export interface MirrorResult {
  /** What was done. */
  readonly changes: readonly MirrorChange[];
  readonly problems: readonly string[];
  readonly drift: readonly MirrorDrift[];
  readonly nextCfg: number | null;
}

/** Plans of one pass: what was planned on may be gone before it is written. */
const attemptsMax = 3;

interface Remembered {
  readonly port: PortName;
  readonly target: PortName;
  readonly vmid: Vmid | null;
}

export class Mirrors {
  readonly #options: MirrorsOptions;
  /** By netdev; null before the first whole pass. */
  #wanted: Map<string, Remembered> | null = null;
  /** Changes that the switch refused, with its reason. */
  readonly #refused = new Map<string, string>();

  constructor(options: MirrorsOptions) {
    this.#options = options;
  }

  /** What a pass over `scope` wants; of guests that could not be read, what was wanted before. */
  note(scope: Scope, wanted: readonly WantedPort[], unreadable: ReadonlyMap<Vmid, unknown>): void {
    if (this.#wanted === null && scope !== 'all') return;
    const isLookedAt = ({ port, vmid }: Remembered): boolean =>
      scope === 'all' || scope.has(port) || (vmid !== null && scope.has(vmid));
    const isKept = (remembered: Remembered): boolean =>
      !isLookedAt(remembered) || (remembered.vmid !== null && unreadable.has(remembered.vmid));
    const before = this.#wanted ?? this.#onSwitch(unreadable);
    this.#wanted = new Map([...before].filter(([, remembered]) => isKept(remembered)));
    for (const { netdev, port, mirrorTo, owner } of wanted) {
      if (mirrorTo !== null) this.#wanted.set(netdev, { port, target: mirrorTo, vmid: owner.vmid });
    }
  }

  /** Makes the switch's Mirrors what they should be. Rejects when the switch cannot be reached. */
  async pass(cause: Cause): Promise<MirrorResult> {
    const made: MirrorChange[] = [];
    let nextCfg: number | null = null;
    for (let attempt = 1; ; attempt++) {
      const plan = this.#plan();
      const planned = new Map(plan.changes.map((change) => [mirrorChangeKey(change), change]));
      for (const key of this.#refused.keys()) if (!planned.has(key)) this.#refused.delete(key);
      const outcome = await this.#commit(
        [...planned].filter(([key]) => !this.#refused.has(key)),
        cause,
      );
      made.push(...outcome.made);
      if (outcome.nextCfg !== null) nextCfg = Math.max(nextCfg ?? 0, outcome.nextCfg);
      if (!outcome.isOutdated || attempt === attemptsMax) {
        return { changes: made, problems: [...plan.problems, ...this.#refused.values()], drift: plan.drift, nextCfg };
      }
    }
  }

  async #commit(
    changes: readonly (readonly [string, MirrorChange])[],
    cause: Cause,
  ): Promise<{ made: MirrorChange[]; nextCfg: number | null; isOutdated: boolean }> {
    const made: MirrorChange[] = [];
    let nextCfg: number | null = null;
    let isOutdated = false;
    const outcomes = await Promise.allSettled(
      changes.map(([, change]) => this.#options.committer.commit([change], cause)),
    );
    for (const [index, [key, change]] of changes.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === 'fulfilled') {
        made.push(change);
        if (outcome.value.nextCfg !== null) nextCfg = Math.max(nextCfg ?? 0, outcome.value.nextCfg);
        continue;
      }
      const error = toAgentError(outcome?.reason);
      if (isRetryable(error)) throw error;
      // A row that the plan had seen is gone meanwhile.
      if (error.code === 'Conflict') isOutdated = true;
      else this.#refused.set(key, `mirror: ${error.message}`);
    }
    return { made, nextCfg, isOutdated };
  }

  /** Whether these changes of the switch leave something to do that no guest's own pass would see. */
  areDue(changes: readonly SwitchChange[]): boolean {
    if (this.#wanted === null) return false;
    const targets = new Set([...this.#wanted.values()].map(({ target }): string => target));
    const concern = changes.some(
      (change) =>
        change.table === 'Mirror' || (isTable(change, 'Port') && namesOf(change.row).some((name) => targets.has(name))),
    );
    if (!concern) return false;
    const { changes: due, drift } = this.#plan();
    return drift.length > 0 || due.some((change) => !this.#refused.has(mirrorChangeKey(change)));
  }

  #plan(): MirrorPlan {
    const { view, managed, drift, findPort } = this.#options;
    if (this.#wanted === null) return { changes: [], problems: [], drift: [] };
    const sources = [...this.#wanted].flatMap(([netdev, { port, target }]): MirrorSource[] => {
      const row = view.byNetdev(netdev);
      return row !== null && isOurs(row) ? [{ port, row, target }] : [];
    });
    return planMirrors({
      sources,
      mirrors: view.mirrorsOn(managed),
      rowOfPort: findPort,
      nameOf: (portUuid) => {
        const row = view.byUuid(portUuid);
        return row === null ? portUuid : (portNameOfRow(row) ?? row.rowName);
      },
      drift,
    });
  }

  /** What Mirrors of an earlier run say about guests that cannot be read now. */
  #onSwitch(unreadable: ReadonlyMap<Vmid, unknown>): Map<string, Remembered> {
    const { view, managed } = this.#options;
    const found = new Map<string, Remembered>();
    if (unreadable.size === 0) return found;
    for (const mirror of view.mirrorsOn(managed).filter(isOursMirror)) {
      const target = mirrorTarget(mirror);
      if (target === null) continue;
      for (const vmid of unreadable.keys()) {
        for (const row of view.ofVmid(vmid)) {
          const port = portNameOfRow(row);
          if (port !== null && mirror.selectSrcPort.includes(row.portUuid))
            found.set(row.netdev, { port, target, vmid });
        }
      }
    }
    return found;
  }
}

function namesOf({ name, external_ids: ids }: SwitchTables['Port']): string[] {
  return [name, ids.get(markKeys.portName) ?? ''];
}
