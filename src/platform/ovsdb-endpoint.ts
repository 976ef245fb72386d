/** Where an OVSDB server listens, spelled as Open vSwitch spells its active connection methods (ovsdb(7)). */
import { AgentError } from '../model/errors.ts';

export type Endpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number };

/** The port that IANA gave to OVSDB. */
const defaultPort = 6640;
const spelling = 'expected "unix:PATH", "tcp:HOST[:PORT]" or "ssl:HOST[:PORT]", an IPv6 address in brackets';

/** One endpoint. Throws `InvalidArgument`. */
export function parseEndpoint(text: string): Endpoint {
  const path = /^unix:(.+)$/.exec(text)?.[1];
  if (path !== undefined) return { kind: 'unix', path };
  const found = /^(tcp|ssl):(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?$/.exec(
    text,
  );
  const [, kind, v6, name, portText] = found ?? [];
  const host = v6 ?? name;
  const port = portText === undefined ? defaultPort : Number(portText);
  if ((kind !== 'tcp' && kind !== 'ssl') || host === undefined || port < 1 || port > 65_535) {
    throw new AgentError('InvalidArgument', `"${text}" is no OVSDB endpoint: ${spelling}`);
  }
  return { kind, host, port };
}

/** The comma-separated endpoints of one database, in the order in which they are tried. Throws `InvalidArgument`. */
export function splitEndpoints(text: string): string[] {
  const endpoints = text.split(',').map((endpoint) => endpoint.trim());
  for (const endpoint of endpoints) parseEndpoint(endpoint);
  return endpoints;
}
