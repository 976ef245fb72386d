/** Lines for systemd's journal: standard error, with the priority prefix of sd-daemon(3) when the journal reads it. */

const priorities = { error: 3, warning: 4, info: 6, debug: 7 } as const;
export type LogLevel = keyof typeof priorities;

export interface Log {
  (level: LogLevel, message: string): void;
}

export function createLog(maxLevel: LogLevel, env: NodeJS.ProcessEnv = process.env): Log {
  const isJournal = env['JOURNAL_STREAM'] !== undefined;
  return (level, message) => {
    if (priorities[level] > priorities[maxLevel]) return;
    const prefix = isJournal ? `<${priorities[level]}>` : `${level}: `;
    // One line of the journal for each line of the message.
    process.stderr.write(
      message
        .split('\n')
        .map((line) => `${prefix}${line}\n`)
        .join(''),
    );
  };
}

/** The same trouble, again and again, is one line. */
export class OnceLog {
  readonly #log: Log;
  #last = '';

  constructor(log: Log) {
    this.#log = log;
  }

  write(message: string): void {
    if (message === this.#last) return;
    this.#last = message;
    this.#log('warning', message);
  }
}
