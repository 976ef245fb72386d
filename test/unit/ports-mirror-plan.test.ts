import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseBridgeName, parsePortName } from '../../src/model/names.ts';
import type { PortName } from '../../src/model/names.ts';
import type { ObservedPort } from '../../src/model/port.ts';
import { ownerMark } from '../../src/ports/marks.ts';
import { isOursMirror, mirrorMarks, mirrorName } from '../../src/ports/mirror-marks.ts';
import { planMirrors } from '../../src/ports/mirror-plan.ts';
import type { ObservedMirror, WantedMirror } from '../../src/model/mirror.ts';
import type { MirrorChange, MirrorInput, MirrorSource } from '../../src/ports/mirror-plan.ts';
import { ovsbr0, ovsbr1, rowOf } from '../support/ports-fixtures.ts';

const vi900 = parsePortName('vi900');
const port = (name: string, bridge = ovsbr0): ObservedPort => rowOf(name, { bridge, portUuid: `uuid-${name}` });
const output = port('vi900');
const sourceOf = (name: string, target = vi900, bridge = ovsbr0): MirrorSource => ({
  port: parsePortName(name),
  row: port(name, bridge),
  target,
});

/** The row that stands when the agent has made a mirror. */
function madeOf(wanted: WantedMirror, uuid: string): ObservedMirror {
  const rows = wanted.sources.map(({ row }) => row).sort();
  return {
    uuid,
    name: mirrorName(wanted.target),
    bridge: wanted.bridge,
    selectAll: false,
    selectSrcPort: rows,
    selectDstPort: rows,
    selectVlan: [],
    outputPort: wanted.output,
    outputVlan: null,
    ids: mirrorMarks(wanted),
  };
}

function inputOf(more: Partial<MirrorInput>): MirrorInput {
  return {
    sources: [],
    mirrors: [],
    rowOfPort: (name) => (name === vi900 ? output : null),
    nameOf: (uuid) => uuid.replace('uuid-', ''),
    drift: 'repair',
    ...more,
  };
}

/** What the switch has after the changes. */
function after(mirrors: readonly ObservedMirror[], changes: readonly MirrorChange[]): ObservedMirror[] {
  let rows = [...mirrors];
  let count = 0;
  for (const change of changes) {
    if (change.kind === 'mirror') rows.push(madeOf(change.wanted, `made-${++count}`));
    else rows = rows.filter(({ uuid }) => uuid !== change.row.uuid);
    if (change.kind === 'set-mirror') rows.push({ ...madeOf(change.wanted, change.row.uuid), name: change.row.name });
  }
  return rows;
}
const wantedOf = (...names: string[]): WantedMirror => ({
  target: vi900,
  bridge: ovsbr0,
  sources: names.map((name) => ({ port: parsePortName(name), row: `uuid-${name}` })),
  output: output.portUuid,
});
const kinds = (input: MirrorInput): string[] => planMirrors(input).changes.map(({ kind }) => kind);

describe('the plan of mirrors', () => {
  it('makes one for each bridge and target, with every port that wants it', () => {
    const mon1 = parsePortName('mon1');
    const { changes, problems } = planMirrors(
      inputOf({
        sources: [sourceOf('vi101'), sourceOf('vi100'), sourceOf('vi102', mon1, ovsbr1), sourceOf('vi103', mon1)],
        rowOfPort: (name) => (name === vi900 ? output : port('mon1', ovsbr1)),
      }),
    );
    assert.deepEqual(
      changes.map((change) =>
        change.kind === 'mirror'
          ? `${change.wanted.target} ${change.wanted.bridge} ${change.wanted.sources.map((source) => source.port).join()}`
          : change.kind,
      ),
      ['vi900 ovsbr0 vi100,vi101', 'mon1 ovsbr1 vi102'],
    );
    assert.deepEqual(problems, ['mirror to mon1: it is on ovsbr1, 1 port of ovsbr0 not mirrored']);
  });

  it('tells an edit from a guest that came or went', () => {
    const made = madeOf(wantedOf('vi100', 'vi101'), 'm');
    const drifts = (row: ObservedMirror, ...names: string[]): unknown =>
      planMirrors(inputOf({ sources: names.map((name) => sourceOf(name)), mirrors: [row] })).changes.map((change) =>
        change.kind === 'set-mirror' ? change.drift : change.kind,
      );
    assert.deepEqual(drifts(made, 'vi100', 'vi101'), []);
    assert.deepEqual(drifts(made, 'vi100', 'vi101', 'vi102'), [false]);
    assert.deepEqual(drifts({ ...made, selectSrcPort: ['uuid-vi100'] }, 'vi100', 'vi101'), [true]);
    const left = ['uuid-vi100'];
    assert.deepEqual(drifts({ ...made, selectSrcPort: left, selectDstPort: left }, 'vi100'), [false], 'vi101 has gone');
  });

  for (const [column, edited] of Object.entries<Partial<ObservedMirror>>({
    'select_all: wanted false, got true': { selectAll: true },
    'select_src_port: wanted vi100, got none': { selectSrcPort: [] },
    'select_dst_port: wanted vi100, got vi7,vi8': { selectDstPort: ['uuid-vi7', 'uuid-vi8'] },
    'select_vlan: wanted none, got 7,8': { selectVlan: [7, 8] },
    'output_port: wanted vi900, got vi100': { outputPort: 'uuid-vi100' },
    'output_vlan: wanted none, got 9': { outputVlan: 9 },
  })) {
    it(`repairs or reports an edit: ${column}`, () => {
      const mirrors = [{ ...madeOf(wantedOf('vi100'), 'm'), ...edited }];
      const input = inputOf({ sources: [sourceOf('vi100')], mirrors });
      assert.deepEqual(kinds(input), ['set-mirror']);
      const reported = planMirrors({ ...input, drift: 'report' });
      assert.deepEqual(reported.changes, []);
      assert.deepEqual(reported.problems, [`mirror to vi900: drift on ovsbr0: ${column}`]);
      assert.equal(reported.drift.length, 1);
    });
  }

  it('shortens a long list of ports in words, and only there', () => {
    const names = Array.from({ length: 30 }, (_, index) => `vi${100 + index}`);
    const row = { ...madeOf(wantedOf(...names), 'm'), selectSrcPort: [] };
    const { changes } = planMirrors(inputOf({ sources: names.map((name) => sourceOf(name)), mirrors: [row] }));
    const [change] = changes;
    assert.ok(change?.kind === 'set-mirror');
    assert.equal(change.wanted.sources.length, 30);
    assert.match(change.differences[0]?.wanted ?? '', /^vi100,.*,vi119 and 10 more$/);
  });

  it('leaves one of several that were made for the same', () => {
    const twice = ['a', 'b'].map((uuid) => madeOf(wantedOf('vi100'), uuid));
    assert.deepEqual(kinds(inputOf({ sources: [sourceOf('vi100')], mirrors: twice })), ['unmirror']);
  });

  const targets = fc.constantFrom<PortName>(
    vi900,
    parsePortName('vi100'),
    parsePortName('mon0'),
    parsePortName('gone'),
  );
  const bridges = fc.constantFrom(ovsbr0, ovsbr1, parseBridgeName('ovsbr2'));
  const uuids = fc.uniqueArray(fc.constantFrom('uuid-vi100', 'uuid-vi101', 'uuid-vi900', 'uuid-x'), { maxLength: 3 });
  const world = fc
    .record({
      sources: fc.uniqueArray(fc.tuple(fc.constantFrom('vi100', 'vi101', 'vi102', 'vi900'), targets, bridges), {
        selector: ([name]) => name,
      }),
      outputs: fc.dictionary(targets, bridges, { maxKeys: 4 }),
      mirrors: fc.uniqueArray(
        fc.record({
          uuid: fc.constantFrom('a', 'b', 'c', 'd'),
          name: fc.oneof(targets.map(mirrorName), fc.constant('theirs')),
          bridge: bridges,
          selectAll: fc.boolean(),
          selectSrcPort: uuids.map((all) => all.sort()),
          selectDstPort: uuids.map((all) => all.sort()),
          selectVlan: fc.constant([]),
          outputPort: fc.option(fc.constant('uuid-vi900')),
          outputVlan: fc.option(fc.constant(5)),
          ids: fc.constantFrom(new Map(), new Map([['owner', ownerMark]]), new Map([['owner', 'neutron']])),
        }),
        { selector: ({ uuid }) => uuid },
      ),
    })
    .map(({ sources, outputs, mirrors }): MirrorInput => {
      const rows = sources.map(([name, target, bridge]) => sourceOf(name, target, bridge));
      const known = new Map<string, ObservedPort>(rows.map(({ port: name, row }) => [name, row]));
      for (const [name, bridge] of Object.entries(outputs)) if (!known.has(name)) known.set(name, port(name, bridge));
      return inputOf({ sources: rows, mirrors, rowOfPort: (name) => known.get(name) ?? null });
    });

  it('planned again against its result is empty, and says the same problems', () => {
    fc.assert(
      fc.property(world, (input) => {
        const plan = planMirrors(input);
        const again = planMirrors({ ...input, mirrors: after(input.mirrors, plan.changes) });
        assert.deepEqual(again.changes, []);
        assert.deepEqual(again.problems, plan.problems);
      }),
    );
  });

  it('never touches a foreign mirror, never has a target among its sources, and never goes across bridges', () => {
    fc.assert(
      fc.property(world, (input) => {
        for (const change of planMirrors(input).changes) {
          if (change.kind !== 'mirror') assert.ok(isOursMirror(change.row));
          if (change.kind === 'unmirror') continue;
          const { sources, target, bridge, output: to } = change.wanted;
          assert.ok(sources.length > 0 && sources.every(({ row }) => row !== to));
          assert.equal(input.rowOfPort(target)?.bridge, bridge);
          for (const { row } of sources) {
            assert.equal(input.sources.find((source) => source.row.portUuid === row)?.row.bridge, bridge);
          }
        }
      }),
    );
  });

  it('mirrors every port that a policy wants mirrored, or says that it does not', () => {
    fc.assert(
      fc.property(world, (input) => {
        const { changes, problems } = planMirrors(input);
        const mirrored = new Set(
          after(input.mirrors, changes)
            .filter((mirror) => isOursMirror(mirror))
            .flatMap(({ selectSrcPort }) => selectSrcPort),
        );
        for (const { row, target } of input.sources) {
          const isSaid = problems.some((problem) => problem.startsWith(`mirror to ${target}:`));
          assert.ok(mirrored.has(row.portUuid) || isSaid);
        }
      }),
    );
  });
});
