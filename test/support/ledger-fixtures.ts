/** Drafts, ledgers and bytes for the tests of the ledger. */
import { encodeBlock, zeroHash } from '../../src/ledger/block.ts';
import type { BlockDraft } from '../../src/ledger/block.ts';
import type { ChainReport } from '../../src/ledger/chain.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { LedgerOptions } from '../../src/ledger/ledger.ts';
import type { LedgerStore } from '../../src/ledger/store.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { MemoryIndexFiles } from './memory-index-files.ts';
import { MemoryTreeFiles } from './memory-tree-files.ts';

export const startMs = Date.UTC(2025, 9, 14, 12);

/** `port attach` of vi<vmid>, as the ports module writes it. */
export function attach(vmid: number, more: Partial<BlockDraft> = {}): BlockDraft {
  return {
    category: 'port',
    action: 'attach',
    metadata: { user: 'root', uid: 0, host: 'pve1', plugin: 'ports', cause: 'hook post-start' },
    data: { vmid, nic: 'net0', port: `vi${vmid}`, netdev: `veth${vmid}i0`, bridge: 'ovsbr0', tag: 10 },
    ...more,
  };
}

/** The lines of a whole ledger, without newlines, one second between blocks. */
export function linesOf(drafts: readonly BlockDraft[]): Buffer[] {
  let prevHash = zeroHash;
  return drafts.map((draft, height) => {
    const { line, hash } = encodeBlock(draft, height, prevHash, startMs + height * 1_000);
    prevHash = hash;
    return line;
  });
}

/** The bytes of a file of these lines. */
export function fileOf(lines: readonly Uint8Array[]): Buffer {
  return Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]));
}

/** The bytes of a whole ledger with one `attach` per vmid from 100 on. */
export function ledgerBytes(blocks: number): Buffer {
  return fileOf(linesOf(Array.from({ length: blocks }, (_, index) => attach(100 + index))));
}

export function verifyBytes(bytes: Uint8Array, chunkBytes = bytes.length + 1): Promise<ChainReport> {
  return verifyLedger(chunksOf(bytes, chunkBytes), null);
}

export async function* chunksOf(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    // A copy for every chunk: nobody may rely on the bytes of the chunk before.
    yield await Promise.resolve(Buffer.from(bytes.subarray(offset, offset + chunkBytes)));
  }
}

/** What a ledger is opened with: no key and so no checkpoint, and timers that never end, unless a test says so. */
export function ledgerOptions(more: Partial<LedgerOptions> = {}): LedgerOptions {
  return {
    nowMs: Date.now,
    host: 'pve1',
    tree: new StoredTree(new MemoryTreeFiles()),
    segmentBytes: Infinity,
    index: { files: new MemoryIndexFiles() },
    key: null,
    checkpointBlocks: Infinity,
    checkpointMs: Infinity,
    clock: { after: () => () => undefined },
    ...more,
  };
}

/** Opens a ledger whose clock goes one second per look, from `startMs` on. */
export function openLedger(store: LedgerStore, more: Partial<LedgerOptions> = {}): Promise<Ledger> {
  let nowMs = startMs;
  return Ledger.open(store, ledgerOptions({ nowMs: () => (nowMs += 1_000), ...more }));
}
