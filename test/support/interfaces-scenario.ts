/** One edit of `/etc/network/interfaces` with changes pending, recorded in a ledger on disk, for faults at each of its calls. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { planManagedBlock } from '../../src/interfaces/managed-block.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { parseBridgeName, parsePortName } from '../../src/model/names.ts';
import { InterfacesFile } from '../../src/platform/interfaces-file.ts';
import { readLedgerFile } from '../../src/platform/ledger-file.ts';
import { draftOf } from '../../src/ports/journal.ts';
import { ledgerIn, openOnDisk } from './ledger-scenarios.ts';
import { cause } from './ports-fixtures.ts';

export const interfacesEdit = 'an edit of the interfaces file';

const current = 'auto lo\niface lo inet loopback\n';
const pending = `${current}\nauto bond0\niface bond0 inet manual\n`;
const ports = [
  {
    port: parsePortName('vi100'),
    bridge: parseBridgeName('ovsbr0'),
    tag: null,
    trunks: [],
    vlanMode: null,
    owner: 'CT 100 net0 (veth100i0)',
  },
];
const plan = (text: string) => planManagedBlock(text, ports, 'ovs-port-agent');

const pathIn = (folder: string): string => join(folder, 'network', 'interfaces');
const files = (folder: string): (readonly [path: string, before: string, after: string])[] =>
  [current, pending].map((text, index) => [`${pathIn(folder)}${['', '.new'][index]!}`, text, plan(text).text]);

export async function prepareInterfaces(folder: string): Promise<void> {
  await mkdir(join(folder, 'network'));
  for (const [path, before] of files(folder)) await writeFile(path, before);
}

/** The files with their block in front of it, as the service makes them. */
export async function editInterfaces(
  folder: string,
  onDurable: (block: { height: number; hash: string }) => void,
): Promise<void> {
  const ledger = await openOnDisk(ledgerIn(folder));
  try {
    const file = new InterfacesFile({ path: pathIn(folder), stateDir: folder, plan });
    await file.update(
      ports,
      {
        change: (changes, action) =>
          ledger.writeAheadAll(
            changes.map((change) => draftOf(change, 'pve1')),
            (blocks) => {
              blocks.forEach(onDurable);
              return action(blocks);
            },
          ),
      },
      cause,
    );
  } finally {
    await ledger.close();
  }
}

/** Each file is what it was or what it was to become, and then a block says so; the next edit brings both to the end. */
export async function checkInterfaces(folder: string, acknowledged: readonly string[]): Promise<void> {
  const texts = await Promise.all(files(folder).map(([path]) => readFile(path, 'utf8')));
  const written = files(folder).filter(([, before, after], index) => {
    assert.ok(texts[index] === before || texts[index] === after, texts[index]);
    return texts[index] === after;
  });
  const ledger = await openOnDisk(ledgerIn(folder));
  assert.equal(ledger.tampered, false, ledger.tamperedAt?.reason);
  const blocks = await ledger.query({ category: 'netcfg' });
  const said = new Set(blocks.map(({ height, hash }) => `${height} ${hash}`));
  for (const line of acknowledged) assert.ok(said.has(line), line);
  for (const [path, , after] of written) {
    const digest = hash('sha256', after);
    const told = blocks.some(({ data }) => data['file'] === path && JSON.stringify(data['after']).includes(digest));
    assert.ok(told, `no block says that ${path} was written`);
  }
  await ledger.close();

  await editInterfaces(folder, () => undefined);
  for (const [path, , after] of files(folder)) assert.equal(await readFile(path, 'utf8'), after);
  const kept = await readFile(join(folder, 'interfaces.ovs-port-agent.orig'), 'utf8');
  // Whoever was stopped between the two files left one of them new; the first to be kept is kept.
  assert.equal(kept, current);
  assert.deepEqual((await readdir(join(folder, 'network'))).sort(), ['.pve-interfaces.lock', 'interfaces', 'interfaces.new']); // prettier-ignore
  assert.equal((await verifyLedger(readLedgerFile(ledgerIn(folder)), null)).valid, true);
}
