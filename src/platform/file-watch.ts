/** Tells that files changed, whoever changed them and however: written in place, replaced, made or removed. */
import { unwatchFile, watchFile } from 'node:fs';
import type { StatsListener } from 'node:fs';

/** Looking costs one `stat` a file, which works on any file system and through symlinks; inotify does neither. */
const lookIntervalMs = 1000;

/** Calls `onChange` within 1 s or so of a change of any of the files; a file need not exist. The result ends it. */
export function watchFiles(
  paths: readonly string[],
  onChange: () => void,
  { intervalMs = lookIntervalMs }: { intervalMs?: number } = {},
): () => void {
  const listener: StatsListener = (now, before) => {
    // The first look at a file that is not there is told too.
    if (now.ino !== 0 || before.ino !== 0) onChange();
  };
  for (const path of paths) watchFile(path, { interval: intervalMs, persistent: false }, listener);
  return () => {
    for (const path of paths) unwatchFile(path, listener);
  };
}
