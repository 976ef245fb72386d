/**
 * A D-Bus interface declared as data. Introspection, dispatch, authorisation and the handlers' TypeScript types are
 * all derived from one declaration (`as const satisfies InterfaceSpec`).
 */
import type { Caller } from './contract.ts';
import type { WireType, WireValues } from './wire-types.ts';

/** What a caller must be allowed to do; the polkit actions are `dev.ovs.portagent1.<privilege>`. */
export type Privilege = 'read' | 'ports' | 'state' | 'guests' | 'ledger';

export interface ArgSpec {
  readonly name: string;
  readonly type: WireType;
}

export interface MethodSpec {
  readonly in: readonly ArgSpec[];
  readonly out: readonly ArgSpec[];
  /** `public` methods reveal nothing and are open to everybody on the bus; the caller's uid is not even asked for. */
  readonly privilege: Privilege | 'public';
  readonly doc: string;
}

/** Properties are read-only: what changes is changed by methods, which report and authorise. */
export interface PropertySpec {
  readonly type: WireType;
  /** `org.freedesktop.DBus.Property.EmitsChangedSignal`. */
  readonly emits: 'true' | 'false' | 'const';
  readonly doc: string;
}

export interface SignalSpec {
  readonly args: readonly ArgSpec[];
  readonly doc: string;
}

export interface InterfaceSpec {
  readonly name: string;
  readonly methods: Readonly<Record<string, MethodSpec>>;
  readonly properties: Readonly<Record<string, PropertySpec>>;
  readonly signals: Readonly<Record<string, SignalSpec>>;
}

/** The values of an argument list, in order. */
export type ArgValues<Args extends readonly ArgSpec[]> = {
  readonly [Index in keyof Args]: WireValues[Args[Index]['type']];
};

/** One function per declared method. Results are an array, as D-Bus methods may have several. */
export type Handlers<S extends InterfaceSpec> = {
  readonly [M in keyof S['methods']]: (
    args: ArgValues<S['methods'][M]['in']>,
    caller: Caller,
    signal: AbortSignal,
  ) => Promise<ArgValues<S['methods'][M]['out']>>;
};

/** One function per declared property; synchronous, so that `GetAll` is one moment in time. */
export type PropertyReaders<S extends InterfaceSpec> = {
  readonly [P in keyof S['properties']]: () => WireValues[S['properties'][P]['type']];
};

/** The signature of an argument list, for example `ssu`. */
export function signatureOf(args: readonly ArgSpec[]): string {
  return args.map((arg) => arg.type).join('');
}
