/** Three nodes of a cluster with fixed keys, and what their ledgers hand out: for tests and documents alone. */
import { SignerKey } from '../../src/ledger/tlog/key.ts';
import { signCheckpoint } from '../../src/ledger/tlog/checkpoint.ts';
import { appendLeaf, emptyRange, treeHead } from '../../src/ledger/tlog/compact-range.ts';
import type { TreeHead } from '../../src/ledger/tlog/compact-range.ts';
import { leafHash } from '../../src/ledger/tlog/hash.ts';
import { parseNote, renderNote } from '../../src/ledger/tlog/note.ts';
import { renderTlogProof } from '../../src/ledger/tlog/proof-file.ts';
import { cosignText } from '../../src/ledger/tlog/signature.ts';
import { startMs } from './ledger-fixtures.ts';
import { pathOf } from './tlog-fixtures.ts';

/** Seeds of 32 equal bytes: worth nothing as secrets. */
export const nodeKeys = [
  'PRIVATE+KEY+prod/pve1/ovs-port-agent+a6b23d7e+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB',
  'PRIVATE+KEY+prod/pve2/ovs-port-agent+46f76078+AQICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC',
  'PRIVATE+KEY+prod/pve3/ovs-port-agent+ee12f5e7+AQMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD',
].map((skey) => SignerKey.parse(skey)) as [SignerKey, SignerKey, SignerKey];

/** When the witnesses of `checkpointOf` looked. */
export const cosignedAtS = startMs / 1000 + 60;

export function headOf(entries: readonly Uint8Array[]): TreeHead {
  return treeHead(entries.reduce((range, entry) => appendLeaf(range, leafHash(entry)), emptyRange));
}

/** The signed checkpoint over `entries`, with the cosignatures of `witnesses`. */
export function checkpointOf(
  entries: readonly Uint8Array[],
  key: SignerKey,
  witnesses: readonly SignerKey[] = [],
): Buffer {
  const { text, signatures } = parseNote(Buffer.from(signCheckpoint(headOf(entries), key)));
  const cosignatures = witnesses.map((witness) => cosignText(text, witness, cosignedAtS));
  return Buffer.from(renderNote({ text, signatures: [...signatures, ...cosignatures] }));
}

/** The proof file of one of `lines`. */
export function proofFileOf(
  lines: readonly Buffer[],
  height: number,
  key: SignerKey,
  witnesses: readonly SignerKey[] = [],
): Buffer {
  return renderTlogProof({
    leaf_index: height,
    audit_path: pathOf(height, lines),
    extra: lines[height] ?? null,
    checkpoint: checkpointOf(lines, key, witnesses),
  });
}

/** One log and its witnesses, of which `quorum` are enough. */
export function policyText(log: SignerKey, witnesses: readonly SignerKey[], quorum: string): string {
  const names = witnesses.map((_, index) => `w${index + 1}`);
  return [
    `log ${log.verifierKey.render()}`,
    ...witnesses.map((witness, index) => `witness ${names[index] ?? ''} ${witness.cosignerKey.render()}`),
    `group enough ${quorum} ${names.join(' ')}`,
    'quorum enough',
    '',
  ].join('\n');
}
