/** A network device as `ip -json link show` tells of it. */

export interface LinkInfo {
  readonly name: string;
  readonly master: string | null;
  readonly altnames: readonly string[];
  /** Its name before `rename`; null when there was none. */
  readonly originalName: string | null;
  /** In bytes. */
  readonly mtu: number;
  /** A pair whose other end lives in another network namespace. */
  readonly peerElsewhere: boolean;
  /** Only known where addresses were asked for. */
  readonly hasAddress: boolean;
}

/** With the name that a device had before it: an altname that says so before anything is done, and until it is undone. */
export const renamedPrefix = 'ovs-port-agent.';
const devicePattern = /^[A-Za-z0-9_][A-Za-z0-9_.+@=-]{0,14}$/;

/** Whether this may stand in a command line of `ip` as the name of a device. */
export function isDeviceName(name: string): boolean {
  return devicePattern.test(name);
}

/** One answer of `ip -json link show`. Throws when it is no JSON. */
export function parseLinks(json: string): LinkInfo[] {
  const parsed: unknown = JSON.parse(json);
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap(
    (
      entry: {
        ifname?: unknown;
        master?: unknown;
        altnames?: unknown;
        mtu?: unknown;
        link_netnsid?: unknown;
        addr_info?: unknown;
      } | null,
    ) => {
      if (typeof entry?.ifname !== 'string') return [];
      const altnames = Array.isArray(entry.altnames) ? entry.altnames.filter((name) => typeof name === 'string') : [];
      return [
        {
          name: entry.ifname,
          master: typeof entry.master === 'string' ? entry.master : null,
          mtu: typeof entry.mtu === 'number' ? entry.mtu : 0,
          peerElsewhere: entry.link_netnsid !== undefined,
          hasAddress: Array.isArray(entry.addr_info) && entry.addr_info.some(isGlobal),
          altnames: altnames.filter((name) => !name.startsWith(renamedPrefix)),
          originalName:
            altnames
              .filter((name) => name.startsWith(renamedPrefix))
              .map((name) => name.slice(renamedPrefix.length))
              .find((name) => isDeviceName(name)) ?? null,
        },
      ];
    },
  );
}

function isGlobal(address: unknown): boolean {
  return (address as { scope?: unknown } | null)?.scope !== 'link';
}
