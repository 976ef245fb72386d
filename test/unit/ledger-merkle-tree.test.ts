import assert from 'node:assert/strict';
import fc from 'fast-check';
import { lineBytesMax } from '../../src/ledger/limits.ts';
import { appendLeaf, emptyRange, treeHead } from '../../src/ledger/tlog/compact-range.ts';
import type { CompactRange } from '../../src/ledger/tlog/compact-range.ts';
import { leafHash, nodeHash } from '../../src/ledger/tlog/hash.ts';
import { proveConsistency, proveInclusion } from '../../src/ledger/tlog/prove.ts';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/tlog/verify-proofs.ts';
import { refusedWith } from '../support/refused.ts';
import {
  entriesOf,
  MemoryTiles,
  mth,
  pathOf,
  proofOf,
  referenceLeaves,
  withFlippedBits,
} from '../support/tlog-fixtures.ts';

const rangeOf = (entries: readonly Uint8Array[]): CompactRange =>
  entries.reduce<CompactRange>((range, entry) => appendLeaf(range, leafHash(entry)), emptyRange);
const rootOf = (entries: readonly Uint8Array[]): string => treeHead(rangeOf(entries)).sha256_root_hash.toString('hex');

/** Of the reference tree with 0 to 8 leaves, as the test suites of Certificate Transparency list them. */
const referenceRoots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const referenceInclusions: [leafIndex: number, treeSize: number, path: string[]][] = [
  [0, 1, []],
  [0, 8, [
    '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
    '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  ]],
  [5, 8, [
    'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  ]],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [1, 5, [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  ]],
]; // prettier-ignore
const referenceConsistencies: [first: number, second: number, proof: string[]][] = [
  [1, 1, []],
  [1, 8, referenceInclusions[1]![2]],
  [6, 8, [
    '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  ]],
  [2, 5, [
    '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  ]],
  [6, 7, [
    '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  ]],
]; // prettier-ignore

describe('a Merkle tree', () => {
  it('has the roots of the reference tree', () => {
    const roots = referenceRoots.map((_, size) => rootOf(referenceLeaves.slice(0, size)));
    assert.deepEqual(roots, referenceRoots);
  });

  it('has the root that the definition gives, at every size', () => {
    const entries = entriesOf(130);
    for (let size = 0; size <= entries.length; size++) {
      assert.equal(rootOf(entries.slice(0, size)), mth(entries.slice(0, size)).toString('hex'), `size ${size}`);
    }
  });

  it('keeps one hash for each perfect subtree and leaves the range it grew from alone', () => {
    const range = rangeOf(entriesOf(1023));
    const before = treeHead(range).sha256_root_hash.toString('hex');
    assert.equal(range.hashes.length, 10);
    assert.equal(appendLeaf(range, leafHash(Buffer.from('more'))).hashes.length, 1);
    assert.equal(treeHead(range).sha256_root_hash.toString('hex'), before);
  });

  it('hashes entries of every length with the leaf prefix, longer than any line too', () => {
    for (const length of [0, 1, lineBytesMax, lineBytesMax + 1, 100_000]) {
      const entry = Buffer.alloc(length, 'x');
      assert.deepEqual(leafHash(entry), mth([entry]));
    }
  });
});

describe('an inclusion proof', () => {
  it('is that of the reference tree', async () => {
    const tiles = MemoryTiles.of(referenceLeaves);
    for (const [leafIndex, treeSize, path] of referenceInclusions) {
      const reader = treeSize === 8 ? tiles : MemoryTiles.of(referenceLeaves.slice(0, treeSize));
      const proof = await proveInclusion(reader, leafIndex, treeSize);
      assert.deepEqual(
        proof.audit_path.map((hash) => Buffer.from(hash).toString('hex')),
        path,
      );
      verifyInclusion(leafHash(referenceLeaves[leafIndex]!), proof, Buffer.from(referenceRoots[treeSize]!, 'hex'));
    }
  });

  it('is what the definition gives and verifies, whatever the size and the leaf', async () => {
    const entries = entriesOf(700);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 700 }), fc.nat(), async (size, seed) => {
        const some = entries.slice(0, size);
        const leafIndex = seed % size;
        const proof = await proveInclusion(MemoryTiles.of(some), leafIndex, size);
        assert.deepEqual(proof, { leaf_index: leafIndex, tree_size: size, audit_path: pathOf(leafIndex, some) });
        verifyInclusion(leafHash(some[leafIndex]!), proof, mth(some));
      }),
      { numRuns: 60 },
    );
  });

  it('is made for older sizes of a tree as well', async () => {
    const entries = entriesOf(600);
    const tiles = MemoryTiles.of(entries);
    for (const size of [1, 255, 256, 257, 511, 512, 513, 599]) {
      const proof = await proveInclusion(tiles, size - 1, size);
      verifyInclusion(leafHash(entries[size - 1]!), proof, mth(entries.slice(0, size)));
    }
  });

  it('fails with any bit changed, of the path, the leaf or the root', () => {
    const entries = entriesOf(11);
    for (let leafIndex = 0; leafIndex < 11; leafIndex++) {
      const leaf = leafHash(entries[leafIndex]!);
      const proof = { leaf_index: leafIndex, tree_size: 11, audit_path: pathOf(leafIndex, entries) };
      for (const [first, second, ...audit_path] of withFlippedBits([leaf, mth(entries), ...proof.audit_path])) {
        assert.throws(
          () => {
            verifyInclusion(first!, { ...proof, audit_path }, second!);
          },
          refusedWith('InvalidArgument', 'not proven'),
        );
      }
    }
  });

  it('fails for every other leaf and for a path of another length', () => {
    const entries = entriesOf(11);
    const root = mth(entries);
    const path = pathOf(4, entries);
    const attempt = (leaf_index: number, audit_path: readonly Uint8Array[]) => () => {
      verifyInclusion(leafHash(entries[4]!), { leaf_index, tree_size: 11, audit_path }, root);
    };
    assert.doesNotThrow(attempt(4, path));
    for (const other of [0, 1, 2, 3, 5, 6, 7, 8, 9, 10])
      assert.throws(attempt(other, path), refusedWith('InvalidArgument'));
    for (const [changed, why] of [
      [path.slice(1), 'too short'],
      [path.slice(0, -1), 'too short'],
      [[], 'too short'],
      [[...path, root], 'too long'],
      [[...path, Buffer.alloc(0)], 'has 0 bytes'],
      [[...path.slice(0, -1), Buffer.alloc(33)], 'has 33 bytes'],
      [Array.from({ length: 64 }, () => root), '64 hashes, at most 63'],
    ] as const) {
      assert.throws(attempt(4, changed), refusedWith('InvalidArgument', why));
    }
  });

  it('is refused for sizes that are no sizes', () => {
    const root = mth(entriesOf(1));
    for (const [leaf_index, tree_size, why] of [
      [-1, 1, 'whole numbers'],
      [0.5, 1, 'whole numbers'],
      [0, NaN, 'whole numbers'],
      [0, 2 ** 53, 'whole numbers'],
      [2 ** 64, 1, 'whole numbers'],
      [0, 0, 'no such leaf'],
      [1, 1, 'no such leaf'],
    ] as const) {
      assert.throws(
        () => {
          verifyInclusion(root, { leaf_index, tree_size, audit_path: [] }, root);
        },
        refusedWith('InvalidArgument', why),
      );
    }
  });

  it('verifies in the largest tree there can be', () => {
    const leaf = leafHash(Buffer.from('the last one'));
    const size = Number.MAX_SAFE_INTEGER;
    // 2^53 - 1 leaves: the last one hangs on 52 subtrees to its left.
    const audit_path = Array.from({ length: 52 }, (_, index) => leafHash(Buffer.from(`subtree ${index}`)));
    const root = audit_path.reduce((right, left) => nodeHash(left, right), leaf);
    verifyInclusion(leaf, { leaf_index: size - 1, tree_size: size, audit_path }, root);
    assert.throws(() => {
      verifyInclusion(leaf, { leaf_index: size - 2, tree_size: size, audit_path }, root);
    }, refusedWith('InvalidArgument'));
  });

  it('is not made for a leaf that the tree does not have', async () => {
    const tiles = MemoryTiles.of(entriesOf(5));
    for (const leafIndex of [-1, 5, NaN]) {
      await assert.rejects(proveInclusion(tiles, leafIndex, 5), refusedWith('InvalidArgument', 'no leaf'));
    }
  });
});

describe('a consistency proof', () => {
  it('is that of the reference tree', async () => {
    for (const [first, second, hashes] of referenceConsistencies) {
      const proof = await proveConsistency(MemoryTiles.of(referenceLeaves.slice(0, second)), first, second);
      assert.deepEqual(
        proof.consistency.map((hash) => Buffer.from(hash).toString('hex')),
        hashes,
      );
      const [firstRoot, secondRoot] = [first, second].map((size) => Buffer.from(referenceRoots[size]!, 'hex'));
      verifyConsistency(proof, firstRoot!, secondRoot!);
    }
  });

  it('is what the definition gives and verifies, whatever the sizes', async () => {
    const entries = entriesOf(700);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 700 }), fc.nat(), async (second, seed) => {
        const first = 1 + (seed % second);
        const some = entries.slice(0, second);
        const proof = await proveConsistency(MemoryTiles.of(some), first, second);
        assert.deepEqual(proof, { first, second, consistency: proofOf(first, some) });
        verifyConsistency(proof, mth(entries.slice(0, first)), mth(some));
      }),
      { numRuns: 60 },
    );
  });

  it('fails with any bit changed, of the proof or of either root', () => {
    const entries = entriesOf(9);
    for (let first = 1; first < 9; first++) {
      const proof = { first, second: 9, consistency: proofOf(first, entries) };
      const roots = [mth(entries.slice(0, first)), mth(entries)];
      for (const [one, two, ...consistency] of withFlippedBits([...roots, ...proof.consistency])) {
        assert.throws(
          () => {
            verifyConsistency({ ...proof, consistency }, one!, two!);
          },
          refusedWith('InvalidArgument', 'not proven'),
        );
      }
    }
  });

  it('fails for other sizes, other lengths and roots that changed places', () => {
    const entries = entriesOf(9);
    const roots: [Buffer, Buffer] = [mth(entries.slice(0, 6)), mth(entries)];
    const consistency = proofOf(6, entries);
    const attempt =
      (proof: { first?: number; second?: number; consistency?: Uint8Array[] }, pair = roots) =>
      () => {
        verifyConsistency({ first: 6, second: 9, consistency, ...proof }, ...pair);
      };
    assert.doesNotThrow(attempt({}));
    for (const first of [1, 2, 3, 4, 5, 7, 8, 9]) assert.throws(attempt({ first }), refusedWith('InvalidArgument'));
    // Not 10 to 16: seen from leaf 6 on they have the shape of 9. The checkpoint tells the size.
    for (const second of [6, 7, 8, 17, 18, 33]) assert.throws(attempt({ second }), refusedWith('InvalidArgument'));
    assert.throws(attempt({}, [roots[1], roots[0]]), refusedWith('InvalidArgument', 'first root'));
    for (const [changed, why] of [
      [[], 'empty'],
      [consistency.slice(0, -1), 'too short'],
      [[...consistency, roots[0]], 'too long'],
      [[...consistency, Buffer.alloc(0)], 'has 0 bytes'],
      [Array.from({ length: 64 }, () => roots[0]), '64 hashes'],
    ] as const) {
      assert.throws(attempt({ consistency: [...changed] }), refusedWith('InvalidArgument', why));
    }
    assert.throws(attempt({ first: 4 }, [Buffer.alloc(70), roots[1]]), refusedWith('InvalidArgument', 'has 70 bytes'));
  });

  it('between trees of one size is empty and asks for one root', () => {
    const root = mth(entriesOf(3));
    const attempt = (consistency: Uint8Array[], second: Uint8Array) => () => {
      verifyConsistency({ first: 3, second: 3, consistency }, root, second);
    };
    assert.doesNotThrow(attempt([], Buffer.from(root)));
    assert.throws(attempt([], mth(entriesOf(2))), refusedWith('InvalidArgument', 'different roots'));
    assert.throws(attempt([root], root), refusedWith('InvalidArgument', 'need no proof'));
  });

  it('from nothing, backwards or between no sizes is refused', async () => {
    const root = mth(entriesOf(3));
    for (const [first, second, why] of [
      [0, 3, 'proves nothing'],
      [4, 3, 'larger one'],
      [-1, 3, 'whole numbers'],
      [1, 2 ** 53, 'whole numbers'],
    ] as const) {
      assert.throws(
        () => {
          verifyConsistency({ first, second, consistency: [] }, root, root);
        },
        refusedWith('InvalidArgument', why),
      );
      await assert.rejects(
        proveConsistency(MemoryTiles.of(entriesOf(3)), first === 1 ? 4 : first, 3),
        refusedWith('InvalidArgument'),
      );
    }
  });
});
