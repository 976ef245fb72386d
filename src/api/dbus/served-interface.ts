/** A declaration joined with the functions that carry it out. */
import type { Caller } from './contract.ts';
import type { Handlers, InterfaceSpec, PropertyReaders } from './interface-spec.ts';

export type ErasedHandler = (
  args: readonly unknown[],
  caller: Caller,
  signal: AbortSignal,
) => Promise<readonly unknown[]>;

/** Maps and not objects: member names come from callers, and `constructor` is one of them. */
export interface ServedInterface<S extends InterfaceSpec = InterfaceSpec> {
  readonly spec: S;
  readonly handlers: ReadonlyMap<string, ErasedHandler>;
  readonly readers: ReadonlyMap<string, () => unknown>;
}

/** Types are checked here, at compile time; the dispatcher checks arguments and results against `spec` at run time. */
export function serveInterface<const S extends InterfaceSpec>(
  spec: S,
  handlers: Handlers<S>,
  readers: PropertyReaders<S>,
): ServedInterface<S> {
  return {
    spec,
    handlers: new Map(Object.entries<unknown>(handlers) as [string, ErasedHandler][]),
    readers: new Map(Object.entries<unknown>(readers) as [string, () => unknown][]),
  };
}
