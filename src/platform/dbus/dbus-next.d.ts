/**
 * The parts of dbus-next that are used: its marshalling, nothing above it. `lib/connection.js` is left out on purpose:
 * it needs the package x11 to be bundled, and a message that its reader cannot decode is an uncaught exception.
 */
declare module 'dbus-next/lib/signature.js' {
  export interface TypeNode {
    readonly type: string;
    readonly child: readonly TypeNode[];
  }
  const signature: {
    parseSignature(signature: string): TypeNode[];
    collapseSignature(node: TypeNode): string;
  };
  export default signature;
}

declare module 'dbus-next/lib/dbus-buffer.js' {
  /** Reads values in dbus-next's raw form: structs and dict entries as arrays, a variant as `[[type], [value]]`. */
  export default class DBusBuffer {
    constructor(
      buffer: Uint8Array,
      startPos: number,
      endian: number,
      fds: { readonly length: number },
      options: { ayBuffer: boolean },
    );
    pos: number;
    align(power: number): void;
    read(signature: string): unknown[];
  }
}

declare module 'dbus-next/lib/message.js' {
  const message: {
    /** `body` in the raw form, a variant as `[signature, value]`. Throws on values that do not fit the signature. */
    marshall(message: Record<string, unknown>): [message: Buffer, fds: unknown[]];
  };
  export default message;
}
