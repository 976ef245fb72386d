/** Names of transactions: `<run>-<number>`, where `run` is random and new at every start. */
export function txnNames(run: string): () => string {
  let last = 0;
  return () => `${run}-${++last}`;
}
