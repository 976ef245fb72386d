import assert from 'node:assert/strict';
import { checkProof } from '../../src/ledger/check-proof.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import type { SignerKey } from '../../src/ledger/tlog/key.ts';
import { parsePolicy } from '../../src/ledger/tlog/policy.ts';
import { parseWitnessFile, renderWitnessFile } from '../../src/ledger/witness-file.ts';
import { Witnesses } from '../../src/ledger/witnesses.ts';
import type { ClusterFolder } from '../../src/ledger/witnesses.ts';
import { AgentError } from '../../src/model/errors.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attach, openLedger, startMs } from '../support/ledger-fixtures.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { MemoryTreeFiles } from '../support/memory-tree-files.ts';
import { refusedWith } from '../support/refused.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { waitFor } from '../support/wait-for.ts';

const minuteMs = 60_000;
const writeMs = 10 * minuteMs;

/** The cluster's file system, and how often each node wrote. */
class Cluster implements ClusterFolder {
  readonly files = new Map<string, Uint8Array>();
  policyText: string | null;
  readonly writes: { name: string; atMs: number }[] = [];
  hasQuorum = true;
  /** The next write is cut after so many bytes, and its report is lost. */
  cutNext: number | null = null;
  nowMs = startMs;

  constructor(keys: readonly SignerKey[], threshold: string) {
    this.policyText = [
      ...keys.map((key) => `log ${key.verifierKey.render()}`),
      ...keys.map((key, index) => `witness w${index} ${key.cosignerKey.render()}`),
      `group enough ${threshold} ${keys.map((_, index) => `w${index}`).join(' ')}`,
      'quorum enough',
      '',
    ].join('\n');
  }

  policy(): Promise<Uint8Array | null> {
    return Promise.resolve(this.policyText === null ? null : Buffer.from(this.policyText));
  }

  read(): Promise<ReadonlyMap<string, Uint8Array>> {
    return Promise.resolve(new Map(this.files));
  }

  write(name: string, bytes: Uint8Array): Promise<void> {
    if (!this.hasQuorum) return Promise.reject(new AgentError('Unavailable', 'no quorum'));
    this.writes.push({ name, atMs: this.nowMs });
    const cut = this.cutNext;
    this.cutNext = null;
    this.files.set(name, cut === null ? bytes : bytes.subarray(0, cut));
    return cut === null ? Promise.resolve() : Promise.reject(new Error('input/output error (injected)'));
  }
}

class Node {
  readonly key: SignerKey;
  readonly cluster: Cluster;
  store = new MemoryLedgerStore();
  files = new MemoryTreeFiles();
  readonly rewritten: string[] = [];
  ledger!: Ledger;
  witnesses!: Witnesses;

  constructor(key: SignerKey, cluster: Cluster) {
    this.key = key;
    this.cluster = cluster;
  }

  async start(): Promise<this> {
    const tree = new StoredTree(this.files);
    this.ledger = await openLedger(this.store, { key: this.key, tree, checkpointBlocks: Infinity });
    this.witnesses = new Witnesses({
      ledger: this.ledger,
      key: this.key,
      folder: this.cluster,
      files: this.files,
      nowMs: () => this.cluster.nowMs,
      clock: new FakeClock(),
      writeMs,
      onRewritten: (origin, reason) => this.rewritten.push(`${origin}: ${reason}`),
    });
    await this.witnesses.open();
    return this;
  }

  restart(): Promise<this> {
    this.store = this.store.restarted();
    return this.start();
  }

  /** Appends and signs. */
  async grow(blocks: number, vmid = 100): Promise<void> {
    for (let block = 0; block < blocks; block++) await this.ledger.append(attach(vmid + block));
    await this.ledger.prove(this.ledger.blocks - 1);
  }

  get fileName(): string {
    return `${this.key.cosignerKey.keyId}.json`;
  }

  get seen(): string[] {
    return this.witnesses.sights().map(({ name, head }) => `${name.split('/')[1]!} ${head.tree_size}`).sort(); // prettier-ignore
  }
}

async function clusterOf(count: 2 | 3, threshold: string): Promise<{ cluster: Cluster; nodes: Node[] }> {
  const keys = nodeKeys.slice(0, count);
  const cluster = new Cluster(keys, threshold);
  const nodes = await Promise.all(keys.map((key) => new Node(key, cluster).start()));
  for (const [index, node] of nodes.entries()) await node.grow(3 + index);
  return { cluster, nodes };
}

/** Lets so many minutes pass; every node looks once in each. */
async function minutes(cluster: Cluster, nodes: readonly Node[], count: number): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    cluster.nowMs += minuteMs;
    for (const node of nodes) await node.witnesses.look();
  }
}

const problems = (node: Node): string[] => node.witnesses.problems();

describe('the witnesses of a cluster', () => {
  it('cosign each other, so that a proof holds by the policy of whoever checks it', async () => {
    const { cluster, nodes } = await clusterOf(3, '2');
    await minutes(cluster, nodes, 25);
    const policy = parsePolicy(Buffer.from(cluster.policyText!));
    for (const node of nodes) {
      assert.deepEqual(problems(node), []);
      const proof = await node.ledger.prove(0);
      const { checkpoint, cosignatures } = checkProof(proof, { key: node.key.verifierKey, policy });
      assert.deepEqual([checkpoint.tree_size, cosignatures.length], [node.ledger.blocks, 2]);
      assert.equal(node.witnesses.cosignedBlocks, node.ledger.blocks);
    }
    assert.deepEqual(nodes[0]!.seen, ['pve2 3', 'pve3 3']);
  });

  it('are two in a cluster of two, each for the other', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    await minutes(cluster, nodes, 25);
    assert.deepEqual(nodes.map(({ seen }) => seen), [['pve2 3'], ['pve1 4']]); // prettier-ignore
  });

  it('go on with the growing logs, and each node writes at most once in ten minutes, restarts included', async () => {
    const { cluster, nodes } = await clusterOf(3, '2');
    for (let round = 0; round < 12; round++) {
      for (const node of nodes) await node.grow(2, 200 + round);
      await minutes(cluster, nodes, 7);
      if (round % 3 === 0) await nodes[1]!.restart();
    }
    await minutes(cluster, nodes, 45);
    for (const { fileName, ledger, witnesses } of nodes) {
      const times = cluster.writes.filter(({ name }) => name === fileName).map(({ atMs }) => atMs);
      assert.ok(times.length > 5);
      for (const [index, atMs] of times.slice(1).entries()) assert.ok(atMs - times[index]! >= writeMs);
      assert.equal(witnesses.cosignedBlocks, ledger.blocks);
    }
    const before = cluster.writes.length;
    await minutes(cluster, nodes, 30);
    assert.equal(cluster.writes.length, before, 'and when nothing happens, nothing is written');
  });

  it('make a ledger that is shorter than they have seen an alarm at its start, at every length', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    await minutes(cluster, nodes, 25);
    const lines = nodes[0]!.store.disk.toString().trimEnd().split('\n');
    for (let left = 0; left < lines.length; left++) {
      const node = new Node(nodeKeys[0], cluster);
      // Cut off together with checkpoint and tiles, so that the node itself knows nothing.
      node.store = new MemoryLedgerStore(Buffer.from(lines.slice(0, left).map((line) => `${line}\n`).join(''))); // prettier-ignore
      await node.start();
      assert.equal(node.ledger.tampered, true, `${left} blocks left`);
      assert.match(node.ledger.tamperedAt!.reason, new RegExp(`has ${left} blocks and does not continue the 3 that .*pve2`)); // prettier-ignore
      await assert.rejects(node.ledger.append(attach(1)), refusedWith('Tampered', 'read-only'));
    }
  });

  it('make a ledger that was written anew an alarm, though it is longer', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    await minutes(cluster, nodes, 25);
    const node = await new Node(nodeKeys[0], new Cluster(nodeKeys.slice(0, 2), 'any')).start();
    await node.grow(9, 600);
    const again = new Node(nodeKeys[0], cluster);
    Object.assign(again, { store: node.store.restarted(), files: node.files });
    await again.start();
    assert.equal(again.ledger.tampered, true);
  });

  it('do not cosign a second history, and tell, though all files of the cluster were taken away', async () => {
    const { cluster, nodes } = await clusterOf(3, '2');
    await minutes(cluster, nodes, 25);
    const forger = await new Node(nodeKeys[0], new Cluster(nodeKeys, '2')).start();
    await forger.grow(9, 600);
    const [, second, third] = nodes as [Node, Node, Node];
    cluster.files.clear();
    const again = new Node(nodeKeys[0], cluster);
    Object.assign(again, { store: forger.store.restarted(), files: forger.files });
    await again.start();
    assert.equal(again.ledger.tampered, false, 'there is nobody to tell it yet');
    await minutes(cluster, [again], 1);
    await minutes(cluster, [again, second, third], 15);
    assert.equal(again.ledger.tampered, true);
    assert.equal(again.witnesses.cosignedBlocks, 0);
    assert.deepEqual(again.seen, []);
  });

  it('refuse a log whose proof does not lead from what they cosigned, name it once, and say so to it', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    await minutes(cluster, nodes, 25);
    const [first, second] = nodes as [Node, Node];
    const forger = await new Node(nodeKeys[0], new Cluster(nodeKeys.slice(0, 2), 'any')).start();
    await forger.grow(3, 600);
    const forged = forger.ledger.checkpoint!.note.toString();
    // The same size, another root, signed by the same key.
    const request = `old 3\n\n${forged}`;
    const file = parseWitnessFile(cluster.files.get(first.fileName)!);
    const requests = new Map([[second.key.cosignerKey.keyId, request]]);
    cluster.files.set(first.fileName, renderWitnessFile({ ...file, requests }));
    await minutes(cluster, [second], 12);
    assert.equal(second.rewritten.length, 1);
    assert.match(problems(second).join(), /the log prod\/pve1\/ovs-port-agent was rewritten: .*another root of size 3/);
    await first.witnesses.look();
    assert.match(problems(first).join(), /the witness prod\/pve2\/ovs-port-agent does not cosign this ledger/);
  });

  it('wait while the cluster has no quorum, and go on when it has', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    cluster.hasQuorum = false;
    await minutes(cluster, nodes, 3);
    assert.match(problems(nodes[0]!).join(), /^witnesses: no quorum$/);
    assert.equal(nodes[0]!.ledger.tampered, false);
    cluster.hasQuorum = true;
    await minutes(cluster, nodes, 45);
    assert.deepEqual(nodes.map(problems), [[], []]);
    assert.equal(nodes[0]!.witnesses.cosignedBlocks, 3);
  });

  it('pass over a file that is being written, cut at every place', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    await minutes(cluster, nodes, 25);
    const [first, second] = nodes as [Node, Node];
    const whole = cluster.files.get(second.fileName)!;
    for (let cut = 0; cut < whole.length - 1; cut += 7) {
      cluster.files.set(second.fileName, whole.subarray(0, cut));
      await first.witnesses.look();
      assert.deepEqual([problems(first), first.seen], [[], ['pve2 3']]);
    }
  });

  it('write again what was cut, when the time has come', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    cluster.cutNext = 20;
    await minutes(cluster, nodes, 45);
    assert.equal(nodes[1]!.witnesses.cosignedBlocks, 4);
    assert.equal(nodes[0]!.witnesses.cosignedBlocks, 3);
  });

  it('do not forget what they cosigned when they die before anybody hears of it', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    const [first, second] = nodes as [Node, Node];
    await minutes(cluster, [first], 1);
    cluster.hasQuorum = false;
    await minutes(cluster, [second], 1);
    cluster.hasQuorum = true;
    assert.ok(second.files.files.has(`witness/${first.key.verifierKey.keyId}`));
    await second.restart();
    await minutes(cluster, nodes, 15);
    assert.deepEqual(first.seen, ['pve2 3']);
  });

  it('that are gone for good do not hold the others up for ever', async () => {
    const { cluster, nodes } = await clusterOf(3, 'all');
    const [first, second] = nodes as [Node, Node];
    await minutes(cluster, [first, second], 25);
    assert.deepEqual(first.seen, ['pve2 3']);
    await first.grow(5, 300);
    await minutes(cluster, [first, second], 90);
    assert.deepEqual([first.seen, first.witnesses.cosignedBlocks], [['pve2 8'], 0]);
  });

  it('are not spoken for by others: what they did not sign is named and does no harm', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    await minutes(cluster, nodes, 25);
    const [first, second] = nodes as [Node, Node];
    const file = parseWitnessFile(cluster.files.get(second.fileName)!);
    for (const note of [
      'no note',
      file.cosigned.get(first.key.name)!.replace('\n3\n', '\n9\n'),
      file.cosigned.get(first.key.name)!.replace(/(\n— prod\/pve2.*)....\n/, '$1AAAA\n'),
    ]) {
      const cosigned = new Map([[first.key.name, note]]);
      cluster.files.set(second.fileName, renderWitnessFile({ ...file, cosigned }));
      await first.restart();
      assert.equal(first.ledger.tampered, false);
      assert.match(problems(first).join(), /holds what cannot be its cosignature/);
    }
  });

  it('do nothing without a policy, and say so', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    cluster.policyText = null;
    await minutes(cluster, nodes, 1);
    assert.deepEqual(problems(nodes[0]!), ['witnesses: there is no policy in the shared folder']);
    cluster.policyText = 'quorum nobody\n';
    await minutes(cluster, nodes, 1);
    assert.match(problems(nodes[0]!).join(), /witnesses: line 1: .*not defined/);
    assert.deepEqual(cluster.writes, []);
  });

  it('look when their time has come, until they are closed', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    const [node] = nodes as [Node, Node];
    for (const [everyMs, expectedMs] of [
      [writeMs, minuteMs],
      [20_000, 2_000],
      [10, 100],
    ] as const) {
      const clock = new FakeClock();
      let looks = 0;
      const witnesses = new Witnesses({
        ledger: node.ledger,
        key: node.key,
        folder: {
          policy: () => {
            looks++;
            return cluster.policy();
          },
          read: () => cluster.read(),
          write: (name, bytes) => cluster.write(name, bytes),
        },
        files: new MemoryTreeFiles(),
        nowMs: () => cluster.nowMs,
        clock,
        writeMs: everyMs,
        onRewritten: () => assert.fail('nothing was rewritten'),
      });
      witnesses.start();
      assert.deepEqual([looks, clock.pendingMs], [0, [expectedMs]]);
      for (let count = 1; count <= 3; count++) {
        await clock.advance(expectedMs);
        await waitFor('the next look', () => clock.pendingMs.length === 1);
        assert.equal(looks, count);
      }
      await witnesses.close();
      assert.deepEqual(clock.pendingMs, []);
    }
  });

  it('keep the last checkpoint that enough have cosigned over a restart', async () => {
    const { cluster, nodes } = await clusterOf(2, 'any');
    await minutes(cluster, nodes, 25);
    cluster.files.clear();
    await nodes[0]!.restart();
    assert.equal(nodes[0]!.witnesses.cosignedBlocks, 3);
    const policy = parsePolicy(Buffer.from(cluster.policyText!));
    checkProof(await nodes[0]!.ledger.prove(2), { key: null, policy });
  });
});

describe('the file of a node for witnesses', () => {
  it('comes back from its text, and is refused as a whole otherwise', () => {
    const file = {
      writtenMs: startMs,
      requests: new Map([['0a1b2c3d', 'old 0\n\nx']]),
      cosigned: new Map([['a/b/c', 'note']]),
      refused: new Map<string, string>(),
    };
    assert.deepEqual(parseWitnessFile(renderWitnessFile(file)), file);
    for (const bad of [
      '',
      '[]',
      '{}',
      '{"written":"x","requests":{},"cosigned":{},"refused":{}}',
      '{"written":"2025-10-14T12:00:00.000Z","requests":{"a":1},"cosigned":{},"refused":{}}',
      '{"written":"2025-10-14T12:00:00.000Z","requests":{}}',
    ])
      // prettier-ignore
      assert.throws(() => parseWitnessFile(Buffer.from(bad)), refusedWith('InvalidArgument', "not a node's file"), bad);
    const many = { ...file, cosigned: new Map(Array.from({ length: 65 }, (_, n) => [`a${n}`, 'x'])) };
    assert.throws(() => parseWitnessFile(renderWitnessFile(many)), refusedWith('InvalidArgument', 'more than 64'));
    const large = { ...file, cosigned: new Map([['a', 'x'.repeat(600_000)]]) };
    assert.throws(() => parseWitnessFile(renderWitnessFile(large)), refusedWith('InvalidArgument', 'bytes, at most'));
  });
});
