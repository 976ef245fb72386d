import assert from 'node:assert/strict';
import fc from 'fast-check';
import { openCheckpoint, parseCheckpoint, signCheckpoint } from '../../src/ledger/tlog/checkpoint.ts';
import { SignerKey, signatureTypes, VerifierKey } from '../../src/ledger/tlog/key.ts';
import { parseNote, renderNote } from '../../src/ledger/tlog/note.ts';
import { cosignText, signText } from '../../src/ledger/tlog/signature.ts';
import { arche, sofa } from '../support/note-vectors.ts';
import { refusedWith } from '../support/refused.ts';
import { mth } from '../support/tlog-fixtures.ts';

const root = mth([]).toString('base64');
const name = 'prod/pve1/ovs-port-agent';

describe('a checkpoint', () => {
  it('is read: the example of the specification', () => {
    const { origin, tree_size, sha256_root_hash, extensions } = parseCheckpoint(parseNote(Buffer.from(sofa)).text);
    assert.deepEqual(
      [origin, tree_size, sha256_root_hash.toString('base64'), extensions],
      ['example.com/behind-the-sofa', 20852163, 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=', []],
    );
  });

  it('of a public log opens with its key', () => {
    const key = VerifierKey.parse(arche.logVkey, signatureTypes.ed25519);
    const { checkpoint } = openCheckpoint(Buffer.from(arche.note), [key]);
    assert.deepEqual([checkpoint.origin, checkpoint.tree_size], [key.name, 1_432_088_532]);
  });

  it('keeps extension lines, which may say anything', () => {
    const { extensions } = parseCheckpoint(`log\n0\n${root}\nfirst\n second \n`);
    assert.deepEqual(extensions, ['first', ' second ']);
  });

  for (const [what, text] of [
    ['nothing', ''],
    ['two lines', 'log\n0\n'],
    ['no last newline', `log\n0\n${root}`],
    ['an empty origin', `\n0\n${root}\n`],
    ['an empty extension line', `log\n0\n${root}\n\nx\n`],
    ['a negative size', `log\n-1\n${root}\n`],
    ['a leading zero', `log\n01\n${root}\n`],
    ['a plus sign', `log\n+1\n${root}\n`],
    ['an exponent', `log\n1e3\n${root}\n`],
    ['hexadecimal', `log\n0x10\n${root}\n`],
    ['another script', `log\n١\n${root}\n`],
    ['a size of 2^53', `log\n9007199254740992\n${root}\n`],
    ['a size of 2^64', `log\n18446744073709551616\n${root}\n`],
    ['a size of a million digits', `log\n${'9'.repeat(1_000_000)}\n${root}\n`],
    ['a hash of 31 bytes', `log\n0\n${Buffer.alloc(31).toString('base64')}\n`],
    ['a hash without padding', `log\n0\n${root.slice(0, -1)}\n`],
    ['a hash with unused bits', `log\n0\n${root.replace('FU=', 'FV=')}\n`],
  ] as const) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => parseCheckpoint(text), refusedWith('InvalidArgument'));
    });
  }

  it('may be of the largest tree there can be', () => {
    assert.equal(parseCheckpoint(`log\n9007199254740991\n${root}\n`).tree_size, Number.MAX_SAFE_INTEGER);
  });

  it('that is signed here opens here, whatever the tree', () => {
    const key = SignerKey.generate(name);
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (tree_size, hash) => {
        const head = { tree_size, sha256_root_hash: Buffer.from(hash) };
        const { checkpoint } = openCheckpoint(Buffer.from(signCheckpoint(head, key)), [key.verifierKey]);
        assert.deepEqual(checkpoint, { ...head, origin: name, extensions: [] });
      }),
      { numRuns: 30 },
    );
  });

  const head = { tree_size: 7, sha256_root_hash: mth([]) };
  const key = SignerKey.generate(name);
  const text = `${name}\n7\n${root}\n`;

  it('opens by no key but one of its origin', () => {
    const signed = Buffer.from(signCheckpoint(head, key));
    assert.throws(() => openCheckpoint(signed, []), refusedWith('InvalidArgument', 'no key here', name));
    const foreign = SignerKey.generate('prod/pve2/ovs-port-agent');
    const byForeign = Buffer.from(renderNote({ text, signatures: [signText(text, foreign)] }));
    assert.throws(
      () => openCheckpoint(byForeign, [foreign.verifierKey]),
      refusedWith('InvalidArgument', 'no key here'),
    );
    const older = SignerKey.generate(name);
    assert.throws(
      () => openCheckpoint(signed, [older.verifierKey]),
      refusedWith('InvalidArgument', 'not signed by its key'),
    );
    assert.equal(openCheckpoint(signed, [older.verifierKey, key.verifierKey]).checkpoint.tree_size, 7);
  });

  it('does not open by a cosignature alone', () => {
    const cosigned = Buffer.from(renderNote({ text, signatures: [cosignText(text, key, 1)] }));
    assert.throws(() => openCheckpoint(cosigned, [key.verifierKey]), refusedWith('InvalidArgument', 'not signed'));
  });
});
