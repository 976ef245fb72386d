/** Names of tasks: `UPID:<node>:<pid>:<pstart>:<starttime>:<type>:<id>:<user>:`, numbers in hexadecimal. */
import { AgentError } from '../model/errors.ts';
import { quote } from '../model/names.ts';

export interface Task {
  readonly upid: string;
  /** Node that runs it, and has its log. */
  readonly node: string;
  /** `vzstart`, `qmshutdown`, `vzcreate`, ... */
  readonly type: string;
  /** What it is about: mostly a vmid; may be empty. */
  readonly id: string;
}

/** Throws `InvalidArgument`. */
export function parseUpid(text: unknown): Task {
  const [, node, type, id] =
    /^UPID:([A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?):[0-9A-Fa-f]{8,10}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:([^:/?#%\\\s]{1,64}):([^:/?#%\\\s]{0,64}):[^:/?#%\\\s]{1,128}:$/.exec(
      typeof text === 'string' ? text : '',
    ) ?? [];
  if (node === undefined || type === undefined || id === undefined) {
    throw new AgentError('InvalidArgument', `${quote(String(text))} is not the name of a task of Proxmox VE`);
  }
  return { upid: text as string, node, type, id };
}
