// The one date that goes into what is built, so that the same sources give the same bytes whenever they are built.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';

/** Seconds since 1970: SOURCE_DATE_EPOCH, else the last commit, else (an unpacked archive) the age of package.json. */
export function sourceDateEpoch(env = process.env) {
  const given = env.SOURCE_DATE_EPOCH;
  if (given !== undefined) {
    if (!/^[0-9]{1,11}$/.test(given)) throw new Error(`SOURCE_DATE_EPOCH: expected seconds since 1970, got "${given}"`);
    return Number(given);
  }
  try {
    return Number(
      execFileSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  } catch {
    return Math.floor(statSync('package.json').mtimeMs / 1000);
  }
}
