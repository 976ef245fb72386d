import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseAddCheckpoint, renderAddCheckpoint } from '../../src/ledger/tlog/add-checkpoint.ts';
import { signCheckpoint } from '../../src/ledger/tlog/checkpoint.ts';
import type { TreeHead } from '../../src/ledger/tlog/compact-range.ts';
import type { SignerKey } from '../../src/ledger/tlog/key.ts';
import { parseNote, parseSignatureLines } from '../../src/ledger/tlog/note.ts';
import { verifySignatures } from '../../src/ledger/tlog/signature.ts';
import { answerBody, considerCheckpoint } from '../../src/ledger/tlog/witness.ts';
import type { WitnessDecision } from '../../src/ledger/tlog/witness.ts';
import { sofa } from '../support/note-vectors.ts';
import { refusedWith } from '../support/refused.ts';
import { checkpointOf, headOf, nodeKeys } from '../support/signed-logs.ts';
import { entriesOf, proofOf } from '../support/tlog-fixtures.ts';

const [logKey, witnessKey, otherKey] = nodeKeys;
const entries = entriesOf(40);

/** What the log sends to get from `old` to `size`. */
function requestOf(old: number, size: number, from: readonly Uint8Array[] = entries, key: SignerKey = logKey): Buffer {
  const tree = from.slice(0, size);
  const consistency = old === 0 || old > size ? [] : proofOf(old, tree);
  return renderAddCheckpoint({ old, consistency, checkpoint: checkpointOf(tree, key) });
}

/** A witness that knows one log, as far as its specification goes: decides, stores, answers. */
class Witness {
  latest: TreeHead | null = null;

  ask(request: Uint8Array): WitnessDecision {
    const decision = considerCheckpoint(request, (origin) =>
      origin === logKey.name ? { keys: [logKey.verifierKey], latest: this.latest } : undefined,
    );
    if (decision.status === 200) this.latest = decision.head;
    return decision;
  }
}

/** One that has cosigned `size` leaves. */
function witnessAt(size: number): Witness {
  const witness = new Witness();
  assert.equal(witness.ask(requestOf(0, size)).status, 200);
  return witness;
}

describe('an add-checkpoint request', () => {
  const example =
    'old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n' +
    `5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n${sofa}`;

  it('is read and written byte for byte: the example of the specification', () => {
    const request = parseAddCheckpoint(Buffer.from(example));
    assert.deepEqual([request.old, request.consistency.length], [20_852_014, 4]);
    assert.equal(renderAddCheckpoint(request).toString(), example);
  });

  it('may be without a proof', () => {
    assert.deepEqual(parseAddCheckpoint(Buffer.from(`old 0\n\n${sofa}`)).consistency, []);
  });

  for (const [what, body, why] of [
    ['nothing', '', 'no empty line'],
    ['no old size', sofa, '"old <size>"'],
    ['a negative size', `old -1\n\n${sofa}`, 'old size'],
    ['a leading zero', `old 00\n\n${sofa}`, 'old size'],
    ['a size of 2^64', `old 18446744073709551616\n\n${sofa}`, 'old size'],
    ['a hash of 31 bytes', `old 1\n${Buffer.alloc(31).toString('base64')}\n\n${sofa}`, '31 bytes'],
    ['64 hashes', `old 1\n${`${Buffer.alloc(32).toString('base64')}\n`.repeat(64)}\n${sofa}`, 'more than 63'],
    ['a million hashes', `old 1\n${'x\n'.repeat(1_000_000)}\n${sofa}`, 'at most'],
  ] as const) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => parseAddCheckpoint(Buffer.from(body)), refusedWith('InvalidArgument', why));
      assert.equal(new Witness().ask(Buffer.from(body)).status, 400);
    });
  }
});

describe('a witness', () => {
  it('cosigns the first checkpoint it sees, and each that continues the last', () => {
    const witness = new Witness();
    for (const [old, size] of [[0, 1], [1, 5], [5, 5], [5, 16], [16, 17], [17, 40]] as const) {
      assert.equal(witness.ask(requestOf(old, size)).status, 200, `${old} to ${size}`);
      assert.deepEqual(witness.latest, headOf(entries.slice(0, size)));
    } // prettier-ignore
  });

  it('answers with a cosignature of that checkpoint and of its own key', () => {
    const request = requestOf(0, 7);
    const answer = answerBody(new Witness().ask(request), witnessKey, 1_700_000_000);
    const { text } = parseNote(parseAddCheckpoint(request).checkpoint);
    const verified = verifySignatures({ text, signatures: parseSignatureLines(answer) }, [witnessKey.cosignerKey]);
    assert.deepEqual(verified, [{ key: witnessKey.cosignerKey, timestampS: 1_700_000_000 }]);
  });

  it('tells the size to ask from when it is asked from another, older or newer', () => {
    const witness = witnessAt(9);
    for (const old of [0, 8, 10]) {
      const decision = witness.ask(requestOf(old, 20));
      assert.ok(decision.status === 409 && !decision.isFork);
      assert.equal(answerBody(decision, witnessKey, 1), '9\n');
    }
    assert.equal(witness.latest?.tree_size, 9);
  });

  it('never goes back: what was cosigned is the least there is', () => {
    const witness = witnessAt(9);
    assert.equal(witness.ask(requestOf(0, 5)).status, 409);
    assert.equal(witness.ask(requestOf(5, 5)).status, 409);
    assert.equal(witness.ask(requestOf(9, 5)).status, 400);
    assert.equal(witness.latest?.tree_size, 9);
  });

  it('keeps another tree of the same size as proof of a fork', () => {
    const witness = witnessAt(9);
    const forged = [...entries.slice(0, 8), Buffer.from('something else')];
    const decision = witness.ask(requestOf(9, 9, forged));
    assert.ok(decision.status === 409 && decision.isFork);
    assert.equal(answerBody(decision, witnessKey, 1), '9\n');
    assert.deepEqual(witness.latest, headOf(entries.slice(0, 9)));
  });

  it('refuses a tree that does not continue the one it cosigned, and a proof where none belongs', () => {
    const forged = [Buffer.from('something else'), ...entries.slice(1)];
    assert.equal(witnessAt(9).ask(requestOf(9, 20, forged)).status, 422);
    const { checkpoint, consistency } = parseAddCheckpoint(requestOf(9, 20));
    assert.equal(witnessAt(9).ask(renderAddCheckpoint({ old: 9, consistency: [], checkpoint })).status, 422);
    assert.equal(new Witness().ask(renderAddCheckpoint({ old: 0, consistency, checkpoint })).status, 422);
  });

  it('answers for logs it knows, signed by their keys alone', () => {
    assert.equal(new Witness().ask(requestOf(0, 5, entries, otherKey)).status, 404);
    const unsigned = requestOf(0, 5, entries, otherKey).toString().replaceAll(otherKey.name, logKey.name);
    assert.equal(new Witness().ask(Buffer.from(unsigned)).status, 403);
    const damaged = requestOf(0, 5).toString().replace('\n5\n', '\n6\n');
    assert.equal(new Witness().ask(Buffer.from(damaged)).status, 403);
    assert.equal(answerBody(new Witness().ask(Buffer.from(damaged)), witnessKey, 1), '');
  });

  it('cosigns an empty tree only with the hash of nothing', () => {
    assert.equal(new Witness().ask(requestOf(0, 0)).status, 200);
    const witness = new Witness();
    witness.latest = { tree_size: 0, sha256_root_hash: headOf(entries.slice(0, 1)).sha256_root_hash };
    const decision = witness.ask(requestOf(0, 0));
    assert.ok(decision.status === 409 && decision.isFork);
    const wrong = { tree_size: 0, sha256_root_hash: headOf(entries).sha256_root_hash };
    const checkpoint = Buffer.from(signCheckpoint(wrong, logKey));
    const first = new Witness().ask(renderAddCheckpoint({ old: 0, consistency: [], checkpoint }));
    assert.ok(first.status === 409 && !first.isFork, 'wrong from the first on, and so no proof of two histories');
  });

  it('cosigns only trees of which each continues the one before, whatever it is asked', () => {
    const histories = [entries, [...entries.slice(0, 20), ...entriesOf(60).slice(40)]];
    const ask = fc.tuple(fc.nat(1), fc.nat(40), fc.nat(40));
    fc.assert(
      fc.property(fc.array(ask, { maxLength: 30 }), (asked) => {
        const witness = new Witness();
        const cosigned: [history: number, size: number][] = [];
        for (const [history, old, size] of asked) {
          const from = witness.latest?.tree_size ?? 0;
          // Every other request asks from the right size.
          const request = requestOf(old % 2 === 0 ? from : old, size, histories[history]);
          if (witness.ask(request).status === 200) cosigned.push([history, size]);
        }
        for (const [index, [history, size]] of cosigned.slice(1).entries()) {
          const [earlierHistory, earlierSize] = cosigned[index]!;
          assert.ok(size >= earlierSize);
          const [one, other] = [histories[earlierHistory]!, histories[history]!];
          assert.deepEqual(headOf(one.slice(0, earlierSize)), headOf(other.slice(0, earlierSize)));
        }
      }),
      { numRuns: 60 },
    );
  });
});
