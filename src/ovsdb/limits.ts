/** Everything of this module that could grow without bound, with its unit. */

/** One JSON-RPC message. A monitor of 10,000 ports answers with about 9 MB; a message may be held twice as it grows. */
export const messageBytesMax = 64 * 1024 * 1024;
/** Depth of arrays and objects in one message; OVSDB itself never passes 10. Open vSwitch's own parser stops at 1000. */
export const nestingMax = 1000;
/** Requests sent and not yet answered. */
export const pendingRequestsMax = 4096;
/** One `transact`, from the call to the reply. */
export const transactDeadlineMs = 10_000;
/** Connecting, reading the schema, taking the monitor: each. */
export const handshakeDeadlineMs = 10_000;
