/**
 * Proxmox VE's comma-separated lists of `key=value`, as in `net0: virtio=BC:24:11:00:01:00,bridge=ovsbr0,tag=10`.
 * Values have no commas and no escapes. Editing one key keeps every other part, its place and its spelling.
 */
import { AgentError } from '../model/errors.ts';
import { quote } from '../model/names.ts';

export interface Property {
  /** null for a part without `=`: the value of the format's default key, such as a card's model. */
  readonly key: string | null;
  readonly value: string;
}

export function parseProperties(text: string): Property[] {
  return splitParts(text).flatMap((part) => (part.trim() === '' ? [] : [propertyOf(part)]));
}

/** The text with `key` set; a new key comes last. Throws `InvalidArgument` for a key or value that would not come back. */
export function setProperty(text: string, key: string, value: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_-]*$/.test(key) || value === '' || /[,\0\r\n]/.test(value)) {
    throw new AgentError('InvalidArgument', `${quote(`${key}=${value}`)} cannot stand in a list of options`);
  }
  const part = `${key}=${value}`;
  const parts = splitParts(text);
  const index = parts.findIndex((candidate) => propertyOf(candidate).key === key);
  if (index >= 0) return parts.with(index, part).join(',');
  return text.trim() === '' ? part : `${text},${part}`;
}

/** The text without `key`; the same when it has none. */
export function deleteProperty(text: string, key: string): string {
  return splitParts(text)
    .filter((part) => propertyOf(part).key !== key)
    .join(',');
}

function splitParts(text: string): string[] {
  return text.split(',');
}

function propertyOf(part: string): Property {
  const at = part.indexOf('=');
  return at < 0 ? { key: null, value: part } : { key: part.slice(0, at), value: part.slice(at + 1) };
}
