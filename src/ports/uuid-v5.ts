/** RFC 9562 section 5.5. */
import { hash } from 'node:crypto';

/** The DNS namespace of RFC 9562; names start with the bus name, which is a DNS name backwards. */
const namespace = Buffer.from('6ba7b8109dad11d180b400c04fd430c8', 'hex');

/** The UUID of `name`, always the same. Version 5: SHA-1, cut to 128 bits. */
export function uuidV5(name: string): string {
  const bytes = hash('sha1', Buffer.concat([namespace, Buffer.from(`dev.ovs.PortAgent1/${name}`)]), 'buffer').subarray(
    0,
    16,
  );
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
