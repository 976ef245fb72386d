/** A journal that keeps nothing, for tests that are about something else. */
import type { Journal } from '../../src/ports/contracts.ts';

export const unrecorded: Journal = {
  change: (_changes, action) => action([]),
  undone: () => Promise.resolve(),
};
