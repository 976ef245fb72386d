import { interfacesEdit } from '../support/interfaces-scenario.ts';
import { systemCallSuite } from '../support/system-call-suite.ts';

/** Between these the files change; `write` also wakes threads. */
const changing = ['fchmod', 'fsync', 'rename'];

// Few of many, so that a day's work shows what the deep tier would find.
describe('at some of its system calls,', function () {
  this.timeout(60_000);
  systemCallSuite({ works: ['a file that is full, time and again'], choose: (_call, index) => index % 100 === 0 });
  systemCallSuite({ works: [interfacesEdit], choose: ({ name }) => changing.includes(name) });
});
