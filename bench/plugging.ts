/** Ways to plug guests' devices without the agent: what Proxmox VE does, and what one would write instead. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Later } from './cleanup.ts';
import { endProcess } from './end-process.ts';
import { bridge, bridgeMtu, netdevOf, vlanTag } from './guests.ts';
import type { Shell } from './shell.ts';

/** What Proxmox VE runs for one guest's device; `$1` is the device. `$OVSDB` is the database. */
const plugAsProxmox =
  'plug() { v del-port "$1"; v br-exists ' +
  `${bridge}; v -- add-port ${bridge} "$1" tag=${vlanTag} -- set Interface "$1" mtu_request=${bridgeMtu}; }`;
const vsctl = 'v() { ovs-vsctl --db="$OVSDB" "$@"; }';

/** Proxmox VE's three forks a guest, one guest after the other or so many at a time. */
export async function plugByForks(shell: Shell, vmids: readonly number[], atATime = 1): Promise<number> {
  return shell.run(`${vsctl}; ${plugAsProxmox}; ${eachOf(vmids, 'plug veth"$vmid"i0', atATime)}`);
}

/** One `ovs-vsctl` for all of them. */
export function plugInOneBatch(shell: Shell, vmids: readonly number[]): Promise<number> {
  const commands = vmids
    .map(netdevOf)
    .flatMap((netdev) => [
      `-- add-port ${bridge} ${netdev} tag=${vlanTag}`,
      `-- set Interface ${netdev} mtu_request=${bridgeMtu}`,
    ]);
  return shell.run(`${vsctl}; v ${commands.join(' ')}`);
}

/** Shell commands that run `command` for each guest as `$vmid`, so many at a time. */
export function eachOf(vmids: readonly number[], command: string, atATime: number): string {
  const share = Math.ceil(vmids.length / atATime);
  const loops: string[] = [];
  for (let at = 0; at < vmids.length; at += share) {
    loops.push(`for vmid in ${vmids.slice(at, at + share).join(' ')}; do ${command}; done`);
  }
  if (loops.length === 1) return loops.join();
  return `${loops.map((loop) => `{ ${loop}; } & `).join('')} wait`;
}

/** Open vSwitch's own Python library in a long-lived process. */
export interface PythonIdl {
  readonly pid: number;
  /** `together`: one transaction for all of them, otherwise one for each. Answers milliseconds until all is applied. */
  plug(vmids: readonly number[], together: boolean): Promise<number>;
}

const answerDeadlineMs = 60_000;

export async function startPythonIdl(later: Later, endpoint: string): Promise<PythonIdl> {
  // Debian's Python, which has Debian's python3-openvswitch.
  const child = spawn('/usr/bin/python3', ['bench/python-idl.py', endpoint, bridge, String(vlanTag)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  later(() => endProcess(child));
  const lines = createInterface({ input: child.stdout });
  const nextLine = (): Promise<unknown> => once(lines, 'line', { signal: AbortSignal.timeout(answerDeadlineMs) });
  await nextLine();
  return {
    pid: child.pid as number,
    async plug(vmids, together) {
      const request = `${JSON.stringify({ netdevs: vmids.map(netdevOf), together })}\n`;
      const answered = nextLine();
      const startedMs = performance.now();
      child.stdin.write(request);
      await answered;
      return performance.now() - startedMs;
    },
  };
}
