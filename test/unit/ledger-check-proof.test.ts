import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkProof } from '../../src/ledger/check-proof.ts';
import { proofBytesMax } from '../../src/ledger/limits.ts';
import { SignerKey } from '../../src/ledger/tlog/key.ts';
import { parsePolicy } from '../../src/ledger/tlog/policy.ts';
import { parseTlogProof, renderTlogProof } from '../../src/ledger/tlog/proof-file.ts';
import type { TlogProof } from '../../src/ledger/tlog/proof-file.ts';
import { attach, linesOf } from '../support/ledger-fixtures.ts';
import { sofa } from '../support/note-vectors.ts';
import { refusedWith } from '../support/refused.ts';
import { checkpointOf, cosignedAtS, nodeKeys, policyText, proofFileOf } from '../support/signed-logs.ts';

const hashes = ['gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=', 'B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA='];

describe('a proof file', () => {
  for (const text of [
    `c2sp.org/tlog-proof@v1\nindex 5\n${hashes.join('\n')}\n\ntest checkpoint\n`,
    `c2sp.org/tlog-proof@v1\nextra ${Buffer.from('extra').toString('base64')}\nindex 73894\n${hashes[0]!}\n\n${sofa}`,
    'c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n',
  ]) {
    it(`is read and written byte for byte: ${JSON.stringify(text.slice(23, 40))}`, () => {
      assert.equal(renderTlogProof(parseTlogProof(Buffer.from(text))).toString(), text);
    });
  }

  for (const [what, text, why] of [
    ['nothing', '', 'no empty line'],
    ['another first line', 'wrong-header\nindex 0\n\ncheckpoint\n', 'first line'],
    ['another version', 'c2sp.org/tlog-proof@v2\nindex 0\n\ncheckpoint\n', 'first line'],
    ['extra that is no base64', 'c2sp.org/tlog-proof@v1\nextra !!notbase64!!\nindex 0\n\ncheckpoint\n', 'not base64'],
    ['extra of nothing', 'c2sp.org/tlog-proof@v1\nextra \nindex 0\n\ncheckpoint\n', 'not base64'],
    ['extra behind the index', 'c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\ncheckpoint\n', 'audit path'],
    ['no index', 'c2sp.org/tlog-proof@v1\n\n\ncheckpoint\n', 'no index'],
    ['an index that is no number', 'c2sp.org/tlog-proof@v1\nindex notanumber\n\ncheckpoint\n', 'index of a proof'],
    ['a negative index', 'c2sp.org/tlog-proof@v1\nindex -5\n\ncheckpoint\n', 'index of a proof'],
    ['an index with a leading zero', 'c2sp.org/tlog-proof@v1\nindex 05\n\ncheckpoint\n', 'index of a proof'],
    ['a carriage return', 'c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\ncheckpoint\n', 'no empty line'],
    ['a hash that is no base64', 'c2sp.org/tlog-proof@v1\nindex 0\n!!notbase64!!\n\ncheckpoint\n', 'not base64'],
    [
      'a hash of 64 bytes',
      `c2sp.org/tlog-proof@v1\nindex 0\n${Buffer.alloc(64).toString('base64')}\n\nx\n`,
      '64 bytes',
    ],
    ['64 hashes', `c2sp.org/tlog-proof@v1\nindex 0\n${`${hashes[0]!}\n`.repeat(64)}\nx\n`, 'more than 63'],
    ['more bytes than a proof has', `c2sp.org/tlog-proof@v1\n${'x'.repeat(proofBytesMax)}`, 'at most'],
  ] as const) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => parseTlogProof(Buffer.from(text)), refusedWith('InvalidArgument', why));
    });
  }

  it('comes back from its text, whatever it holds', () => {
    const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
      fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
    const proofs: fc.Arbitrary<TlogProof> = fc.record(
      {
        leaf_index: fc.maxSafeNat(),
        audit_path: fc.array(bytes(32, 32), { maxLength: 63 }),
        extra: fc.option(bytes(1, 200)),
        checkpoint: bytes(0, 300),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(proofs, (proof) => {
        assert.deepEqual(parseTlogProof(renderTlogProof(proof)), proof);
      }),
    );
  });
});

describe('checking a proof', () => {
  const [key, witness, other] = nodeKeys;
  const lines = linesOf(Array.from({ length: 11 }, (_, index) => attach(100 + index)));
  const trust = { key: key.verifierKey, policy: null };
  const policyOf = (quorum: string) => parsePolicy(Buffer.from(policyText(key, [witness, other], quorum)));

  it('gives the block that is proven, every one of a ledger', () => {
    for (const [height, line] of lines.entries()) {
      const proven = checkProof(proofFileOf(lines, height, key), trust);
      assert.deepEqual([proven.block.height, proven.line, proven.cosignatures], [height, line, []]);
      assert.deepEqual([proven.checkpoint.origin, proven.checkpoint.tree_size], [key.name, 11]);
      assert.equal(proven.block.data['vmid'], 100 + height);
    }
  });

  it('asks for the quorum of a policy, and names who cosigned', () => {
    const by = (name: string): { name: string; timestampS: number } => ({ name, timestampS: cosignedAtS });
    const proof = proofFileOf(lines, 3, key, [witness]);
    const check = (quorum: string, file: Uint8Array) => checkProof(file, { key: null, policy: policyOf(quorum) });
    assert.deepEqual(check('any', proof).cosignatures, [by(witness.name)]);
    assert.throws(() => check('all', proof), refusedWith('InvalidArgument', '1 known witnesses', 'no quorum'));
    assert.throws(() => check('any', proofFileOf(lines, 3, key)), refusedWith('InvalidArgument', 'no quorum'));
    const both = proofFileOf(lines, 3, key, [other, witness]);
    assert.deepEqual(check('all', both).cosignatures, [by(other.name), by(witness.name)]);
    assert.deepEqual(checkProof(both, trust).cosignatures, []);
  });

  it('wants the log to be trusted, by key, by policy, or by both', () => {
    const proof = proofFileOf(lines, 3, key, [witness]);
    const policy = policyOf('any');
    assert.equal(checkProof(proof, { key: key.verifierKey, policy }).block.height, 3);
    const open = parsePolicy(Buffer.from('quorum none\n'));
    assert.equal(checkProof(proof, { key: key.verifierKey, policy: open }).block.height, 3);
    const successor = SignerKey.generate(key.name);
    const refusals = [
      [{ key: other.verifierKey, policy: null }, 'no key here'],
      [{ key: other.verifierKey, policy }, 'no key here'],
      [{ key: null, policy: parsePolicy(Buffer.from(policyText(other, [witness], 'any'))) }, 'no key here'],
      [
        { key: key.verifierKey, policy: parsePolicy(Buffer.from(policyText(other, [witness], 'any'))) },
        'does not list',
      ],
      [
        { key: key.verifierKey, policy: parsePolicy(Buffer.from(policyText(successor, [witness], 'any'))) },
        'does not list',
      ],
    ] as const;
    for (const [trusted, why] of refusals) {
      assert.throws(() => checkProof(proof, trusted), refusedWith('InvalidArgument', why));
    }
  });

  it('cannot tell without a log that is trusted, or without the block', () => {
    const proof = proofFileOf(lines, 3, key);
    const open = parsePolicy(Buffer.from('quorum none\n'));
    for (const policy of [null, open]) {
      assert.throws(() => checkProof(proof, { key: null, policy }), refusedWith('Unavailable', 'no log is trusted'));
    }
    const bare = renderTlogProof({ ...parseTlogProof(proof), extra: null });
    assert.throws(() => checkProof(bare, trust), refusedWith('Unavailable', 'does not carry the block'));
  });

  it('fails for another block, another place and another tree', () => {
    const proof = parseTlogProof(proofFileOf(lines, 3, key));
    const check = (change: Partial<TlogProof>) => () => checkProof(renderTlogProof({ ...proof, ...change }), trust);
    const forged = linesOf([...lines.slice(0, 3).map((_, index) => attach(100 + index)), attach(999)]).at(-1)!;
    for (const change of [
      { extra: lines[4]! },
      { extra: forged },
      { leaf_index: 4 },
      { leaf_index: 11 },
      { audit_path: proof.audit_path.slice(1) },
      { audit_path: [] },
      { checkpoint: checkpointOf(lines.slice(0, 10), key) },
    ]) {
      assert.throws(check(change), refusedWith('InvalidArgument', 'not proven'));
    }
  });

  it('fails for an entry that is no block, or the block of another height, though the log signed it', () => {
    const entries = [Buffer.from('no block'), lines[3]!];
    assert.throws(
      () => checkProof(proofFileOf(entries, 0, key), trust),
      refusedWith('InvalidArgument', 'ledger block'),
    );
    assert.throws(
      () => checkProof(proofFileOf(entries, 1, key), trust),
      refusedWith('InvalidArgument', 'says it is block 3'),
    );
  });

  it('fails with any byte changed, or says exactly what it said', () => {
    const proof = proofFileOf(lines, 5, key, [witness]);
    const policy = policyOf('any');
    for (let at = 0; at < proof.length; at++) {
      const changed = Buffer.from(proof);
      changed[at]! ^= 1 << (at % 8);
      assert.throws(
        () => checkProof(changed, { key: key.verifierKey, policy }),
        refusedWith('InvalidArgument'),
        `byte ${at}: ${proof.subarray(at, at + 10).toString()}`,
      );
    }
  });
});
