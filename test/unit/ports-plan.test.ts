import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseGuestNetdev } from '../../src/model/guest.ts';
import { vlanModeOf } from '../../src/model/port.ts';
import type { ObservedPort, WantedPort } from '../../src/model/port.ts';
import { fieldsFingerprint, interfaceMarks, isOurs, markKeys, portMarks } from '../../src/ports/marks.ts';
import { planPorts, portNameOfRow } from '../../src/ports/plan.ts';
import type { PlanInput, PortChange, PortPlan } from '../../src/ports/plan.ts';
import { isForeignEdit, isReconfigured, isSetByUs, settingsDiffer } from '../../src/ports/settings.ts';
import {
  attachedRowOf,
  boundOf,
  cluster,
  managed,
  markedRowOf,
  ovsbr0,
  ovsbr1,
  rowOf,
  wantedOf,
} from '../support/ports-fixtures.ts';

/** What the planner sees: ports wanted, every row of the switch, devices that exist, bridges that exist. */
interface World {
  readonly wanted: readonly WantedPort[];
  readonly rows: readonly ObservedPort[];
  readonly netdevs: ReadonlySet<string>;
  readonly bridges?: ReadonlySet<string>;
  readonly drift?: 'repair' | 'report';
  /** Devices that a row holds together with others. */
  readonly bonded?: ReadonlySet<string>;
}

function plan({
  wanted,
  rows,
  netdevs,
  bridges = new Set(['ovsbr0', 'ovsbr1', 'vmbr0']),
  drift = 'repair',
  bonded = new Set(),
}: World): PortPlan {
  const input: PlanInput = {
    wanted,
    rows: rows.filter(({ bridge }) => managed.has(bridge)),
    rowOfNetdev: (netdev) => rows.find((row) => row.netdev === netdev) ?? null,
    bondOf: (netdev) => (bonded.has(netdev) ? 'bond1' : null),
    isRowNameTaken: (name) => rows.some(({ rowName }) => rowName === name),
    netdevExists: ({ netdev }) => netdevs.has(netdev),
    managed,
    bridgeExists: (bridge) => bridges.has(bridge),
    cluster,
    drift,
  };
  return planPorts(input);
}

/** The rows after the changes, those that free a name first. */
function apply(rows: readonly ObservedPort[], changes: readonly PortChange[]): ObservedPort[] {
  const removed = new Set(changes.flatMap((change) => (change.kind === 'detach' ? [change.row.portUuid] : [])));
  const next = new Map(rows.filter(({ portUuid }) => !removed.has(portUuid)).map((row) => [row.portUuid, row]));
  for (const change of changes) {
    if (change.kind === 'detach') continue;
    if (change.kind === 'attach') {
      const row = attachedRowOf(change.wanted);
      next.set(row.portUuid, row);
      continue;
    }
    const uuid = change.row.portUuid;
    const row = next.get(uuid);
    assert.ok(row !== undefined, `${change.kind} of ${change.row.rowName}, which is gone`);
    next.set(uuid, changed(row, change));
  }
  return [...next.values()];
}

/** For the laws a replaced row may as well keep its UUID. */
function changed(
  row: ObservedPort,
  { kind, wanted }: PortChange & { kind: 'adopt' | 'replace' | 'set' },
): ObservedPort {
  const marks = kind === 'set' ? [] : portMarks(wanted);
  const columns =
    kind === 'adopt'
      ? {}
      : {
          tag: wanted.tag,
          trunks: wanted.trunks,
          vlanMode: vlanModeOf(wanted),
        };
  return {
    ...row,
    ...columns,
    rowName: kind === 'replace' ? wanted.rowName : row.rowName,
    portIds: new Map([
      ...(kind === 'replace' ? [] : row.portIds),
      ...marks,
      ...(kind === 'adopt' ? [] : [[markKeys.fields, fieldsFingerprint(wanted)] as const]),
    ]),
    interfaceIds:
      kind === 'set' ? row.interfaceIds : new Map([...row.interfaceIds, ...interfaceMarks(wanted, cluster)]),
  };
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
    assert.deepEqual([changes, problems], [[{ kind: 'attach', wanted, after: [] }], []]);
  });

  it('adopts what Proxmox VE plugged, and says what is wrong with its VLAN without touching it', () => {
    const row = rowOf('veth100i0', { tag: 99 });
    assert.deepEqual(plan(worldOf([wanted], [row], 'veth100i0')), {
      changes: [{ kind: 'adopt', wanted, row }],
      problems: [{ port: 'vi100', problem: 'tag: wanted 10, got 99' }],
      drift: [],
    });
  });

  it('is empty when all is as it should be', () => {
    assert.deepEqual(plan(worldOf([wanted], [markedRowOf(wanted)], 'veth100i0')), {
      changes: [],
      problems: [],
      drift: [],
    });
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
      drift: [],
    });
  });

  it('never takes a device out of a bond, and says which', () => {
    const { changes, problems } = plan({ ...worldOf([wanted], [], 'veth100i0'), bonded: new Set(['veth100i0']) });
    assert.deepEqual(
      [changes, problems],
      [[], [{ port: 'vi100', problem: 'veth100i0 is plugged as a member of bond1, which is not ours' }]],
    );
  });

  it('gives a name to the first of two that want it, and tells the second', () => {
    const twice = boundOf('dummy0', 'vi100');
    const { changes, problems } = plan(worldOf([wanted, twice], [], 'veth100i0', 'dummy0'));
    assert.deepEqual(changes, [{ kind: 'attach', wanted, after: [] }]);
    assert.deepEqual(problems, [{ port: 'vi100', problem: 'the name vi100 is wanted twice' }]);
  });

  it('attaches after the stale rows of ours that hold its names', () => {
    const stale = [
      markedRowOf(boundOf('gone0', 'vi100')),
      markedRowOf(boundOf('gone1', 'vi1'), { rowName: 'veth100i0' }),
    ];
    const other = markedRowOf(boundOf('gone2', 'vi_gone2'));
    const { changes, problems } = plan(worldOf([wanted], [...stale, other], 'veth100i0'));
    assert.deepEqual(problems, []);
    assert.deepEqual(changes[0], { kind: 'attach', wanted, after: stale.map(({ portUuid }) => portUuid) });
    assert.deepEqual(
      changes.slice(1).map(({ kind }) => kind),
      ['detach', 'detach', 'detach'],
    );
  });

  describe('of a row whose columns the agent set', () => {
    const edited = attachedRowOf(wanted, { tag: 20 });

    it('puts back what somebody else changed', () => {
      assert.deepEqual(plan(worldOf([wanted], [edited], 'veth100i0')), {
        changes: [
          {
            kind: 'set',
            wanted,
            row: edited,
            differences: [{ column: 'tag', wanted: '10', got: '20' }],
            drift: true,
          },
        ],
        problems: [],
        drift: [],
      });
    });

    it('only says so when it is told to report', () => {
      assert.deepEqual(plan({ ...worldOf([wanted], [edited], 'veth100i0'), drift: 'report' }), {
        changes: [],
        problems: [{ port: 'vi100', problem: 'drift: tag: wanted 10, got 20' }],
        drift: [{ wanted, row: edited, differences: [{ column: 'tag', wanted: '10', got: '20' }] }],
      });
    });

    it('follows a changed configuration, which is no drift, also when it is told to report', () => {
      const now = wantedOf(100, 0, { tag: 30 });
      const { changes, problems, drift } = plan({
        ...worldOf([now], [attachedRowOf(wanted)], 'veth100i0'),
        drift: 'report',
      });
      assert.deepEqual(
        changes.map((change) => change.kind === 'set' && [change.drift, change.differences]),
        [[false, [{ column: 'tag', wanted: '30', got: '10' }]]],
      );
      assert.deepEqual([problems, drift], [[], []]);
    });

    it('puts lost marks back beside it, each a change of its own', () => {
      const row = { ...edited, interfaceIds: new Map() };
      assert.deepEqual(kinds(plan(worldOf([wanted], [row], 'veth100i0'))), ['adopt veth100i0', 'set veth100i0']);
    });

    it('leaves them alone while the row is in trouble', () => {
      const row = { ...edited, bridge: ovsbr1 };
      assert.deepEqual(kinds(plan(worldOf([wanted], [row], 'veth100i0'))), []);
    });
  });

  describe('of a row under another name than the naming mode says', () => {
    const renamed = wantedOf(100, 0, { tag: 10, mode: 'port' });

    it('replaces what Proxmox VE plugged and what the agent made, columns and marks with it', () => {
      for (const row of [rowOf('veth100i0', { tag: 99 }), markedRowOf(wanted), attachedRowOf(wanted)]) {
        assert.deepEqual(plan(worldOf([renamed], [row], 'veth100i0')), {
          changes: [{ kind: 'replace', wanted: renamed, row, after: [] }],
          problems: [],
          drift: [],
        });
      }
    });

    it('replaces it back, and a handed-over device too', () => {
      assert.deepEqual(kinds(plan(worldOf([wanted], [attachedRowOf(renamed)], 'veth100i0'))), ['replace vi100']);
      const alias = boundOf('dummy0', 'vi_dummy0', 'ovsbr0', null, 'alias');
      const row = attachedRowOf(boundOf('dummy0', 'vi_dummy0'));
      assert.deepEqual(kinds(plan(worldOf([alias], [row], 'dummy0'))), ['replace vi_dummy0']);
    });

    it('keeps one that somebody has written other columns into, marks it, looks after its columns, and says so', () => {
      const foreignColumns = ['bond_mode', 'qos'];
      const plugged = rowOf('veth100i0', { tag: 10, foreignColumns });
      assert.deepEqual(plan(worldOf([renamed], [plugged], 'veth100i0')), {
        changes: [{ kind: 'adopt', wanted: renamed, row: plugged }],
        problems: [
          { port: 'vi100', problem: 'its row keeps the name veth100i0: somebody has set bond_mode, qos there' },
        ],
        drift: [],
      });
      const ours = attachedRowOf(wanted, { tag: 99, foreignColumns });
      assert.deepEqual(kinds(plan(worldOf([renamed], [ours], 'veth100i0'))), ['set veth100i0']);
    });

    for (const [what, rows, problem] of [
      [
        'its row is foreign',
        [rowOf('uplink', { netdev: 'veth100i0' })],
        'veth100i0 is plugged as uplink, which is not ours',
      ],
      [
        'a foreign row has the name',
        [rowOf('veth100i0'), rowOf('vi100', { netdev: 'eth0' })],
        'the name vi100 is taken by a Port row that is not ours',
      ],
    ] as const) {
      it(`says what is wrong, and leaves it, when ${what}`, () => {
        const { changes, problems } = plan(worldOf([renamed], [...rows], 'veth100i0', 'eth0'));
        assert.deepEqual([changes, problems], [[], [{ port: 'vi100', problem }]]);
      });
    }
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

    it('is undone when its devices go: of what was attached nothing stays, and no other row is touched', () => {
      let attached = 0;
      fc.assert(
        fc.property(worlds(), (world) => {
          const { changes } = plan(world);
          const mine = new Set<string>(
            changes.flatMap((change) => (change.kind === 'attach' ? [change.wanted.netdev] : [])),
          );
          attached += mine.size;
          const after = apply(world.rows, changes);
          const netdevs = new Set([...world.netdevs].filter((netdev) => !mine.has(netdev)));
          const undoing = plan({ ...world, wanted: [], rows: after, netdevs }).changes;
          assert.deepEqual(
            undoing.map((change) => [change.kind, change.kind === 'detach' && change.row.netdev]).sort(),
            [...mine].map((netdev) => ['detach', netdev]).sort(),
          );
          const others = changes.filter(({ kind }) => kind !== 'attach');
          assert.deepEqual(apply(after, undoing), apply(world.rows, others));
        }),
        { numRuns: 1000 },
      );
      assert.ok(attached > 50, `${attached} attached`);
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
            if (change.kind === 'set') assert.ok(isSetByUs(change.row), 'set by Proxmox VE');
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

    it('changes what somebody else edited only where it repairs, and reports it otherwise', () => {
      fc.assert(
        fc.property(worlds(), (world) => {
          const { changes, drift } = plan(world);
          const set = changes.filter((change) => change.kind === 'set');
          for (const { differences, wanted: want, row, drift: isDrift } of set) {
            assert.notDeepEqual(differences, []);
            assert.deepEqual(differences, settingsDiffer(want, row));
            assert.equal(isDrift, isForeignEdit(row));
          }
          if (world.drift === 'report')
            assert.ok(set.every((change) => !change.drift || isReconfigured(change.wanted, change.row)));
          else assert.deepEqual(drift, []);
          for (const { wanted: want, row } of drift) assert.ok(isForeignEdit(row) && !isReconfigured(want, row));
        }),
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

/** Worlds in which devices are wanted, missing, plugged, marked, edited, misnamed, plugged elsewhere, and stood in the way of. */
function worlds(): fc.Arbitrary<World> {
  const modes = fc.constantFrom('auto' as const, 'alias' as const, 'port' as const);
  const guests = (mode: 'auto' | 'alias' | 'port'): fc.Arbitrary<WantedPort[]> =>
    fc.subarray([
      wantedOf(100, 0, { mode, mtu: 9000 }),
      wantedOf(100, 1, { tag: 10, trunks: [20], mode }),
      wantedOf(101, 0, { bridge: 'ovsbr1', mode }),
      wantedOf(102, 0, { firewall: true, mode }),
      boundOf('dummy0', 'vi_dummy0', 'ovsbr0', null, mode),
      boundOf('ve7', 'vi107', 'ovsbr1', 107, mode),
      boundOf('ve8', 'vi100', 'ovsbr0', null, mode),
    ]);
  const states = fc.constantFrom(
    'absent',
    'plugged',
    'marked',
    'attached',
    'edited',
    'reconfigured',
    'reconfigured and edited',
    'other mode',
    'foreign',
    'elsewhere',
    'unmanaged',
    'half-marked',
    'with others’ columns',
    'misnamed',
  );
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
    // Stale, and in possession of a name that a guest may want.
    markedRowOf(boundOf('gone1', 'vi102')),
  ]);
  return modes.chain((mode) =>
    fc
      .tuple(
        guests(mode),
        fc.infiniteStream(states),
        foreign,
        fc.subarray(['veth200i0', 'tap201i0', 'eth0', 'veth203i0']),
        fc.constantFrom('repair' as const, 'report' as const),
      )
      .map(([wanted, stream, others, extra, drift]) => {
        const rows: ObservedPort[] = [];
        const taken = new Set<string>();
        // A name is only once in a table, so the first to have it has it.
        const add = (row: ObservedPort): void => {
          if (taken.has(`row ${row.rowName}`) || taken.has(`device ${row.netdev}`)) return;
          taken.add(`row ${row.rowName}`).add(`device ${row.netdev}`);
          rows.push(row);
        };
        for (const port of wanted) for (const row of rowIn(stream.next().value as string, port)) add(row);
        for (const row of others) add(row);
        return {
          wanted,
          drift,
          rows,
          netdevs: new Set([...wanted.map(({ netdev }) => netdev as string), 'eth9', ...extra]),
        };
      }),
  );
}

/** The row of a wanted port in this state; none when it is absent. */
function rowIn(state: string, port: WantedPort): ObservedPort[] {
  const edit = { tag: 99, trunks: [], vlanMode: null };
  /** Marks of a row that the agent set when the configuration gave it this tag. */
  const portIdsOf = (tag: number): Map<string, string> =>
    new Map([...portMarks(port), [markKeys.fields, fieldsFingerprint(wantedOf(100, 0, { tag }))]]);
  switch (state) {
    case 'plugged':
      return [rowOf(port.netdev, { netdev: port.netdev, bridge: port.bridge })];
    case 'marked':
      return [markedRowOf(port)];
    case 'attached':
      return [attachedRowOf(port)];
    case 'edited':
      return [attachedRowOf(port, edit)];
    case 'reconfigured':
      return [attachedRowOf(port, { ...edit, portIds: portIdsOf(99) })];
    case 'reconfigured and edited':
      return [attachedRowOf(port, { ...edit, portIds: portIdsOf(98) })];
    case 'other mode':
      return [attachedRowOf(port, { rowName: port.rowName === port.port ? port.netdev : port.port })];
    case 'foreign':
      return [rowOf(`by-hand-${port.netdev}`, { netdev: port.netdev, bridge: port.bridge })];
    case 'elsewhere':
      return [rowOf(port.rowName, { netdev: port.netdev, bridge: port.bridge === ovsbr0 ? ovsbr1 : ovsbr0 })];
    case 'unmanaged':
      return [rowOf(port.rowName, { netdev: port.netdev, bridge: 'vmbr0' as typeof ovsbr0 })];
    case 'half-marked':
      return [markedRowOf(port, { interfaceIds: new Map() })];
    case 'with others’ columns':
      return [attachedRowOf(port, { rowName: port.netdev, foreignColumns: ['qos'] })];
    case 'misnamed':
      return [markedRowOf(port, { portIds: new Map([...portMarks(port), ['port-name', 'vi999']]) })];
    default:
      return [];
  }
}
