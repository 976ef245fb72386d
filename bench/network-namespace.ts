/** Network namespaces held open by a process each. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Later } from './cleanup.ts';
import { endProcess } from './end-process.ts';

export interface NetworkNamespace {
  /** Of the process that holds it open. */
  readonly pid: number;
}

export async function newNetworkNamespace(later: Later): Promise<NetworkNamespace> {
  // cat(1) ends when its input does, so not even a killed benchmark leaves it behind.
  const script = 'ip link set lo up; echo ready; exec cat';
  const holder = spawn('unshare', ['--net', 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  later(() => endProcess(holder));
  await once(holder.stdout, 'data');
  return { pid: holder.pid as number };
}

/** Words before a command that make it run there; nsenter(1) becomes the command, so that the pid is the command's own. */
export function enter(namespace: NetworkNamespace | null): string[] {
  return namespace === null ? [] : ['nsenter', `--net=/proc/${namespace.pid}/ns/net`];
}
