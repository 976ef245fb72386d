import { report } from '../support/deep-report.ts';
import { systemCallSuite } from '../support/system-call-suite.ts';

describe('at each of its system calls,', function () {
  this.timeout(1_800_000);
  systemCallSuite({
    onDone: (work, startedMs, calls) => {
      report('calls', work, startedMs, calls);
    },
  });
});
