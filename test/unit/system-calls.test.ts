import { systemCallSuite } from '../support/system-call-suite.ts';
import { interfacesEdit } from '../support/interfaces-scenario.ts';

// Few of many, so that a day's work shows what the deep tier would find.
describe('at some of its system calls,', function () {
  this.timeout(60_000);
  systemCallSuite({ every: 100, works: ['a file that is full, time and again', interfacesEdit] });
});
