/** The drivers of test/conformance on vectors of the shape that public suites have. */
import assert from 'node:assert/strict';
import { judgeMerkle } from '../conformance/merkle.ts';
import { judgeNote } from '../conformance/note.ts';
import { runVectors } from '../conformance/vectors.ts';
import type { Judge, Vector } from '../conformance/vectors.ts';
import { leafHash } from '../../src/ledger/tlog/hash.ts';
import { arche, enoch, peter, peterText, specNote } from '../support/note-vectors.ts';
import { nodeKeys, proofFileOf } from '../support/signed-logs.ts';
import { mth, pathOf, proofOf, referenceLeaves } from '../support/tlog-fixtures.ts';

function run(judge: Judge, text: string): { exitCode: number; lines: string[] } {
  const lines: string[] = [];
  const exitCode = runVectors(Buffer.from(text), judge, (line) => lines.push(line));
  return { exitCode, lines };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const root = (size: number): Buffer => mth(referenceLeaves.slice(0, size));
const asText = (vectors: readonly Vector[]): string => vectors.map((vector) => JSON.stringify(vector)).join('\n');

describe('the driver for Merkle vectors', () => {
  const [leafIdx, treeSize] = [5, 8];
  const path = pathOf(leafIdx, referenceLeaves).map(base64);
  const inclusion = {
    leafIdx,
    treeSize,
    root: base64(root(8)),
    leafHash: base64(leafHash(referenceLeaves[leafIdx]!)),
    proof: path,
    desc: 'happy path',
    wantErr: false,
  };
  const consistency = {
    size1: 6,
    size2: 8,
    root1: base64(root(6)),
    root2: base64(root(8)),
    proof: proofOf(6, referenceLeaves).map(base64),
    desc: 'happy path',
    wantErr: false,
  };
  const bad = { wantErr: true };
  const garbage = base64(Buffer.from('WrongLeaf'));
  const good: Vector[] = [
    inclusion,
    { ...inclusion, leafIdx: undefined, leafIndex: leafIdx, desc: 'the older name' },
    { ...inclusion, ...bad, leafIdx: leafIdx - 1, desc: 'leafIdx - 1' },
    { ...inclusion, ...bad, leafIdx: 2 ** 64, desc: 'leafIdx of 64 bits' },
    { ...inclusion, ...bad, treeSize: treeSize * 2, desc: 'treeSize * 2' },
    { ...inclusion, ...bad, leafHash: garbage, desc: 'wrong leaf' },
    { ...inclusion, ...bad, root: base64(root(0)), desc: 'empty root' },
    { ...inclusion, ...bad, proof: [...path, ''], desc: 'trailing garbage' },
    { ...inclusion, ...bad, proof: [inclusion.root, ...path], desc: 'preceding root' },
    { ...inclusion, ...bad, proof: null, desc: 'no proof' },
    consistency,
    { ...consistency, ...bad, size1: 5, desc: 'size1 - 1' },
    { ...consistency, ...bad, size2: 4, desc: 'size2 / 2' },
    { ...consistency, ...bad, root1: consistency.root2, root2: consistency.root1, desc: 'swapped roots' },
    { ...consistency, ...bad, root1: garbage, desc: 'wrong root1' },
    { ...consistency, ...bad, proof: [], desc: 'empty proof' },
    { size1: 0, size2: 0, root1: garbage, root2: garbage, proof: [], desc: 'sizes are equal (zero)', wantErr: false },
    { size1: 0, size2: 1, root1: garbage, root2: garbage, proof: [], desc: 'size1 is zero', wantErr: true },
    { leaves: referenceLeaves.map(base64), root: base64(root(8)), desc: 'the reference tree' },
  ];

  it('agrees with every vector that is right', () => {
    const { exitCode, lines } = run(judgeMerkle, asText(good));
    assert.deepEqual(
      lines.filter((line) => line.startsWith('not ok')),
      [],
    );
    assert.deepEqual([exitCode, lines.at(-1)], [0, `${good.length} passed, 0 failed`]);
  });

  it('disagrees with every vector that is not', () => {
    const wrong = good.map((vector) =>
      'leaves' in vector ? { ...vector, root: base64(root(7)) } : { ...vector, wantErr: vector['wantErr'] !== true },
    );
    const { exitCode, lines } = run(judgeMerkle, JSON.stringify(wrong));
    assert.deepEqual([exitCode, lines.at(-1)], [1, `0 passed, ${good.length} failed`]);
  });

  it('fails when there is nothing to judge', () => {
    assert.deepEqual(run(judgeMerkle, ''), { exitCode: 1, lines: ['0 passed, 0 failed'] });
  });
});

describe('the driver for notes', () => {
  const both = `${peterText}\n${peter.signature}${enoch.signature}`;
  const [logVkey, text] = [arche.logVkey, arche.note.slice(0, arche.note.indexOf('\n\n') + 1)];
  const [origin, size, hash] = text.split('\n');
  const [key] = nodeKeys;
  const proof = proofFileOf(referenceLeaves, 5, key).toString();
  const archePolicy = (threshold: string): string =>
    [
      ...arche.witnessVkeys.map((vkey, index) => `witness w${index} ${vkey}`),
      `group all-of-them ${threshold} w0 w1 w2 w3`,
      'quorum all-of-them',
    ].join('\n');
  const good: Vector[] = [
    { note: specNote.note, vkeys: [specNote.vkey], text: 'This is an example message.\n', desc: 'the specification' },
    { note: both, vkeys: [peter.vkey], signers: ['PeterNeumann'], desc: 'one key of two' },
    { note: both, vkeys: [peter.vkey, enoch.vkey], signers: ['PeterNeumann', 'EnochRoot'], desc: 'both' },
    { note: both, vkeys: [specNote.vkey], wantErr: true, desc: 'no known key' },
    { note: `x${both}`, vkeys: [peter.vkey], wantErr: true, desc: 'another text' },
    { note: arche.note, vkeys: arche.witnessVkeys, desc: 'witnesses' },
    { note: arche.note, vkeys: [logVkey], checkpoint: { origin, size: Number(size), hash }, desc: 'a checkpoint' },
    { skey: peter.skey, vkey: peter.vkey, text: peterText, note: `${peterText}\n${peter.signature}`, desc: 'signing' },
    { skey: peter.skey.slice(0, -1), vkey: peter.vkey, text: peterText, note: both, wantErr: true, desc: 'a cut skey' },
    { policy: archePolicy('all'), note: arche.note, desc: 'all witnesses of a policy' },
    { policy: archePolicy('all'), note: arche.note.replace(/— remora.*\n/, ''), wantErr: true, desc: 'one is missing' },
    { policy: archePolicy('3'), note: arche.note.replace(/— remora.*\n/, ''), desc: 'three of four' },
    { policy: 'quorum some\n', wantErr: true, desc: 'an unknown quorum' },
    { proof, vkeys: [key.verifierKey.render()], entry: base64(referenceLeaves[5]!), desc: 'a proof' },
    {
      proof,
      vkeys: [key.verifierKey.render()],
      entry: base64(referenceLeaves[4]!),
      wantErr: true,
      desc: 'another entry',
    },
    { proof, vkeys: [arche.logVkey], entry: base64(referenceLeaves[5]!), wantErr: true, desc: 'another log' },
    { vkey: enoch.vkey, desc: 'a vkey' },
    { vkey: enoch.vkey.replace('af0c', 'af0d'), wantErr: true, desc: 'a vkey with another ID' },
  ];

  it('agrees with every vector that is right', () => {
    const { exitCode, lines } = run(judgeNote, asText(good));
    assert.deepEqual(
      lines.filter((line) => line.startsWith('not ok')),
      [],
    );
    assert.deepEqual([exitCode, lines.at(-1)], [0, `${good.length} passed, 0 failed`]);
  });

  it('disagrees with every vector that is not', () => {
    const wrong = good.map((vector) => ({ ...vector, wantErr: vector['wantErr'] !== true }));
    const { exitCode, lines } = run(judgeNote, asText(wrong));
    assert.deepEqual([exitCode, lines.at(-1)], [1, `0 passed, ${good.length} failed`]);
  });
});
