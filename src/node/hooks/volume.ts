/**
 * Volumes of hookscripts, `STORAGE:snippets/NAME`, and which of them are ours. Pure.
 *
 * A guest has one hookscript at most. One that had another keeps it: ours then stands beside it in the same folder as
 * `ovs-port-agent+NAME` and calls NAME (proxmox/snippet). So the guest's configuration alone says what is called and what
 * a detach restores, also after a migration, in a clone, a backup or a snapshot (docs/decisions/0030).
 */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';

export interface HookVolume {
  readonly storage: string;
  /** File in the storage's folder of snippets. */
  readonly name: string;
}

/** Ours; `chained` is the name of the hookscript that is called after it. */
export interface OwnHook extends HookVolume {
  readonly chained: string | null;
}

export const snippetName = 'ovs-port-agent';
const chainPrefix = `${snippetName}+`;
/** `NAME_MAX` of Linux. */
const nameBytesMax = 255;

/** Throws `InvalidArgument` for what is no snippet's volume to Proxmox VE. */
export function parseHookVolume(text: string): HookVolume {
  const [, storage, name] = /^([a-z][a-z0-9._-]*[a-z0-9]):snippets\/([^/\0\r\n]+)$/i.exec(text) ?? [];
  if (storage === undefined || name === undefined || name === '.' || name === '..') {
    throw new AgentError('InvalidArgument', `hookscript ${quote(text)} is not valid: expected STORAGE:snippets/NAME`);
  }
  return { storage, name };
}

export function renderHookVolume({ storage, name }: HookVolume): string {
  return `${storage}:snippets/${name}`;
}

/** null when it is somebody else's, or none. Total. */
export function ownHook(hookscript: string | null): OwnHook | null {
  if (hookscript === null) return null;
  let volume: HookVolume;
  try {
    volume = parseHookVolume(hookscript);
  } catch {
    return null;
  }
  if (volume.name === snippetName) return { ...volume, chained: null };
  const chained = chainedBy(volume.name);
  return chained === null ? null : { ...volume, chained };
}

/** What the snippet of that name calls after the agent; null when it is no chaining one. */
function chainedBy(name: string): string | null {
  return name.startsWith(chainPrefix) && name.length > chainPrefix.length ? name.slice(chainPrefix.length) : null;
}

/** Ours, which calls `other`. Throws `InvalidArgument` when its name would be too long for a file. */
export function chaining(other: HookVolume): OwnHook {
  const name = chainPrefix + other.name;
  // The text is the guest's file as latin1: one character is one byte.
  if (name.length > nameBytesMax) {
    throw new AgentError(
      'InvalidArgument',
      `the name of the hookscript ${quote(renderHookVolume(other))} is too long to be chained: at most ${nameBytesMax - chainPrefix.length} bytes`,
    );
  }
  return { storage: other.storage, name, chained: other.name };
}
