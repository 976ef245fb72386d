/** Named maxima of the systemd client. */

/** Every call but those that wait for a job. systemd answers within milliseconds unless it is reloading. */
export const callDeadlineMs = 10_000;
/** How often a job whose end nobody announced is looked up: a lost signal costs this much, never the answer. */
export const jobLookIntervalMs = 1_000;
/** `JobRemoved` signals that are remembered while the reply with our job's path is still under way. */
export const earlyRemovalsMax = 1_000;
/** Jobs that are followed at the same time. */
export const jobsFollowedMax = 256;
/** How often the output of a running task is read. */
export const outputReadIntervalMs = 200;
/** What is kept of a task's output, in bytes; the rest is dropped and the last line says so. */
export const outputBytesMax = 256 * 1024;
/** systemd ends a task of ours after this time, also when nobody waits for it any more. */
export const taskRunMsMax = 3_600_000;
