/**
 * Names from outside become branded types here, once, at the door. Inner functions accept only the branded types.
 * Every parser throws `InvalidArgument` with the offending text, quoted and shortened.
 */
import { AgentError } from './errors.ts';

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** A guest's number, 100 to 999999999 as Proxmox VE defines it. */
export type Vmid = Branded<number, 'Vmid'>;
/** Name of a kernel network device: 1 to 15 bytes, no `/`, no white space, not `.` or `..`. */
export type NetdevName = Branded<string, 'NetdevName'>;
/** Name of an OVS Bridge row; also a netdev, the bridge's local port. */
export type BridgeName = Branded<string, 'BridgeName'>;
/** The name users know a port by, for example `vi100`; also the netdev's altname. */
export type PortName = Branded<string, 'PortName'>;
/** `net0` to `net31`: one network card in a guest's configuration. */
export type NicName = Branded<string, 'NicName'>;
/** 802.1Q VLAN ID of an access port, 1 to 4094. */
export type VlanTag = Branded<number, 'VlanTag'>;
/** Name of a container as its runtime knows it. */
export type ContainerName = Branded<string, 'ContainerName'>;
/** A UUID in lower-case hexadecimal with dashes. */
export type Uuid = Branded<string, 'Uuid'>;

const vmidMin = 100;
const vmidMax = 999_999_999;
export const nicIndexMax = 31;
const vlanTagMax = 4094;
/** `IFNAMSIZ` without the terminating NUL. */
export const netdevNameBytesMax = 15;

export function parseVmid(input: string | number): Vmid {
  const vmid = typeof input === 'number' ? input : /^[1-9][0-9]{2,8}$/.test(input) ? Number(input) : Number.NaN;
  if (!Number.isInteger(vmid) || vmid < vmidMin || vmid > vmidMax) {
    throw invalid('vmid', input, `expected a whole number from ${vmidMin} to ${vmidMax}`);
  }
  return vmid as Vmid;
}

export function parseNetdevName(input: string): NetdevName {
  return checkDeviceName('network device name', input) as NetdevName;
}

export function parseBridgeName(input: string): BridgeName {
  return checkDeviceName('bridge name', input) as BridgeName;
}

export function parsePortName(input: string): PortName {
  return checkDeviceName('port name', input) as PortName;
}

export function parseNicName(input: string): NicName {
  const index = /^net(0|[1-9][0-9]?)$/.exec(input)?.[1];
  if (index === undefined || Number(index) > nicIndexMax) {
    throw invalid('nic', input, `expected net0 to net${nicIndexMax}`);
  }
  return input as NicName;
}

/** The `N` of `netN`. */
export function nicIndex(nic: NicName): number {
  return Number(nic.slice(3));
}

export function nicNameOf(index: number): NicName {
  return parseNicName(`net${index}`);
}

export function parseVlanTag(input: string | number): VlanTag {
  const tag = typeof input === 'number' ? input : /^[1-9][0-9]{0,3}$/.test(input) ? Number(input) : Number.NaN;
  if (!Number.isInteger(tag) || tag < 1 || tag > vlanTagMax) {
    throw invalid('VLAN tag', input, `expected a whole number from 1 to ${vlanTagMax}`);
  }
  return tag as VlanTag;
}

export function parseContainerName(input: string): ContainerName {
  if (!/^[A-Za-z0-9._-]{1,63}$/.test(input)) {
    throw invalid('container name', input, 'expected 1 to 63 letters, digits, dots, underscores or dashes');
  }
  return input as ContainerName;
}

export function parseUuid(input: string): Uuid {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(input))
    throw invalid('UUID', input, 'expected lower-case hex');
  return input as Uuid;
}

/** Text from outside, fit for a message on a terminal: quoted, control and format characters escaped, at most 64 characters. */
export function quote(input: string | number): string {
  const text = String(input);
  // JSON leaves DEL, the C1 controls (a terminal takes U+009B for the start of a command) and direction marks as they are.
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text).replaceAll(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => character.replaceAll(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
}

/**
 * The kernel's `dev_valid_name`, narrowed to what can stand in interfaces(5), on a D-Bus path and in a message
 * without quoting trouble: printable ASCII. Open vSwitch reserves names with a leading `ovs-`; those pass here, the
 * switch answers for them.
 */
function checkDeviceName(what: string, input: string): string {
  if (input.length > netdevNameBytesMax || !/^[A-Za-z0-9_][A-Za-z0-9_.+@=-]*$/.test(input)) {
    throw invalid(
      what,
      input,
      `expected 1 to ${netdevNameBytesMax} letters, digits and any of _ . + @ = -, the first a letter, digit or _`,
    );
  }
  return input;
}

function invalid(what: string, input: string | number, expected: string): AgentError {
  return new AgentError('InvalidArgument', `${what} ${quote(input)} is not valid: ${expected}`);
}
