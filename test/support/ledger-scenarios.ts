/** What a ledger does on a disk, for faults at each of its calls: starts that find different things, appends, a checkpoint. */
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Ledger } from '../../src/ledger/ledger.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { openLedgerFile } from '../../src/platform/ledger-file.ts';
import { ledgerTreeFiles } from '../../src/platform/ledger-tree-files.ts';
import { attach, ledgerBytes, ledgerOptions } from './ledger-fixtures.ts';
import { nodeKeys } from './signed-logs.ts';

export const scenarios = [
  'a file that is full, time and again',
  'a file on a disk that is waited for at once',
  'a first start',
  'a start after a torn write',
  "a start with the older tool's ledger",
] as const;
export type Scenario = (typeof scenarios)[number];

export const olderLedger =
  '{"timestamp":1,"height":0,"prev_hash":"0","hash":"1","category":"net","action":"x","data":{},"metadata":{}}\n';

/** What the disk holds before. */
export async function prepare(scenario: Scenario, path: string): Promise<void> {
  switch (scenario) {
    case 'a first start':
      return;
    case 'a file that is full, time and again':
    case 'a file on a disk that is waited for at once':
      await writeFile(path, ledgerBytes(3));
      return;
    case 'a start after a torn write': {
      await writeFile(path, ledgerBytes(3));
      const ledger = await openOnDisk(path);
      await ledger.prove(2);
      await ledger.close();
      await writeFile(path, Buffer.concat([ledgerBytes(3), Buffer.from('{"height":3,"prev_h')]));
      return;
    }
    case "a start with the older tool's ledger":
      await writeFile(path, olderLedger);
  }
}

/** As a disk that has proven quick, whatever it is. */
export const atOnce = { mayWait: () => true, note: () => undefined };

export async function openOnDisk(path: string, segmentBytes = Infinity, pace?: typeof atOnce): Promise<Ledger> {
  const store = await openLedgerFile(path, pace);
  const tree = new StoredTree(ledgerTreeFiles(dirname(path)));
  try {
    return await Ledger.open(store, ledgerOptions({ tree, key: nodeKeys[0], segmentBytes }));
  } catch (error) {
    await store.close();
    throw error;
  }
}

export function ledgerIn(folder: string): string {
  return join(folder, 'ledger.jsonl');
}

/** Tells of every block that is durable. What fails is passed over, as the service does, which serves guests all the same. */
export async function work(
  scenario: Scenario,
  path: string,
  onDurable: (block: { height: number; hash: string }) => void,
): Promise<void> {
  const ledger = await openOnDisk(
    path,
    scenario === 'a file that is full, time and again' ? 1 : Infinity,
    ...(scenario === 'a file on a disk that is waited for at once' ? [atOnce] : []),
  );
  const append = async (vmid: number): Promise<void> => {
    onDurable(await ledger.append(attach(vmid)));
  };
  await Promise.allSettled([append(200), append(201)]);
  await ledger.prove(0).catch(() => undefined);
  await Promise.allSettled([append(202)]);
  await Promise.allSettled([append(203)]);
  await ledger.close();
}
