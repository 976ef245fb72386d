/** Named maxima of the bus connection. */

/** Longest message in either direction, in bytes. Longer incoming calls are answered with an error and skipped. */
export const messageBytesMax = 16 * 1024 * 1024;
/** Longest header of an incoming message, in bytes. Names and paths are short; more means a broken stream. */
export const headerBytesMax = 64 * 1024;
/** Bytes that may wait in the socket for a slow bus. */
export const outgoingBytesMax = 64 * 1024 * 1024;
/** Calls of ours that wait for a reply. */
export const pendingCallsMax = 1024;
/** Calls to us that are being handled. */
export const incomingCallsMax = 256;
/**
 * How long a call to us may take before it is aborted and answered with an error. The longest is a guest's shutdown: 10
 * minutes at most, and what the tools take.
 */
export const incomingCallDeadlineMs = 720_000;
/** Match rules at the daemon, whose own default maximum is 512 per connection. */
export const matchRulesMax = 400;
/** Calls to the bus itself (match rules, uids). */
export const busCallDeadlineMs = 10_000;
/** Uids of callers that are remembered. */
export const senderUidsMax = 1024;
/** Line length during authentication, in bytes. */
export const authLineBytesMax = 4096;
/** Waits between attempts to reconnect: doubled from the first to the last. */
export const reconnectDelayMinMs = 100;
export const reconnectDelayMaxMs = 5_000;
/** How long one attempt to connect and take the names again may take. */
export const reconnectDeadlineMs = 10_000;
