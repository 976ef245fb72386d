/** A change of a small text, for people to look at. */

const contextLines = 2;

/** The lines that differ between the first and the last difference, with some around them; empty for the same text. */
export function showChange(before: string, after: string): string[] {
  if (before === after) return [];
  const [old, now] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let tail = 0;
  const most = Math.min(old.length, now.length) - start;
  while (tail < most && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  const from = Math.max(0, start - contextLines);
  return [
    `@@ line ${from + 1} @@`,
    ...old.slice(from, start).map((line) => ` ${line}`),
    ...old.slice(start, old.length - tail).map((line) => `-${line}`),
    ...now.slice(start, now.length - tail).map((line) => `+${line}`),
    ...old.slice(old.length - tail, Math.min(old.length, old.length - tail + contextLines)).map((line) => ` ${line}`),
  ];
}
