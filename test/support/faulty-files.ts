/**
 * Faults of a disk at a chosen call: every function of `node:fs/promises`, every method of its handles, and every function of
 * `node:fs` that the product uses is counted, and the call of that number fails, or the process dies at it.
 */
import syncFs from 'node:fs';
import fs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';

/**
 * `lost`: the call was not carried out. `landed`: it was, and its report was lost. `full`: there was no room for it. `killed`:
 * the process died before it.
 */
export type Fault = 'lost' | 'landed' | 'full' | 'killed';

export interface Injection {
  /** The name of the call at which it happened; null while it has not. */
  readonly firedAt: string | null;
  restore(): void;
}

const functions = [
  'open',
  'stat',
  'readdir',
  'realpath',
  'readlink',
  'rename',
  'link',
  'unlink',
  'mkdir',
  'rm',
] as const;
const methods = ['read', 'write', 'writeFile', 'readFile', 'datasync', 'sync', 'truncate', 'stat', 'chmod', 'chown', 'close'] as const; // prettier-ignore

/** What is done at once, without a promise. */
const syncFunctions = ['readSync', 'writeSync', 'fdatasyncSync'] as const;

type AnyFunction = (...args: unknown[]) => Promise<unknown>;
type AnySyncFunction = (...args: unknown[]) => unknown;

/** `call` counts from 1. */
export async function injectFault(call: number, fault: Fault): Promise<Injection> {
  const handle = await fs.open(tmpdir(), 'r');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const state = { count: 0, firedAt: null as string | null };
  const fire = (name: string): (() => never) => {
    state.firedAt = name;
    if (fault === 'killed') process.kill(process.pid, 'SIGKILL');
    return () => {
      const code = fault === 'full' ? 'ENOSPC' : 'EIO';
      throw Object.assign(new Error(`${code} (injected), ${name}`), { code });
    };
  };
  const places = [
    ...functions.map((name) => ({ owner: fs as unknown as Record<string, AnyFunction>, name })),
    ...methods.map((name) => ({ owner: prototype as unknown as Record<string, AnyFunction>, name })),
  ];
  const restorers = places.map(({ owner, name }) => {
    const real = owner[name]!;
    owner[name] = function (this: unknown, ...args: unknown[]): Promise<unknown> {
      state.count++;
      if (state.count !== call) return real.apply(this, args);
      const broken = fire(name);
      // A handle is given up by the kernel also when closing it reports an error.
      return fault !== 'landed' && name !== 'close'
        ? Promise.resolve().then(broken)
        : real.apply(this, args).then(async (opened) => {
            if (name === 'open') await (opened as FileHandle).close();
            broken();
          });
    };
    return () => {
      owner[name] = real;
    };
  });
  const syncOwner = syncFs as unknown as Record<string, AnySyncFunction>;
  for (const name of syncFunctions) {
    const real = syncOwner[name]!;
    syncOwner[name] = (...args: unknown[]): unknown => {
      state.count++;
      if (state.count !== call) return real(...args);
      const broken = fire(name);
      if (fault === 'landed') real(...args);
      return broken();
    };
    restorers.push(() => {
      syncOwner[name] = real;
    });
  }
  syncBuiltinESMExports();
  return {
    get firedAt() {
      return state.firedAt;
    },
    restore() {
      for (const restore of restorers) restore();
      syncBuiltinESMExports();
    },
  };
}
