import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseGuestNetdev } from '../../src/model/guest.ts';
import type { ObservedPort, WantedPort } from '../../src/model/port.ts';
import { interfaceMarks, isOurs, portMarks } from '../../src/ports/marks.ts';
import { planPorts, portNameOfRow } from '../../src/ports/plan.ts';
import type { PlanInput, PortChange, PortPlan } from '../../src/ports/plan.ts';
import { boundOf, cluster, managed, markedRowOf, ovsbr0, ovsbr1, rowOf, wantedOf } from '../support/ports-fixtures.ts';

/** What the planner sees: ports wanted, every row of the switch, devices that exist, bridges that exist. */
interface World {
  readonly wanted: readonly WantedPort[];
  readonly rows: readonly ObservedPort[];
  readonly netdevs: ReadonlySet<string>;
  readonly bridges?: ReadonlySet<string>;
}

function plan({ wanted, rows, netdevs, bridges = new Set(['ovsbr0', 'ovsbr1', 'vmbr0']) }: World): PortPlan {
  const input: PlanInput = {
    wanted,
    rows: rows.filter(({ bridge }) => managed.has(bridge)),
    rowOfNetdev: (netdev) => rows.find((row) => row.netdev === netdev) ?? null,
    isRowNameTaken: (name) => rows.some(({ rowName }) => rowName === name),
    netdevExists: ({ netdev }) => netdevs.has(netdev),
    managed,
    bridgeExists: (bridge) => bridges.has(bridge),
    cluster,
  };
  return planPorts(input);
}

/** The rows after the changes. */
function apply(rows: readonly ObservedPort[], changes: readonly PortChange[]): ObservedPort[] {
  let next = [...rows];
  for (const change of changes) {
    if (change.kind === 'attach') next.push(markedRowOf(change.wanted));
    else if (change.kind === 'detach') next = next.filter((row) => row.portUuid !== change.row.portUuid);
    else {
      next = next.map((row) =>
        row.portUuid === change.row.portUuid
          ? {
              ...row,
              portIds: new Map([...row.portIds, ...portMarks(change.wanted)]),
              interfaceIds: new Map([...row.interfaceIds, ...interfaceMarks(change.wanted, cluster)]),
            }
          : row,
      );
    }
  }
  return next;
}

const kinds = ({ changes }: PortPlan): string[] =>
  changes.map((change) => `${change.kind} ${change.kind === 'attach' ? change.wanted.netdev : change.row.rowName}`);
const worldOf = (wanted: WantedPort[], rows: ObservedPort[], ...netdevs: string[]): World => ({
  wanted,
  rows,
  netdevs: new Set(netdevs),
});

describe('the plan', () => {
  const wanted = wantedOf(100, 0, { tag: 10 });

  it('attaches a device that nobody plugged', () => {
    const { changes, problems } = plan(worldOf([wanted], [], 'veth100i0'));
    assert.deepEqual([changes, problems], [[{ kind: 'attach', wanted }], []]);
  });

  it('adopts what Proxmox VE plugged, and does not touch its VLAN', () => {
    const row = rowOf('veth100i0', { tag: 99 });
    assert.deepEqual(plan(worldOf([wanted], [row], 'veth100i0')).changes, [{ kind: 'adopt', wanted, row }]);
  });

  it('is empty when all is as it should be', () => {
    assert.deepEqual(plan(worldOf([wanted], [markedRowOf(wanted)], 'veth100i0')), { changes: [], problems: [] });
  });

  it('puts lost marks back, those of the Port and those of the Interface', () => {
    for (const lost of [{ portIds: new Map() }, { interfaceIds: new Map() }]) {
      assert.deepEqual(kinds(plan(worldOf([wanted], [markedRowOf(wanted, lost)], 'veth100i0'))), ['adopt veth100i0']);
    }
  });

  it('lets the keys of others stand', () => {
    const row = markedRowOf(wanted, { portIds: new Map([...portMarks(wanted), ['fabric', 'x']]) });
    assert.deepEqual(kinds(plan(worldOf([wanted], [row], 'veth100i0'))), []);
  });

  it("detaches a guest's row whose device is gone, marked or not", () => {
    for (const row of [markedRowOf(wanted), rowOf('veth100i0'), rowOf('tap100i3'), rowOf('fwln100o1')]) {
      assert.deepEqual(kinds(plan(worldOf([], [row]))), [`detach ${row.rowName}`]);
      assert.deepEqual(kinds(plan(worldOf([], [row], row.netdev))), [], 'while the device is there it stays');
    }
  });

  it("leaves a guest's row on a bridge that is not managed alone", () => {
    const bridge = 'vmbr0' as typeof ovsbr0;
    assert.deepEqual(kinds(plan(worldOf([], [rowOf('veth100i0', { bridge })]))), []);
    const { changes, problems } = plan(worldOf([wanted], [rowOf('veth100i0', { bridge })], 'veth100i0'));
    assert.deepEqual(changes, []);
    assert.deepEqual(problems, [{ port: 'vi100', problem: 'veth100i0 is on vmbr0, its configuration says ovsbr0' }]);
  });

  it('leaves every foreign row alone, with a device or without', () => {
    for (const name of ['eth0', 'bond0', 'vi100', 'vi_web', 'veth99i0', 'veth100', 'ovsbr0']) {
      assert.deepEqual(kinds(plan(worldOf([], [rowOf(name)]))), [], name);
    }
  });

  for (const [what, rows, problem] of [
    [
      'its bridge is another than the one it is plugged into',
      [rowOf('veth100i0', { bridge: ovsbr1 })],
      'veth100i0 is on ovsbr1, its configuration says ovsbr0',
    ],
    [
      'a row of its name holds something else',
      [rowOf('veth100i0', { netdev: 'eth0' })],
      'a Port row named veth100i0 already exists and is not ours',
    ],
    ['somebody took its port name', [rowOf('vi100')], 'the name vi100 is taken by a Port row that is not ours'],
    [
      'somebody took its port name while it is plugged',
      [rowOf('veth100i0'), rowOf('vi100')],
      'the name vi100 is taken by a Port row that is not ours',
    ],
  ] as const) {
    it(`says what is wrong, and plans nothing for it, when ${what}`, () => {
      const { changes, problems } = plan(worldOf([wanted], [...rows], 'veth100i0', 'eth0', 'vi100'));
      assert.deepEqual([changes, problems], [[], [{ port: 'vi100', problem }]]);
    });
  }

  it('says that a bridge is missing', () => {
    const world = { ...worldOf([wanted], [], 'veth100i0'), bridges: new Set(['ovsbr1']) };
    assert.deepEqual(plan(world), {
      changes: [],
      problems: [{ port: 'vi100', problem: 'bridge ovsbr0 does not exist on the switch' }],
    });
  });

  it('gives a name to the first of two that want it, and tells the second', () => {
    const twice = boundOf('dummy0', 'vi100');
    const { changes, problems } = plan(worldOf([wanted, twice], [], 'veth100i0', 'dummy0'));
    assert.deepEqual(changes, [{ kind: 'attach', wanted }]);
    assert.deepEqual(problems, [{ port: 'vi100', problem: 'the name vi100 is wanted twice' }]);
  });

  describe('for any wanted ports and any rows', () => {
    it('planned again against its result is empty', () => {
      fc.assert(
        fc.property(worlds(), (world) => {
          const { changes } = plan(world);
          assert.deepEqual(kinds(plan({ ...world, rows: apply(world.rows, changes) })), []);
        }),
        { numRuns: 1000 },
      );
    });

    it('has the same ports in trouble before and after', () => {
      fc.assert(
        fc.property(worlds(), (world) => {
          const inTrouble = ({ problems }: PortPlan): string[] => problems.map(({ port }) => port);
          const first = plan(world);
          assert.deepEqual(inTrouble(plan({ ...world, rows: apply(world.rows, first.changes) })), inTrouble(first));
        }),
      );
    });

    it('never changes a foreign row', () => {
      fc.assert(
        fc.property(worlds(), (world) => {
          for (const change of plan(world).changes) {
            if (change.kind === 'attach') continue;
            assert.ok(managed.has(change.row.bridge));
            assert.ok(
              isOurs(change.row) ||
                parseGuestNetdev(change.row.rowName) !== null ||
                (change.kind === 'adopt' && change.row.rowName === change.wanted.rowName),
              `${change.kind} ${change.row.rowName}`,
            );
          }
        }),
        { numRuns: 1000 },
      );
    });

    it('detaches only rows without a device, and attaches only devices without a row', () => {
      fc.assert(
        fc.property(worlds(), (world) => {
          for (const change of plan(world).changes) {
            if (change.kind === 'detach') assert.ok(!world.netdevs.has(change.row.netdev));
            if (change.kind === 'attach') assert.ok(!world.rows.some(({ netdev }) => netdev === change.wanted.netdev));
          }
        }),
      );
    });

    it('makes no two rows of one name, and holds no device twice', () => {
      fc.assert(
        fc.property(worlds(), (world) => {
          const after = apply(world.rows, plan(world).changes);
          for (const key of ['rowName', 'netdev'] as const) {
            const values = after.map((row) => row[key]);
            const before = world.rows.map((row) => row[key]);
            assert.ok(values.length - new Set(values).size <= before.length - new Set(before).size, key);
          }
        }),
      );
    });

    it('brings every wanted port about, or says why not', () => {
      fc.assert(
        fc.property(worlds(), (world) => {
          const { changes, problems } = plan(world);
          const after = apply(world.rows, changes);
          for (const { port, netdev } of world.wanted) {
            const row = after.find((other) => other.netdev === netdev);
            const isThere = row !== undefined && isOurs(row) && portNameOfRow(row) === port;
            assert.ok(isThere || problems.some((problem) => problem.port === port), port);
          }
        }),
      );
    });
  });
});

/** Worlds in which devices are wanted, missing, plugged, marked, plugged elsewhere, and stood in the way of. */
function worlds(): fc.Arbitrary<World> {
  const guests = fc.subarray([
    wantedOf(100),
    wantedOf(100, 1, { tag: 10, trunks: [20] }),
    wantedOf(101, 0, { bridge: 'ovsbr1' }),
    wantedOf(102, 0, { firewall: true }),
    boundOf('dummy0', 'vi_dummy0'),
    boundOf('ve7', 'vi107', 'ovsbr1', 107),
    boundOf('ve8', 'vi100'),
  ]);
  const states = fc.constantFrom('absent', 'plugged', 'marked', 'elsewhere', 'unmanaged', 'half-marked', 'misnamed');
  const foreign = fc.subarray([
    rowOf('eth0'),
    rowOf('vi100'),
    rowOf('vi101', { bridge: ovsbr1 }),
    rowOf('veth100i0', { netdev: 'eth9' }),
    rowOf('bond0', { netdev: 'eth3' }),
    rowOf('veth200i0'),
    rowOf('tap201i0', { bridge: ovsbr1 }),
    rowOf('veth202i0', { bridge: 'vmbr0' as typeof ovsbr0 }),
    markedRowOf(wantedOf(203)),
    markedRowOf(boundOf('gone0', 'vi_gone0')),
  ]);
  return fc
    .tuple(guests, fc.infiniteStream(states), foreign, fc.subarray(['veth200i0', 'tap201i0', 'eth0', 'veth203i0']))
    .map(([wanted, stream, others, extra]) => {
      const rows = wanted.flatMap((port): ObservedPort[] => {
        switch (stream.next().value as string) {
          case 'plugged':
            return [rowOf(port.rowName, { netdev: port.netdev, bridge: port.bridge })];
          case 'marked':
            return [markedRowOf(port)];
          case 'elsewhere':
            return [rowOf(port.rowName, { netdev: port.netdev, bridge: port.bridge === ovsbr0 ? ovsbr1 : ovsbr0 })];
          case 'unmanaged':
            return [rowOf(port.rowName, { netdev: port.netdev, bridge: 'vmbr0' as typeof ovsbr0 })];
          case 'half-marked':
            return [markedRowOf(port, { interfaceIds: new Map() })];
          case 'misnamed':
            return [markedRowOf(port, { portIds: new Map([...portMarks(port), ['port-name', 'vi999']]) })];
          default:
            return [];
        }
      });
      const taken = new Set(rows.flatMap(({ rowName, netdev }) => [rowName, netdev]));
      return {
        wanted,
        rows: [...rows, ...others.filter(({ rowName, netdev }) => !taken.has(rowName) && !taken.has(netdev))],
        netdevs: new Set([...wanted.map(({ netdev }) => netdev as string), 'eth9', ...extra]),
      };
    });
}
