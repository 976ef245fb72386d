/** `org.freedesktop.DBus.Properties` over the interfaces of one object. */
import type { DbusVariant } from './contract.ts';
import type { ServedInterface } from './served-interface.ts';
import { serveInterface } from './served-interface.ts';
import { StandardDbusError } from './standard-errors.ts';
import { propertiesInterface } from './standard-interfaces.ts';
import { fitsWireType } from './wire-types.ts';

/** `known` are all interfaces of the object, also those without properties. An empty interface name means any. */
export function serveProperties(path: string, known: () => readonly ServedInterface[]): ServedInterface {
  const named = (name: string): readonly ServedInterface[] => {
    const found = name === '' ? known() : known().filter((served) => served.spec.name === name);
    if (found.length > 0) return found;
    throw new StandardDbusError('unknownInterface', `object ${path} has no interface ${JSON.stringify(name)}`);
  };
  const find = (interfaceName: string, property: string): ServedInterface => {
    const owner = named(interfaceName).find((served) => Object.hasOwn(served.spec.properties, property));
    if (owner !== undefined) return owner;
    throw new StandardDbusError(
      'unknownProperty',
      `interface ${JSON.stringify(interfaceName)} of object ${path} has no property ${JSON.stringify(property)}`,
    );
  };
  return serveInterface(
    propertiesInterface,
    {
      Get: ([interfaceName, property]) =>
        Promise.resolve([readProperty(find(interfaceName, property), property)] as const),
      GetAll: ([interfaceName]) => {
        const values = named(interfaceName).flatMap((served) =>
          Object.keys(served.spec.properties).map((name) => [name, readProperty(served, name)] as const),
        );
        return Promise.resolve([new Map(values)] as const);
      },
      Set: ([interfaceName, property]) => {
        find(interfaceName, property);
        throw new StandardDbusError('propertyReadOnly', `property ${property} is read-only; nothing was changed`);
      },
    },
    {},
  );
}

/** The property's present value with its declared type. A reader that breaks its declaration is a bug and throws. */
export function readProperty(served: ServedInterface, name: string): DbusVariant {
  const spec = served.spec.properties[name];
  const reader = served.readers.get(name);
  if (spec === undefined || reader === undefined) throw new Error(`${served.spec.name}.${name} has no reader`);
  const value = reader();
  if (!fitsWireType(spec.type, value)) {
    throw new Error(`the reader of ${served.spec.name}.${name} gave ${typeof value}, declared is ${spec.type}`);
  }
  return { signature: spec.type, value };
}
