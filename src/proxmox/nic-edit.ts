/** A change of single options of one `netN`; all others keep their bytes and their order. */
import { AgentError } from '../model/errors.ts';
import type { GuestKind } from '../model/guest.ts';
import { parseBridgeName, parseVlanTag, quote } from '../model/names.ts';
import { parseNicOptions, parseTrunks, readBoolean } from './nic-options.ts';
import { deleteProperty, parseProperties, setProperty } from './property-string.ts';

/** What an administrator gives; `none` takes an option away. */
export interface NicWishes {
  readonly bridge?: string | undefined;
  readonly tag?: string | undefined;
  /** `10;20;30-32`; commas do as well. */
  readonly trunks?: string | undefined;
  readonly firewall?: boolean | undefined;
  readonly linkDown?: boolean | undefined;
  readonly mtu?: string | undefined;
}

/** By key of the option; null takes it away. */
export type NicEdit = ReadonlyMap<string, string | null>;

/** Bytes of an Ethernet frame, as far as a kernel device goes. */
const mtuMax = 65_535;

/** Throws `InvalidArgument`, also for no wish at all. */
export function parseNicEdit({ bridge, tag, trunks, firewall, linkDown, mtu }: NicWishes): NicEdit {
  const edit = new Map<string, string | null>();
  const put = (key: string, text: string | undefined, parse: (text: string) => string): void => {
    if (text !== undefined) edit.set(key, text === 'none' && key !== 'bridge' ? null : parse(text));
  };
  put('bridge', bridge, parseBridge);
  put('tag', tag, (text) => String(parseVlanTag(text)));
  put('trunks', trunks, (text) => {
    const value = text.replaceAll(',', ';');
    parseTrunks(value);
    return value;
  });
  if (firewall !== undefined) edit.set('firewall', firewall ? '1' : '0');
  if (linkDown !== undefined) edit.set('link_down', linkDown ? '1' : '0');
  put('mtu', mtu, parseMtu);
  if (edit.size === 0) {
    throw new AgentError(
      'InvalidArgument',
      'nothing to change is given: bridge, tag, trunks, firewall, link_down or mtu',
    );
  }
  return edit;
}

/**
 * The same text when it says all of that already, in whatever spelling. Throws `InvalidArgument` when Proxmox VE could not
 * plug the nic as it would be.
 */
export function editNic(kind: GuestKind, value: string, edit: NicEdit): string {
  let text = value;
  for (const [key, wanted] of edit) {
    const now = parseProperties(text).find((property) => property.key === key)?.value ?? null;
    if (meaningOf(key, now) === meaningOf(key, wanted)) continue;
    text = wanted === null ? deleteProperty(text, key) : setProperty(text, key, wanted);
  }
  if (text === value) return value;
  parseNicOptions(kind, text);
  if (/[^\x20-\x7e]/.test(text)) {
    throw new AgentError('InvalidArgument', `${quote(text)} has characters that no nic of Proxmox VE has`);
  }
  return text;
}

/** Equal for values that mean the same. What is not understood means itself. */
function meaningOf(key: string, value: string | null): string {
  switch (key) {
    case 'firewall':
    case 'link_down': {
      const flag = value === null ? false : readBoolean(value);
      return flag === null ? `?${value ?? ''}` : String(flag);
    }
    case 'trunks':
      try {
        return parseTrunks(value ?? undefined).join(';');
      } catch {
        return `?${value ?? ''}`;
      }
    default:
      return value ?? '';
  }
}

function parseBridge(text: string): string {
  if (/[,=]/.test(text))
    throw new AgentError('InvalidArgument', `bridge ${quote(text)} cannot stand in a nic's options`);
  return parseBridgeName(text);
}

function parseMtu(text: string): string {
  if (!/^[1-9][0-9]{0,4}$/.test(text) || Number(text) > mtuMax) {
    throw new AgentError('InvalidArgument', `mtu ${quote(text)} is not valid: expected 1 to ${mtuMax}, or none`);
  }
  return text;
}
