/** Real time that goes faster: what takes the product a second takes the test a second divided by `factor`. */
import type { Timers } from '../../src/ovsdb/channel.ts';
import { systemTimers } from '../../src/platform/timers.ts';

export function hastyTimers(factor: number): Timers {
  return {
    nowMs: () => performance.now() * factor,
    after: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs / factor);
      return () => {
        clearTimeout(timer);
      };
    },
    afterReceiving: (callback) => systemTimers.afterReceiving(callback),
  };
}
