/** Names of units, and how systemd writes them into object paths (systemd.unit(5), sd_bus_path_encode(3)). */
import { AgentError } from '../model/errors.ts';
import { quote } from '../model/names.ts';

declare const brand: unique symbol;
/** A whole unit name with its suffix, for example `pve-container@100.service`. */
export type UnitName = string & { readonly [brand]: 'UnitName' };

/** `UNIT_NAME_MAX` without the terminating NUL. */
const unitNameBytesMax = 255;
const suffixes = 'service|socket|device|mount|automount|swap|target|path|timer|slice|scope';
const unitName = new RegExp(String.raw`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\@-]*)?\.(${suffixes})$`);

/** Throws `InvalidArgument` for what systemd would not take as a unit's name. */
export function parseUnitName(input: string): UnitName {
  if (input.length > unitNameBytesMax || !unitName.test(input) || input.startsWith('.')) {
    throw new AgentError(
      'InvalidArgument',
      `unit name ${quote(input)} is not valid: expected at most ${unitNameBytesMax} of letters, digits and : _ . \\ - @, ` +
        'with a suffix such as .service',
    );
  }
  return input as UnitName;
}

/** Any text as a part of a unit's name, as `systemd-escape` writes it. */
export function escapeUnitText(text: string): string {
  return [...Buffer.from(text)]
    .map((byte, index) => {
      const character = String.fromCharCode(byte);
      if (character === '/') return '-';
      return /[A-Za-z0-9:_]/.test(character) || (character === '.' && index > 0) ? character : `\\x${hex(byte)}`;
    })
    .join('');
}

/** The reverse. Throws `InvalidArgument` when no text is written so. */
export function unescapeUnitText(escaped: string): string {
  const bytes: number[] = [];
  for (const [part] of escaped.matchAll(/\\x[0-9a-f]{2}|[^]/g)) {
    if (part === '\\') throw new AgentError('InvalidArgument', `${quote(escaped)} is not escaped as systemd does it`);
    bytes.push(part.length > 1 ? parseInt(part.slice(2), 16) : part === '-' ? 0x2f : part.charCodeAt(0));
  }
  return Buffer.from(bytes).toString();
}

const unitPathPrefix = '/org/freedesktop/systemd1/unit/';

export function unitPath(name: UnitName): string {
  return unitPathPrefix + escapePathLabel(name);
}

/** The unit behind an object path; null when it is not one of a unit. */
export function unitOfPath(path: string): UnitName | null {
  if (!path.startsWith(unitPathPrefix)) return null;
  const label = path.slice(unitPathPrefix.length);
  const name = label.replaceAll(/_([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));
  return unitName.test(name) ? (name as UnitName) : null;
}

/** Letters stay, digits too but not in front; everything else is `_` and two hexadecimal digits; nothing is `_`. */
function escapePathLabel(text: string): string {
  if (text === '') return '_';
  return [...Buffer.from(text)]
    .map((byte, index) => {
      const character = String.fromCharCode(byte);
      return (index > 0 ? /[A-Za-z0-9]/ : /[A-Za-z]/).test(character) ? character : `_${hex(byte)}`;
    })
    .join('');
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
