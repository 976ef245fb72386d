import assert from 'node:assert/strict';
import { describeProcess } from '../../src/platform/process-name.ts';

describe('the name of a process', () => {
  it('is what the kernel calls it, with its number', async () => {
    assert.match(await describeProcess(process.pid), new RegExp(`^[ -~]+\\[${process.pid}\\]$`));
  });

  it('is the number alone when it has ended', async () => {
    assert.equal(await describeProcess(2 ** 30), `[${2 ** 30}]`);
  });
});
