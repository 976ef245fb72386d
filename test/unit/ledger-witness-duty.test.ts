import assert from 'node:assert/strict';
import { renderAddCheckpoint } from '../../src/ledger/tlog/add-checkpoint.ts';
import { openCheckpoint } from '../../src/ledger/tlog/checkpoint.ts';
import { SignerKey } from '../../src/ledger/tlog/key.ts';
import type { VerifierKey } from '../../src/ledger/tlog/key.ts';
import { verifySignatures } from '../../src/ledger/tlog/signature.ts';
import { WitnessDuty } from '../../src/ledger/witness-duty.ts';
import { startMs } from '../support/ledger-fixtures.ts';
import { MemoryTreeFiles } from '../support/memory-tree-files.ts';
import { checkpointOf, nodeKeys } from '../support/signed-logs.ts';
import { entriesOf, proofOf } from '../support/tlog-fixtures.ts';

const [log, other, own] = nodeKeys;
/** Of the name of `log`: what a ledger begins with that was acknowledged. */
const successor = SignerKey.generate(log.name);
const entries = entriesOf(30);
const rewritten = [Buffer.from('rewritten'), ...entries.slice(1)];

function requestOf(key: SignerKey, old: number, size: number, from: readonly Uint8Array[] = entries): string {
  const tree = from.slice(0, size);
  const consistency = old === 0 || old > size ? [] : proofOf(old, tree);
  return renderAddCheckpoint({ old, consistency, checkpoint: checkpointOf(tree, key) }).toString();
}

const logs = (...keys: readonly SignerKey[]): { logs: VerifierKey[] } => ({
  logs: keys.map(({ verifierKey }) => verifierKey),
});

describe('a node as witness', () => {
  let files: MemoryTreeFiles;
  let duty: WitnessDuty;
  const both = logs(log, other);

  const start = async (policy = both): Promise<WitnessDuty> => {
    const started = new WitnessDuty({ key: own, files, nowMs: () => startMs + 999 });
    await started.load(policy);
    return started;
  };
  /** Sizes by origin. */
  const sizes = (of = duty): Record<string, number> =>
    Object.fromEntries(
      [...of.cosigned].map(([origin, note]) => {
        const keys = [log, successor, other].map(({ verifierKey }) => verifierKey);
        return [origin, openCheckpoint(Buffer.from(note), keys).checkpoint.tree_size];
      }),
    );

  beforeEach(async () => {
    files = new MemoryTreeFiles();
    duty = await start();
  });

  it('cosigns each log of the policy for itself, by its own key and clock', async () => {
    await duty.consider(requestOf(log, 0, 3), both);
    await duty.consider(requestOf(other, 0, 7), both);
    assert.deepEqual(sizes(), { [log.name]: 3, [other.name]: 7 });
    for (const [origin, note] of duty.cosigned) {
      const key = origin === log.name ? log : other;
      const { note: signed } = openCheckpoint(Buffer.from(note), [key.verifierKey]);
      const verified = verifySignatures(signed, [own.cosignerKey, key.verifierKey]);
      assert.equal(verified.length, 2);
      assert.ok(verified.some(({ timestampS }) => timestampS === startMs / 1000));
      assert.equal(signed.signatures.length, 2, "the log's signature and its own, and nobody else's");
    }
  });

  it('hands on no signature but that of the log', async () => {
    const checkpoint = checkpointOf(entries.slice(0, 3), log, [other]);
    await duty.consider(renderAddCheckpoint({ old: 0, consistency: [], checkpoint }).toString(), both);
    const { note } = openCheckpoint(Buffer.from(duty.cosigned.get(log.name)!), [log.verifierKey]);
    assert.deepEqual(
      note.signatures.map(({ name }) => name),
      [log.name, own.name],
    );
  });

  it('signs nothing twice', async () => {
    await duty.consider(requestOf(log, 0, 3), both);
    const note = duty.cosigned.get(log.name);
    await duty.consider(requestOf(log, 3, 3), both);
    assert.equal(duty.cosigned.get(log.name), note);
    assert.equal(files.written.length, 1);
  });

  it('remembers over a restart what it cosigned, and asks for a proof from there', async () => {
    await duty.consider(requestOf(log, 0, 3), both);
    const again = await start();
    assert.deepEqual(sizes(again), { [log.name]: 3 });
    await again.consider(requestOf(log, 0, 5), both);
    assert.deepEqual(sizes(again), { [log.name]: 3 }, 'not from the beginning once more');
    await again.consider(requestOf(log, 3, 5), both);
    assert.deepEqual(sizes(again), { [log.name]: 5 });
  });

  it('has nobody hear of what is not durable', async () => {
    files.left = 0;
    await assert.rejects(duty.consider(requestOf(log, 0, 3), both), { code: 'Unavailable' });
    assert.deepEqual([sizes(), files.files.size], [{}, 0]);
  });

  it('cosigns no log that the policy does not name, or names no more', async () => {
    const one = await start(logs(other));
    await one.consider(requestOf(log, 0, 3), logs(other));
    await duty.consider(requestOf(log, 0, 3), logs(other));
    assert.deepEqual([sizes(one), sizes(), files.files.size], [{}, {}, 0]);
  });

  it('takes a log that begins anew under its name for another one, by its key alone', async () => {
    await duty.consider(requestOf(log, 0, 3), both);
    const changed = logs(successor, other);
    await duty.load(changed);
    assert.deepEqual(sizes(), {});
    await duty.consider(requestOf(log, 0, 4), changed);
    assert.deepEqual(sizes(), {}, 'the old key signs no more');
    await duty.consider(requestOf(successor, 0, 2, rewritten), changed);
    assert.deepEqual([sizes(), [...duty.refused]], [{ [log.name]: 2 }, []]);
    await duty.load(both);
    assert.deepEqual(sizes(), { [log.name]: 3 }, 'what was cosigned of the old one is not forgotten');
  });

  it('keeps one history of a name that stands twice', async () => {
    const twice = logs(log, successor);
    const witness = await start(twice);
    await witness.consider(requestOf(successor, 0, 2, rewritten), twice);
    await witness.consider(requestOf(log, 0, 3), twice);
    assert.equal(Object.keys(sizes(witness)).length, 1);
    assert.equal(files.written.length, 1);
  });

  it('tells of a log that was rewritten, until it goes on as it was', async () => {
    await duty.consider(requestOf(log, 0, 3), both);
    await duty.consider(requestOf(log, 3, 3, rewritten), both);
    assert.match(duty.refused.get(log.name) ?? '', /signed another root of size 3 before/);
    await duty.consider(requestOf(log, 3, 5), both);
    assert.equal(duty.refused.size, 0);
    await duty.consider(requestOf(log, 5, 9, rewritten), both);
    assert.deepEqual([...duty.refused.keys()], [log.name]);
    assert.deepEqual(sizes(), { [log.name]: 5 });
  });

  it('tells nothing of what is no request, not signed, or only late', async () => {
    await duty.consider(requestOf(log, 0, 5), both);
    for (const request of ['', 'old 5\n\n', requestOf(own, 0, 3), requestOf(log, 3, 9), requestOf(log, 9, 5)]) {
      await duty.consider(request, both);
    }
    const forged = requestOf(own, 0, 3).replaceAll(own.name, log.name);
    await duty.consider(forged, both);
    assert.deepEqual([[...duty.refused], sizes()], [[], { [log.name]: 5 }]);
  });
});
