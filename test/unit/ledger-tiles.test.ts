import assert from 'node:assert/strict';
import fc from 'fast-check';
import { treeHead } from '../../src/ledger/tlog/compact-range.ts';
import { leafHash } from '../../src/ledger/tlog/hash.ts';
import { proveInclusion } from '../../src/ledger/tlog/prove.ts';
import { readTileEdge } from '../../src/ledger/tlog/tile-edge.ts';
import { parseTilePath, tilePath } from '../../src/ledger/tlog/tile.ts';
import type { Tile } from '../../src/ledger/tlog/tile.ts';
import { refusedWith } from '../support/refused.ts';
import { entriesOf, MemoryTiles, mth } from '../support/tlog-fixtures.ts';

describe('the path of a tile', () => {
  const examples: [Tile, string][] = [
    [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
    [{ level: 0, index: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
    [{ level: 0, index: 273, width: 112 }, 'tile/0/273.p/112'],
    [{ level: 1, index: 1, width: 17 }, 'tile/1/001.p/17'],
    [{ level: 2, index: 0, width: 1 }, 'tile/2/000.p/1'],
    [{ level: 0, index: 1000, width: 255 }, 'tile/0/x001/000.p/255'],
  ];
  for (const [tile, path] of examples) {
    it(`is ${path}`, () => {
      assert.equal(tilePath(tile), path);
      assert.deepEqual(parseTilePath(path), tile);
    });
  }

  it('can be read back, whatever the tile', () => {
    const tiles = fc.record(
      {
        level: fc.integer({ min: 0, max: 4 }),
        index: fc.integer({ min: 0, max: 8191 }),
        width: fc.integer({ min: 1, max: 256 }),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(tiles, (tile) => {
        assert.deepEqual(parseTilePath(tilePath(tile)), tile);
      }),
    );
  });

  for (const path of [
    '',
    'tile/0',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/8/067',
    'tile/0/1',
    'tile/0/0000',
    'tile/0/x000/001',
    'tile/0/001/002',
    'tile/0/x001/x002',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000.p/-1',
    'tile/0/000/../../ledger.key',
    'tile/0/000\n',
    '/tile/0/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    `tile/0/${'x000/'.repeat(100_000)}000`,
  ]) {
    it(`is never ${JSON.stringify(path.slice(0, 40))}`, () => {
      assert.throws(() => parseTilePath(path), refusedWith('InvalidArgument', 'tile path'));
    });
  }
});

describe('stored tiles', () => {
  it('are those that C2SP tlog-tiles names for a tree of 70,000', () => {
    const tiles = new MemoryTiles();
    for (let index = 0; index < 70_000; index++) tiles.append(Buffer.from(String(index)));
    assert.equal(tiles.files.size, 273 + 1);
    tiles.storePartial();
    const partial = [...tiles.files.keys()].filter((path) => path.includes('.p/'));
    assert.deepEqual(partial, ['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
    assert.ok([...tiles.files.values()].every((bytes) => bytes.length <= 8192));
  });

  it('hold the leaf hashes on level 0 and the roots of full tiles above', () => {
    const entries = entriesOf(513);
    const { files } = MemoryTiles.of(entries);
    assert.deepEqual([...files.keys()].sort(), ['tile/0/000', 'tile/0/001', 'tile/0/002.p/1', 'tile/1/000.p/2']);
    assert.deepEqual(files.get('tile/0/001')?.subarray(32, 64), leafHash(entries[257]!));
    assert.deepEqual(files.get('tile/1/000.p/2')?.subarray(32), mth(entries.slice(256, 512)));
  });

  it('of an empty tree are none, and of 256 leaves a full one and one of width 1', () => {
    assert.deepEqual([...MemoryTiles.of([]).files.keys()], []);
    assert.deepEqual([...MemoryTiles.of(entriesOf(256)).files.keys()], ['tile/0/000', 'tile/1/000.p/1']);
  });

  it('give the tree back with its root, and it goes on growing as if it had never stopped', async () => {
    for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 700]) {
      const entries = entriesOf(size + 300);
      const tiles = MemoryTiles.of(entries.slice(0, size));
      const edge = await readTileEdge(tiles, size);
      assert.deepEqual(treeHead(edge.range()), { tree_size: size, sha256_root_hash: mth(entries.slice(0, size)) });
      for (const entry of entries.slice(size)) {
        assert.deepEqual(edge.append(leafHash(entry)), tiles.edge.append(leafHash(entry)));
      }
      assert.deepEqual(edge.partialTiles(), tiles.edge.partialTiles());
      assert.deepEqual(treeHead(edge.range()).sha256_root_hash, mth(entries));
      assert.equal(edge.treeSize, size + 300);
    }
  });

  it('that are shorter, longer or odd are refused', async () => {
    const tiles = MemoryTiles.of(entriesOf(300));
    const good = tiles.files.get('tile/0/001.p/44')!;
    for (const bytes of [good.subarray(32), good.subarray(1), Buffer.alloc(0), Buffer.alloc(257 * 32)]) {
      tiles.files.set('tile/0/001.p/44', bytes);
      await assert.rejects(readTileEdge(tiles, 300), refusedWith('InvalidArgument', 'tile/0/001.p/44', '44 hashes'));
      await assert.rejects(proveInclusion(tiles, 299, 300), refusedWith('InvalidArgument', 'tile/0/001.p/44'));
    }
  });

  it('may be full where a partial one is asked for', async () => {
    const entries = entriesOf(512);
    const tiles = MemoryTiles.of(entries);
    const edge = await readTileEdge(tiles, 300);
    assert.deepEqual(treeHead(edge.range()).sha256_root_hash, mth(entries.slice(0, 300)));
  });

  it('are each read once for a proof, and no others', async () => {
    const tiles = MemoryTiles.of(entriesOf(70_000));
    const read: string[] = [];
    const reader = {
      readTile: (tile: Tile) => {
        read.push(tilePath(tile));
        return tiles.readTile(tile);
      },
    };
    await proveInclusion(reader, 0, 70_000);
    assert.deepEqual(read.sort(), ['tile/0/000', 'tile/0/273.p/112', 'tile/1/000', 'tile/1/001.p/17']);
  });
});
