/** An error that was made when a reply came knows nothing of who asked: the stack of the call is joined to it. */

/** Enough to leave this module and name who asked. Each costs a microsecond, which every transaction pays. */
const framesMax = 5;

/** Where the caller of this was called; becomes text only when it is read. */
export function callSite(): { readonly stack?: string } {
  const site: { stack?: string } = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = Math.min(stackTraceLimit, framesMax);
  Error.captureStackTrace(site, callSite);
  Error.stackTraceLimit = stackTraceLimit;
  return site;
}

/** `thrown` itself, made for one call alone, with the frames of that call below its own. */
export function withCallSite(thrown: unknown, site: { readonly stack?: string }): unknown {
  if (!(thrown instanceof Error) || thrown.stack === undefined || site.stack === undefined) return thrown;
  const frames = site.stack.slice(site.stack.indexOf('\n') + 1);
  thrown.stack += `\n    ---- asked for\n${frames}`;
  return thrown;
}
