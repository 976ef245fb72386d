/** The `netN` of a guest as they will be after its next start, as texts. */
import { createHash } from 'node:crypto';
import type { GuestKind } from '../model/guest.ts';
import { nicIndex, parseNicName } from '../model/names.ts';
import type { NicName } from '../model/names.ts';
import { parseGuestDocument, settingsOf } from './guest-document.ts';

export interface NicSettings {
  /** By number. */
  readonly values: ReadonlyMap<NicName, string>;
  /** `backup`, `migrate`, `snapshot`, ...; null when there is none. */
  readonly lock: string | null;
  /** Of the whole configuration: a change that names it is refused when it is another by then. */
  readonly digest: string;
}

/** Out of a guest's file, latin1; the digest is what `pct` and `qm` compute of it. */
export function nicSettingsOf(kind: GuestKind, text: string): NicSettings {
  const document = parseGuestDocument(kind, text);
  const [current] = document.sections;
  const settings = settingsOf(document, current);
  const lock = settings.get('lock') ?? null;
  for (const section of document.sections) {
    if (section.kind !== 'pending') continue;
    const pending = settingsOf(document, section);
    // A key after `!` is taken away by force.
    const gone = (pending.get('delete') ?? '').split(/[,;\s]+/).map((key) => key.replace(/^!/, ''));
    for (const key of gone) settings.delete(key);
    for (const [key, value] of pending) settings.set(key, value);
  }
  const digest = createHash('sha1').update(text, 'latin1').digest('hex');
  return { values: nicValues(settings), lock, digest };
}

/** Those of some settings that are nics. */
export function nicValues(settings: Iterable<readonly [key: string, value: string]>): Map<NicName, string> {
  const nics: [NicName, string][] = [];
  for (const [key, value] of settings) {
    if (/^net(?:[0-9]|[12][0-9]|3[01])$/.test(key)) nics.push([parseNicName(key), value]);
  }
  return new Map(nics.sort(([a], [b]) => nicIndex(a) - nicIndex(b)));
}
