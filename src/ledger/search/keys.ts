/** What a block can be found by, apart from height and time: one short text for each thing that it says of itself. */
import { hash as hashOnce } from 'node:crypto';
import type { Body } from '../block.ts';
import { networkCategories } from '../query.ts';
import type { BlockQuery } from '../query.ts';

/** Of a value: more characters do not make it easier to find, and what is found is compared in full. */
const valueCharsMax = 128;

/** The members of `metadata` and `data` that `keysOf` looks at. */
export const keyMembers: readonly string[] = ['user', 'vmid', 'port', 'netdev'];

/** The keys under which a block is filed; none stands twice. */
export function keysOf({ category, action }: { category: string; action: string }, { metadata, data }: Body): string[] {
  const { user } = metadata;
  const { vmid, port, netdev } = data;
  const keys = [keyText('category', category), keyText('action', action)];
  if (typeof user === 'string') keys.push(keyText('user', user));
  if (typeof vmid === 'number') keys.push(keyText('vmid', String(vmid)));
  if (typeof port === 'string') keys.push(keyText('port', port));
  if (typeof netdev === 'string' && netdev !== port) keys.push(keyText('port', netdev));
  return keys;
}

/** What a query asks for: of each group at least one key must be a block's. */
export function keyGroupsOf({ category, action, vmid, port, user }: BlockQuery): string[][] {
  const groups: string[][] = [];
  if (category !== undefined) {
    const names = category === 'network' ? networkCategories : [category];
    groups.push(names.map((name) => keyText('category', name)));
  }
  if (action !== undefined) groups.push([keyText('action', action)]);
  if (user !== undefined) groups.push([keyText('user', user)]);
  if (vmid !== undefined) groups.push([keyText('vmid', String(vmid))]);
  if (port !== undefined) groups.push([keyText('port', port)]);
  return groups;
}

/** Bytes of a key on the disk. Two keys that share them are told apart by the blocks that are found. */
export const keyBytes = 8;

/** A key as it is filed on the disk, where keys are in order and spread evenly. */
export function keyDigest(key: string): Buffer {
  return Buffer.from(hashOnce('sha256', key, 'binary').slice(0, keyBytes), 'latin1');
}

function keyText(kind: string, value: string): string {
  return `${kind}:${value.slice(0, valueCharsMax)}`;
}
