/** Bus addresses ("Server Addresses" of the D-Bus specification). */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';

/** Where a bus listens: a socket in the file system. */
interface BusEndpoint {
  readonly path: string;
}

/** The system bus, as every D-Bus client finds it. */
export function systemBusAddress(env: Readonly<Record<string, string | undefined>>): string {
  const configured = env['DBUS_SYSTEM_BUS_ADDRESS'];
  return configured === undefined || configured === '' ? 'unix:path=/run/dbus/system_bus_socket' : configured;
}

/**
 * The endpoints of a `;`-separated address list, in order, those left out that are no unix socket with a path. Throws
 * `InvalidArgument` when none is left or the text is malformed.
 */
export function parseBusAddress(address: string): BusEndpoint[] {
  const endpoints: BusEndpoint[] = [];
  const refused: string[] = [];
  for (const entry of address.split(';')) {
    if (entry === '') continue;
    const parsed = parseEntry(address, entry);
    if (typeof parsed === 'string') refused.push(parsed);
    else endpoints.push(parsed);
  }
  if (endpoints.length === 0) {
    throw invalid(address, refused.length > 0 ? refused.join('; ') : 'it is empty');
  }
  return endpoints;
}

/** An endpoint, or why this entry cannot be used. */
function parseEntry(address: string, entry: string): BusEndpoint | string {
  const colon = entry.indexOf(':');
  if (colon < 1) throw invalid(address, `${quote(entry)} has no transport before a colon`);
  const transport = entry.slice(0, colon);
  const keys = new Map<string, string>();
  for (const pair of entry.slice(colon + 1).split(',')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    if (equals < 1) throw invalid(address, `${quote(pair)} is not key=value`);
    keys.set(pair.slice(0, equals), unescapeValue(address, pair.slice(equals + 1)));
  }
  if (transport !== 'unix') return `transport ${quote(transport)} is not supported`;
  const path = keys.get('path');
  if (path !== undefined && path !== '') return { path };
  // Node.js 20 pads an abstract name with NULs to the full length, so it never finds one that another program made.
  if (keys.has('abstract')) return `${quote(entry)} is an abstract socket, which Node.js cannot reach`;
  return `${quote(entry)} has no path=, so nothing can connect to it`;
}

/** `%` and two hexadecimal digits stand for one byte; the bytes are UTF-8. */
function unescapeValue(address: string, value: string): string {
  if (!/^(?:[^%]|%[0-9A-Fa-f]{2})*$/.test(value)) {
    throw invalid(address, `${quote(value)} has a % that two hexadecimal digits do not follow`);
  }
  const bytes = value.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
  );
  if (bytes.includes('\0')) throw invalid(address, 'it holds a NUL');
  return bytes;
}

function invalid(address: string, why: string): AgentError {
  return new AgentError(
    'InvalidArgument',
    `D-Bus address ${quote(address)} cannot be used: ${why}. Expected for example unix:path=/run/dbus/system_bus_socket`,
  );
}
