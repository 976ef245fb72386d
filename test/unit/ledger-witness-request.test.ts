import assert from 'node:assert/strict';
import type { StoredCheckpoint } from '../../src/ledger/stored-tree.ts';
import { parseAddCheckpoint } from '../../src/ledger/tlog/add-checkpoint.ts';
import { parseNote } from '../../src/ledger/tlog/note.ts';
import { parsePolicy } from '../../src/ledger/tlog/policy.ts';
import { WitnessRequest } from '../../src/ledger/witness-request.ts';
import type { WitnessedLedger } from '../../src/ledger/witness-request.ts';
import { AgentError } from '../../src/model/errors.ts';
import { MemoryTreeFiles } from '../support/memory-tree-files.ts';
import { checkpointOf, cosignedAtS, headOf, nodeKeys, policyText } from '../support/signed-logs.ts';
import { entriesOf, proofOf } from '../support/tlog-fixtures.ts';

const [log, first, second] = nodeKeys;
const entries = entriesOf(30);

/** A ledger of `entries`, of which the first `size` have a checkpoint. */
class FakeLedger implements WitnessedLedger {
  size = 5;
  tampered = false;
  proves = true;
  readonly heldAgainst: number[] = [];
  cosigned: StoredCheckpoint | null = null;

  get checkpoint(): StoredCheckpoint | null {
    return this.size === 0 ? null : { head: headOf(entries.slice(0, this.size)), note: noteOf(this.size) };
  }

  proveConsistency(from: number, to: number): Promise<readonly Uint8Array[]> {
    if (!this.proves) return Promise.reject(new AgentError('Unavailable', 'a tile is missing'));
    return Promise.resolve(proofOf(from, entries.slice(0, to)));
  }

  holdAgainst({ tree_size, sha256_root_hash }: { tree_size: number; sha256_root_hash: Buffer }): Promise<boolean> {
    this.heldAgainst.push(tree_size);
    return Promise.resolve(headOf(entries.slice(0, tree_size)).sha256_root_hash.equals(sha256_root_hash));
  }

  setCosigned(checkpoint: StoredCheckpoint): void {
    this.cosigned = checkpoint;
  }
}

const noteOf = (size: number, ...witnesses: (typeof log)[]): Buffer =>
  checkpointOf(entries.slice(0, size), log, witnesses);

describe('a node as the log of its cluster', () => {
  const one = parsePolicy(Buffer.from(policyText(log, [first, second], 'any')));
  const both = parsePolicy(Buffer.from(policyText(log, [first, second], 'all')));
  let ledger: FakeLedger;
  let files: MemoryTreeFiles;
  let request: WitnessRequest;

  const start = async (): Promise<WitnessRequest> => {
    const started = new WitnessRequest({ ledger, logKey: log.verifierKey, files });
    await started.load();
    return started;
  };
  const see = (size: number, witness: typeof log, of = request): Promise<void> =>
    of.see(noteOf(size, witness).toString(), witness.cosignerKey);
  /** By witness: from which size to which. */
  const asked = async (isStale = false, policy = both): Promise<Record<string, string>> => {
    const requests = await request.requests(policy, log.cosignerKey.keyId, isStale);
    return Object.fromEntries(
      [first, second].flatMap((witness) => {
        const text = requests.get(witness.cosignerKey.keyId);
        if (text === undefined) return [];
        const { old, consistency, checkpoint } = parseAddCheckpoint(Buffer.from(text));
        const size = Number(parseNote(checkpoint).text.split('\n')[1]);
        assert.deepEqual(consistency, old === 0 ? [] : proofOf(old, entries.slice(0, size)));
        return [[witness.name.split('/')[1]!, `${old} to ${size}`]];
      }),
    );
  };

  beforeEach(async () => {
    ledger = new FakeLedger();
    files = new MemoryTreeFiles();
    request = await start();
  });

  it('asks each witness of its policy from what that one has seen, and itself never', async () => {
    assert.deepEqual(await asked(), { pve2: '0 to 5', pve3: '0 to 5' });
    assert.equal(request.askedSize, 5);
    await see(3, first);
    assert.deepEqual(await asked(), { pve2: '3 to 5', pve3: '0 to 5' });
    await see(5, first);
    assert.deepEqual(await asked(), { pve3: '0 to 5' });
    const own = await request.requests(both, first.cosignerKey.keyId, false);
    assert.deepEqual([...own.keys()], [second.cosignerKey.keyId]);
  });

  it('asks for nothing that it does not have, and as a tampered ledger for nothing', async () => {
    ledger.size = 0;
    assert.deepEqual(await asked(), {});
    ledger.size = 5;
    ledger.tampered = true;
    assert.deepEqual(await asked(), {});
  });

  it('stays with one checkpoint until enough have cosigned it, or until it is stale', async () => {
    await asked();
    ledger.size = 9;
    assert.deepEqual(await asked(), { pve2: '0 to 5', pve3: '0 to 5' });
    assert.deepEqual(await asked(true), { pve2: '0 to 9', pve3: '0 to 9' });
    ledger.size = 12;
    await see(9, first);
    await see(9, second);
    await request.collect(both);
    assert.equal(request.cosigned?.head.tree_size, 9);
    assert.deepEqual(await asked(), { pve2: '9 to 12', pve3: '9 to 12' });
  });

  it('goes on after a restart with what it had asked for', async () => {
    request.resume(noteOf(3));
    request.resume(noteOf(4));
    request.resume(Buffer.from('no note'));
    assert.equal(request.askedSize, 3);
    assert.deepEqual(await asked(), { pve2: '0 to 3', pve3: '0 to 3' });
    const other = await start();
    other.resume(checkpointOf(entries, first));
    assert.equal(other.askedSize, 0, "not with another log's");
  });

  it('asks nobody for what its tiles do not prove', async () => {
    await see(3, first);
    ledger.proves = false;
    assert.deepEqual(await asked(), { pve3: '0 to 5' });
    ledger.proves = true;
    ledger.proveConsistency = () => Promise.resolve([Buffer.alloc(32)]);
    assert.deepEqual(await asked(), { pve3: '0 to 5' });
    ledger.proveConsistency = () => Promise.reject(new TypeError('a bug'));
    await assert.rejects(asked(), TypeError);
  });

  it('believes of a witness what that one signed, only forwards, and looks at it once', async () => {
    const witness = first.cosignerKey;
    await see(4, first);
    const [sight] = request.sights;
    assert.deepEqual([sight?.name, sight?.head.tree_size, sight?.timestampS], [first.name, 4, cosignedAtS]);
    await see(4, first);
    assert.deepEqual(ledger.heldAgainst, [4]);
    await see(3, first);
    assert.equal(request.sights[0]?.head.tree_size, 4, 'a witness does not go back');
    await request.see(noteOf(6).toString(), witness);
    await request.see(noteOf(6, second).toString(), witness);
    assert.deepEqual(request.sights.map(({ head }) => head.tree_size), [4]); // prettier-ignore
    await assert.rejects(request.see(checkpointOf(entries, second, [first]).toString(), witness));
    await see(7, first);
    assert.deepEqual(request.sights.map(({ head }) => head.tree_size), [7]); // prettier-ignore
  });

  it('takes no sight of a history that is not its own, which the ledger has heard of', async () => {
    const forked = checkpointOf([Buffer.from('forked'), ...entries.slice(1, 4)], log, [first]);
    await request.see(forked.toString(), first.cosignerKey);
    assert.deepEqual([request.sights, ledger.heldAgainst], [[], [4]]);
  });

  it('keeps the checkpoint that enough have cosigned, anew when more have, and over a restart', async () => {
    await request.collect(one);
    await asked();
    await see(5, first);
    await request.collect(both);
    assert.equal(request.cosigned, null);
    await request.collect(one);
    assert.deepEqual(ledger.cosigned, request.cosigned);
    const namesOf = (): string[] => parseNote(request.cosigned!.note).signatures.map(({ name }) => name.split('/')[1]!);
    assert.deepEqual(namesOf(), ['pve1', 'pve2']);
    const writes = files.written.length;
    await request.collect(one);
    assert.equal(files.written.length, writes, 'once');
    await see(5, second);
    await request.collect(one);
    assert.deepEqual(namesOf(), ['pve1', 'pve2', 'pve3']);
    assert.equal((await start()).cosigned?.head.tree_size, 5);
    files.files.set('checkpoint.cosigned', Buffer.from('damaged'));
    assert.equal((await start()).cosigned, null);
  });

  it('does not count a witness that cosigned another checkpoint than the one asked for', async () => {
    await asked();
    await see(4, first);
    await see(5, second);
    await request.collect(both);
    assert.equal(request.cosigned, null);
  });
});
