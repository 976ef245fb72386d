/** What each call of the hookscript does, and the one line it answers for Proxmox's task log. */
import { AgentError, toAgentError } from '../model/errors.ts';
import { guestLabel } from '../model/guest.ts';
import type { Guest } from '../model/guest.ts';
import type { Phase } from '../model/lifecycle.ts';
import type { BridgeName, Vmid } from '../model/names.ts';
import type { WantedPort } from '../model/port.ts';
import type { Committer } from './committer.ts';
import type { Cause, Guests } from './contracts.ts';
import type { NicVerdict } from './desired.ts';
import { isOurs } from './marks.ts';
import { detachNow, everythingNow } from './reconciler.ts';
import type { PassResult, Reconciler } from './reconciler.ts';
import type { SwitchView } from './switch-view.ts';

/** How long a `post-start` waits for Open vSwitch to apply a port; the hook itself gives up after 1.5 s. */
const appliedDeadlineMs = 1000;

export interface LifecycleOptions {
  readonly reconciler: Reconciler;
  readonly committer: Committer;
  readonly guests: Guests;
  readonly view: SwitchView;
  readonly managed: ReadonlySet<BridgeName>;
}

/**
 * Answers in words whatever the state of guest and switch: a hook can do nothing about it. Rejects only when the switch
 * cannot be written at all, or the guest's configuration not be read.
 */
export async function runPhase(options: LifecycleOptions, vmid: Vmid, phase: Phase, cause: Cause): Promise<string> {
  if (phase === 'pre-stop') {
    const guest = await options.guests.read(vmid);
    // The guest may survive its own shutdown, so its ports stay.
    if (guest !== null) return `${guestLabel(guest)}: stopping, ports stay until its devices are gone`;
  }
  const result = await options.reconciler.pass(
    new Set([vmid]),
    cause,
    phase === 'post-start' ? everythingNow : detachNow,
  );
  const unreadable = result.unreadable.get(vmid);
  if (unreadable !== undefined) throw new AgentError('Unavailable', unreadable);
  const guest = options.reconciler.guest(vmid);
  // Destroyed, or migrated away: what it left here goes all the same.
  if (guest === null)
    return `guest ${vmid}: ${joined(removed(result.changes), 'no configuration on this node, nothing to do')}`;
  return `${guestLabel(guest)}: ${await outcomeOf(guest, phase, result, options)}`;
}

async function outcomeOf(guest: Guest, phase: Phase, result: PassResult, options: LifecycleOptions): Promise<string> {
  switch (phase) {
    case 'pre-start':
      return joined([...removed(result.changes), ...missingBridges(guest, options)], 'ready');
    case 'post-start': {
      const late = await options.committer.waitApplied(result.committed, appliedDeadlineMs).then(
        () => '',
        (error: unknown) => `; ${toAgentError(error).message}`,
      );
      return `${describe(guest.vmid, result, options.view)}${late}`;
    }
    case 'pre-stop':
    case 'post-stop':
      return joined(removed(result.changes), 'no ports left behind');
    default:
      return phase satisfies never;
  }
}

function describe(vmid: Vmid, result: PassResult, view: SwitchView): string {
  const verdicts = result.verdicts.get(vmid) ?? [];
  return joined(
    verdicts.map((verdict) => describeNic(verdict, result, view)),
    'has no network cards',
  );
}

function describeNic(verdict: NicVerdict, result: PassResult, view: SwitchView): string {
  if (verdict.wanted === null) return `${verdict.nic} ${verdict.reason}`;
  const problem = result.problems.get(verdict.wanted.port);
  const row = view.byNetdev(verdict.wanted.netdev);
  if (row === null || !isOurs(row)) return `${verdict.nic}: ${problem ?? 'not on the switch'}`;
  if (row.error !== null) return `${verdict.nic}: Open vSwitch says: ${row.error}`;
  return `${verdict.nic} is ${describePort(verdict.wanted)}${problem === undefined ? '' : ` (${problem})`}`;
}

/** `vi100 on ovsbr0, tag 10` */
function describePort({ port, bridge, tag, trunks }: WantedPort): string {
  return `${port} on ${bridge}${tag === null ? '' : `, tag ${tag}`}${trunks.length === 0 ? '' : `, trunks ${trunks.join(',')}`}`;
}

function removed(changes: PassResult['changes']): string[] {
  return changes.flatMap((change) =>
    change.kind === 'detach' ? [`removed ${change.port ?? change.row.rowName} from ${change.row.bridge}`] : [],
  );
}

function missingBridges(guest: Guest, { view, managed }: LifecycleOptions): string[] {
  const wanted = new Set(guest.nics.flatMap(({ bridge }) => (bridge === null || !managed.has(bridge) ? [] : [bridge])));
  return [...wanted]
    .filter((bridge) => view.bridgeUuid(bridge) === null)
    .map((bridge) => `bridge ${bridge} does not exist on the switch`);
}

function joined(parts: readonly string[], otherwise: string): string {
  return parts.length === 0 ? otherwise : parts.join('; ');
}
