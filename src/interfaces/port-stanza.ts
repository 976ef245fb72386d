/** One port as a stanza, in the form that Proxmox VE's writer gives back byte for byte: options sorted, comment last. */
import { AgentError } from '../model/errors.ts';
import { quote } from '../model/names.ts';
import type { BridgeName, PortName, VlanTag } from '../model/names.ts';

/** A port as the managed block lists it. */
export interface ListedPort {
  readonly port: PortName;
  readonly bridge: BridgeName;
  readonly tag: VlanTag | null;
  readonly trunks: readonly VlanTag[];
  /** OVSDB's `vlan_mode`; null when the column is empty. */
  readonly vlanMode: string | null;
  /** Whose port it is, for people: `CT 100 net0 (veth100i0) web01`. May hold anything; see `ownComment`. */
  readonly owner: string;
}

/** What `ownComment` leaves as it is: ASCII words with single spaces between. */
const plainOwner = /^[A-Za-z0-9._:()/,+@=&-]+(?: [A-Za-z0-9._:()/,+@=&-]+)*$/;
/** Bytes of the owner's text in the comment. */
const ownerBytesMax = 128;

const vlanModes = ['access', 'trunk', 'native-tagged', 'native-untagged', 'dot1q-tunnel'];

/**
 * The stanza with its line ends. No `auto`, no `allow-*`, never `OVSIntPort`: inert for ifupdown2, a row with a
 * comment for the GUI. Throws `InvalidArgument` for a `vlan_mode` that Open vSwitch does not have.
 */
export function portStanza(port: ListedPort, blockTag: string, eol: string): string {
  const options = ovsOptions(port);
  return (
    `iface ${port.port} inet manual${eol}` +
    `\tovs_bridge ${port.bridge}${eol}` +
    (options === '' ? '' : `\tovs_options ${options}${eol}`) +
    `\tovs_type OVSPort${eol}` +
    ownComment(port.owner, blockTag) +
    eol
  );
}

/** `tag`, `trunks`, `vlan_mode`: the order of Proxmox VE's own `ovs-vsctl add-port`. */
function ovsOptions(port: ListedPort): string {
  if (port.vlanMode !== null && !vlanModes.includes(port.vlanMode)) {
    throw new AgentError(
      'InvalidArgument',
      `vlan_mode ${quote(port.vlanMode)} of port ${port.port} is not valid: expected one of ${vlanModes.join(', ')}`,
    );
  }
  const options: string[] = [];
  if (port.tag !== null) options.push(`tag=${port.tag}`);
  if (port.trunks.length > 0) options.push(`trunks=${port.trunks.join(',')}`);
  if (port.vlanMode !== null) options.push(`vlan_mode=${port.vlanMode}`);
  return options.join(' ');
}

/**
 * `#<tag>: <owner>`, the mark of ownership and what the GUI shows. The owner's text can hold a guest's name, so only
 * letters, digits, marks and `. _ - : ( ) / , + @ = &` stay, anything else becomes `_`, white space becomes single spaces:
 * no line break, no backslash (a continuation), no `$ % <` (ifupdown2 can run the file through a template engine). Cut
 * to 128 bytes of UTF-8 between characters; what is left stands in the latin1 text as its UTF-8 bytes, which Proxmox VE
 * decodes and encodes again unchanged.
 */
function ownComment(owner: string, blockTag: string): string {
  // Most owners are plain already, and most of the time that a block takes goes into making them so.
  if (owner.length <= ownerBytesMax && plainOwner.test(owner)) return `${ownCommentPrefix(blockTag)} ${owner}`;
  // Trimmed while it is still text: in latin1 the last byte of an `à` would pass for white space.
  const shown = cutToBytes(cleanOwner(owner), ownerBytesMax).trim();
  return ownCommentPrefix(blockTag) + (shown === '' ? '' : ` ${Buffer.from(shown, 'utf8').toString('latin1')}`);
}

function cleanOwner(owner: string): string {
  return owner
    .normalize('NFC')
    .replaceAll(/[^\p{L}\p{M}\p{N}\s._:()/,+@=&-]/gu, '_')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function cutToBytes(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  let end = 0;
  let bytes = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > bytesMax) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/** What every comment of ours begins with. */
export function ownCommentPrefix(blockTag: string): string {
  return `#${blockTag}:`;
}
