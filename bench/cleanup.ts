/** What was started is ended, whatever happens, the newest first. */

/** Registers how to end something that was just started. */
export type Later = (undo: () => Promise<unknown> | undefined) => void;

export async function withCleanup<T>(use: (later: Later) => Promise<T>): Promise<T> {
  const undos: Parameters<Later>[0][] = [];
  try {
    return await use((undo) => undos.push(undo));
  } finally {
    for (const undo of undos.reverse()) {
      await Promise.resolve()
        .then(undo)
        .catch((error: unknown) => {
          process.stderr.write(`bench: cleaning up: ${error instanceof Error ? error.message : String(error)}\n`);
        });
    }
  }
}
