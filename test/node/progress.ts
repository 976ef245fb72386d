/** Lines on stderr during steps that take longer than a person waits in silence. */

const intervalMs = 5_000;

/** Prints `title: text (12 s)`. `now` is for a stream of small steps: it prints at most one line in five seconds. */
export function progress(title: string): ((text: string) => void) & { now: (text: string) => void } {
  const startedAt = Date.now();
  let printedAt = startedAt;
  const print = (text: string): void => {
    printedAt = Date.now();
    process.stderr.write(`${title}: ${text} (${Math.round((printedAt - startedAt) / 1000)} s)\n`);
  };
  const now = (text: string): void => {
    if (Date.now() - printedAt >= intervalMs) print(text);
  };
  return Object.assign(print, { now });
}
