/** The service through the events of a day, on a switch of its own: what `npm run bench -- day` measures. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { execa } from 'execa';
import { report } from '../support/deep-report.ts';

const runMsMax = 1_200_000;

describe('the service', function () {
  this.timeout(runMsMax + 10_000);

  it('holds hardly more memory after the 20,000 events of a day than after the first quarter of them', async () => {
    const startedMs = performance.now();
    const { stdout, stderr, exitCode } = await execa(process.execPath, ['--import', 'tsx', 'bench/run.ts', 'day'], {
      cwd: join(import.meta.dirname, '../..'),
      reject: false,
      timeout: runMsMax,
    });
    const [, , atTheEnd = '', , afterQuarter = ''] = /^day {2}.*$/m.exec(stdout)?.[0].split(/ {2,}/) ?? [];
    report('soak', '20,000 events', startedMs, afterQuarter, atTheEnd);
    assert.equal(exitCode, 0, `${stdout}\n${stderr}`);
  });
});
