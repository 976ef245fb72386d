/** RFC 9562 section 5.5. */
import { hash } from 'node:crypto';

/** The DNS namespace of RFC 9562; names start with the bus name, which is a DNS name backwards. */
const namespace = Buffer.from('6ba7b8109dad11d180b400c04fd430c8', 'hex');

/** The UUID of `name`, always the same. Version 5: SHA-1, cut to 128 bits. */
export function uuidV5(name: string): string {
  const hex = hash('sha1', Buffer.concat([namespace, Buffer.from(`dev.ovs.PortAgent1/${name}`)]), 'hex');
  // The variant is in two bits of its digit, the version is a whole one.
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
