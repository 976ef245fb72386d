/**
 * Beats for systemd's watchdog (sd_watchdog_enabled(3)). Node.js has no datagram sockets, so that each beat is a
 * systemd-notify(1) child; it waits on the notification barrier until systemd has read the message, else systemd could
 * look for a sender that is gone. The unit needs `NotifyAccess=all`.
 */
import { execa } from 'execa';
import { AgentError } from '../model/errors.ts';

interface WatchdogOptions {
  /** Of this process: `WATCHDOG_USEC`, `WATCHDOG_PID` and `NOTIFY_SOCKET` as systemd sets them. */
  env: NodeJS.ProcessEnv;
  /** Asked before each beat. After `false` no beat is sent, and systemd restarts the service when that lasts. */
  healthy: () => boolean;
  /** Told about a beat that could not be sent. The next one is tried at its time. */
  onMissedBeat: (error: AgentError) => void;
  /** Ends the beats. */
  signal: AbortSignal;
  /** Sends one beat within `deadlineMs`; for tests. */
  sendBeat?: (deadlineMs: number) => Promise<void>;
}

/** Starts beating at half of what systemd asks for; the interval in ms, or null when systemd asks for nothing. */
export function startWatchdog(options: WatchdogOptions): number | null {
  const { env, healthy, onMissedBeat, signal, sendBeat = systemdNotify } = options;
  const intervalMs = watchdogIntervalMs(env);
  if (intervalMs === null || signal.aborted) return null;

  const beat = async (): Promise<void> => {
    if (!healthy()) return;
    try {
      await sendBeat(intervalMs);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      onMissedBeat(new AgentError('Unavailable', `systemd did not get a watchdog beat: ${reason}`, { cause: error }));
    }
  };
  let beating = false;
  const timer = setInterval(() => {
    // A beat lasts at most one interval; one that ends late replaces the next.
    if (beating) return;
    beating = true;
    void beat().finally(() => {
      beating = false;
    });
  }, intervalMs);
  timer.unref();
  signal.addEventListener('abort', () => {
    clearInterval(timer);
  });
  return intervalMs;
}

/** Half of `WATCHDOG_USEC`, as sd_watchdog_enabled(3) advises; null when it is not meant for this process. */
function watchdogIntervalMs(env: NodeJS.ProcessEnv): number | null {
  const { WATCHDOG_USEC: usec = '', WATCHDOG_PID: pid = String(process.pid), NOTIFY_SOCKET: socket = '' } = env;
  if (!/^[1-9][0-9]{3,15}$/.test(usec) || pid !== String(process.pid) || socket === '') return null;
  return Math.max(1, Math.floor(Number(usec) / 2_000));
}

async function systemdNotify(deadlineMs: number): Promise<void> {
  await execa('systemd-notify', ['WATCHDOG=1'], { timeout: deadlineMs, stdin: 'ignore' });
}
