/** Errors that every D-Bus client knows by name, as the D-Bus specification spells them. */
export const standardErrorNames = {
  unknownObject: 'org.freedesktop.DBus.Error.UnknownObject',
  unknownInterface: 'org.freedesktop.DBus.Error.UnknownInterface',
  unknownMethod: 'org.freedesktop.DBus.Error.UnknownMethod',
  unknownProperty: 'org.freedesktop.DBus.Error.UnknownProperty',
  propertyReadOnly: 'org.freedesktop.DBus.Error.PropertyReadOnly',
  invalidArgs: 'org.freedesktop.DBus.Error.InvalidArgs',
} as const;

/** A mistake in how the interface was called, as opposed to an `AgentError`, which a handler threw. */
export class StandardDbusError extends Error {
  override readonly name = 'StandardDbusError';
  readonly errorName: string;

  constructor(kind: keyof typeof standardErrorNames, message: string) {
    super(message);
    this.errorName = standardErrorNames[kind];
  }
}
