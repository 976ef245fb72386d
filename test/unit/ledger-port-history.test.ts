import assert from 'node:assert/strict';
import { parseBlock } from '../../src/ledger/block.ts';
import type { Block, BlockDraft, Category, JsonObject } from '../../src/ledger/block.ts';
import { portHistory } from '../../src/ledger/port-history.ts';
import { linesOf } from '../support/ledger-fixtures.ts';

const port = (action: string, data: JsonObject = {}, category: Category = 'port'): BlockDraft => ({
  category,
  action,
  metadata: { plugin: 'ports' },
  data: { vmid: 105, port: 'vi105', netdev: 'veth105i0', bridge: 'ovsbr0', tag: 10, ...data },
});
const run = (action: string): BlockDraft => ({ category: 'settings', action, metadata: { plugin: 'agent' }, data: {} });

/** Heights and texts of the history of these blocks, those before `from` as from before the period. */
function historyOf(drafts: readonly BlockDraft[], from = 0): string[] {
  const blocks = linesOf(drafts).map((line) => parseBlock(line));
  const of = (category: string): Block[] => blocks.filter((block) => block.category === category);
  const about = [...of('port'), ...of('drift')].sort((a, b) => a.height - b.height);
  const lines = portHistory({
    before: about.filter(({ height }) => height < from),
    within: about.filter(({ height }) => height >= from),
    runs: of('settings').filter(({ height }) => height >= from),
    gaps: of('storage').filter(({ height }) => height >= from),
  });
  return lines.map(({ height, text }) => `${height} ${text}`);
}

describe('the history of a port', () => {
  it('says bridge and VLAN from block to block', () => {
    assert.deepEqual(
      historyOf([
        port('attach'),
        port('set', { tag: 20, trunks: [1, 2] }),
        port('detach'),
        port('adopt', { tag: null }),
      ]),
      ['0 on ovsbr0, tag 10', '1 on ovsbr0, tag 20, trunks 1 2', '2 not plugged', '3 on ovsbr0, untagged'],
    );
  });

  it('begins with the state in which the period begins', () => {
    assert.deepEqual(historyOf([port('attach'), port('set', { tag: 20 }), port('detach')], 2), [
      '1 on ovsbr0, tag 20',
      '2 not plugged',
    ]);
  });

  it('leaves out what failed or was abandoned, wherever the period begins', () => {
    const drafts = [port('attach'), port('detach'), port('failed', { height: 1 }), port('set', { tag: 7 }), port('abandoned', { height: 3 })]; // prettier-ignore
    for (const from of [0, 2, 3]) assert.deepEqual(historyOf(drafts, from), ['0 on ovsbr0, tag 10']);
  });

  it('does not believe what callers added themselves', () => {
    const external = { metadata: { plugin: 'external' } };
    assert.deepEqual(historyOf([port('attach'), { ...port('detach'), ...external }]), ['0 on ovsbr0, tag 10']);
    assert.deepEqual(historyOf([port('attach'), { ...port('failed', { height: 0 }), ...external }]), [
      '0 on ovsbr0, tag 10',
    ]);
  });

  it('says what somebody else changed, and that it was put right', () => {
    const differences = [{ column: 'tag', wanted: 10, got: 99 }];
    assert.deepEqual(historyOf([port('report', { differences }, 'drift'), port('repair', { differences }, 'drift')]), [
      '0 as somebody else changed it: [{"column":"tag","wanted":10,"got":99}]',
      '1 on ovsbr0, tag 10',
    ]);
  });

  it('says when nobody looked, and how much is missing', () => {
    const gap: BlockDraft = {
      category: 'storage',
      action: 'gap',
      metadata: { plugin: 'ports' },
      data: { changes: 3, why: 'disk full' },
    };
    assert.deepEqual(historyOf([port('attach'), run('stop'), run('start'), gap]), [
      '0 on ovsbr0, tag 10',
      '1 not observed from here on: the service stopped',
      '2 observed from here on: the service started',
      '3 3 changes of any port before this were not recorded: disk full',
    ]);
  });

  it('passes over mirrors, which move nothing', () => {
    assert.deepEqual(historyOf([port('mirror'), port('unmirror')]), []);
  });
});
