/** Signals of one served interface, typed by its declaration. */
import type { ServiceBus } from './contract.ts';
import type { ArgValues, InterfaceSpec } from './interface-spec.ts';
import { signatureOf } from './interface-spec.ts';
import { readProperty } from './properties.ts';
import type { ServedInterface } from './served-interface.ts';
import { propertiesInterface } from './standard-interfaces.ts';
import { fitsWireType } from './wire-types.ts';

export interface Emitter<S extends InterfaceSpec> {
  /** Broadcasts a declared signal; false when the bus is away. Throws when the values break the declaration. */
  signal<Name extends keyof S['signals'] & string>(name: Name, args: ArgValues<S['signals'][Name]['args']>): boolean;
  /** Broadcasts `PropertiesChanged` with the present values of `names`; false when the bus is away. */
  propertiesChanged(names: readonly (keyof S['properties'] & string)[]): boolean;
}

export function createEmitter<S extends InterfaceSpec>(
  bus: Pick<ServiceBus, 'emitSignal'>,
  path: string,
  served: ServedInterface<S>,
): Emitter<S> {
  const emit = (spec: InterfaceSpec, member: string, body: readonly unknown[]): boolean => {
    const args = spec.signals[member]?.args ?? [];
    if (args.length !== body.length || !args.every((arg, index) => fitsWireType(arg.type, body[index]))) {
      throw new Error(`signal ${spec.name}.${member} does not fit its declaration (${signatureOf(args)})`);
    }
    return bus.emitSignal({ path, interface: spec.name, member, signature: signatureOf(args), body });
  };
  return {
    signal: (name, args) => emit(served.spec, name, args),
    propertiesChanged(names) {
      const changed = new Map(names.map((name) => [name, readProperty(served, name)]));
      return emit(propertiesInterface, 'PropertiesChanged', [served.spec.name, changed, []]);
    },
  };
}
