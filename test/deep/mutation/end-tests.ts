/**
 * For Stryker, which takes the deadline of every test away: a mutant that leaves a test waiting for ever has failed it. The
 * deadline of Stryker's own costs a new process, and is left to what never gives the thread back.
 */
import type { Context } from 'mocha';

/** Much longer than any test takes on a busy machine, faults included. */
const testMsMax = 20_000;

export const mochaHooks = {
  beforeEach(this: Context): void {
    this.currentTest?.timeout(testMsMax);
  },
};
