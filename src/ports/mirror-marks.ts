/** By what a Mirror row is known as ours, and for which port it was made. */
import { hash } from 'node:crypto';
import type { ObservedMirror, WantedMirror } from '../model/mirror.ts';
import type { PortName } from '../model/names.ts';
import { markKeys, ownerMark } from './marks.ts';

/** Nobody else names a Mirror like that, so that it is ours also when its `external_ids` were wiped. */
const namePrefix = 'ovs-port-agent-';

/** Name of the Mirror row; names of Mirrors need not be unique in a database, and each bridge may have one for a target. */
export function mirrorName(target: PortName): string {
  return `${namePrefix}${target}`;
}

/** The other way; null for a Mirror that somebody gave another name. */
export function mirrorTarget({ name }: ObservedMirror): PortName | null {
  return name.startsWith(namePrefix) ? (name.slice(namePrefix.length) as PortName) : null;
}

export function isOursMirror({ name, ids }: ObservedMirror): boolean {
  return ids.get(markKeys.owner) === ownerMark || name.startsWith(namePrefix);
}

export function mirrorMarks(wanted: WantedMirror): ReadonlyMap<string, string> {
  return new Map([
    [markKeys.owner, ownerMark],
    [markKeys.fields, mirrorFingerprint(wanted)],
  ]);
}

/** Fingerprint of the columns the agent set, so that a foreign edit can be told from a guest that came or went. */
export function mirrorFingerprint({ sources, output }: WantedMirror): string {
  return hash('sha256', JSON.stringify([sources.map(({ row }) => row).sort(), output])).slice(0, 16);
}
