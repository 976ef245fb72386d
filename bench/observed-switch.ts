/** A private switch with a bridge, seen and tidied up from outside all who are measured. */
import type { PrivateSwitch } from '../test/support/private-switch.ts';
import { startPrivateSwitch } from '../test/support/private-switch.ts';
import type { Later } from './cleanup.ts';
import { bridge, netdevOf } from './guests.ts';
import { connectRaw, transactBytes } from './raw-ovsdb.ts';
import type { RawReply } from './raw-ovsdb.ts';

export interface ObservedSwitch {
  readonly ovs: PrivateSwitch;
  /** Resolves when `ovs-vswitchd` has applied everything; throws when it does not. */
  untilApplied(): Promise<void>;
  /** Takes these guests' ports away and waits for it; throws when one was not there. */
  unplug(vmids: readonly number[]): Promise<void>;
}

const appliedDeadlineMs = 30_000;

/**
 * `apart`: in a network namespace without devices. Whatever happens to a device has every `ovs-vswitchd` that sees it look
 * at its whole configuration, and on a node there is only one.
 */
export async function startObservedSwitch(later: Later, { apart = false } = {}): Promise<ObservedSwitch> {
  const ovs = await startPrivateSwitch({ apart });
  later(() => ovs.stop());
  await ovs.vsctl('add-br', bridge);
  return observe(later, ovs);
}

export async function observe(later: Later, ovs: PrivateSwitch): Promise<ObservedSwitch> {
  const raw = await connectRaw(ovs.socketPath);
  later(() => {
    raw.close();
    return undefined;
  });
  const transact = async (...operations: object[]): Promise<Row[][]> =>
    rowsOf(await raw.exchange(transactBytes(0, operations)));
  const untilApplied = async (): Promise<void> => {
    const end = performance.now() + appliedDeadlineMs;
    while (performance.now() < end) {
      const columns = ['cur_cfg', 'next_cfg'];
      const [[row] = []] = await transact({ op: 'select', table: 'Open_vSwitch', where: [], columns });
      if (row !== undefined && row['cur_cfg'] === row['next_cfg']) return;
    }
    throw new Error(`ovs-vswitchd did not apply a change within ${appliedDeadlineMs} ms`);
  };
  return {
    ovs,
    untilApplied,
    async unplug(vmids) {
      const [ports = []] = await transact({ op: 'select', table: 'Port', where: [], columns: ['_uuid', 'name'] });
      const names = new Set(vmids.map(netdevOf));
      const found = ports.filter(({ name }) => names.has(String(name))).map(({ _uuid }) => _uuid);
      if (found.length !== names.size) throw new Error(`${found.length} of ${names.size} ports were plugged`);
      await transact(
        { op: 'mutate', table: 'Bridge', where: [], mutations: [['ports', 'delete', ['set', found]]] },
        { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
      );
      await untilApplied();
    },
  };
}

type Row = Record<string, unknown>;

function rowsOf({ result, error }: RawReply): Row[][] {
  const results = (result ?? []) as ({ error?: string; rows?: Row[] } | null)[];
  const refused = results.find((entry) => entry?.error !== undefined);
  if (error !== null || refused !== undefined) {
    throw new Error(`the switch refused: ${JSON.stringify(error ?? refused)}`);
  }
  return results.map((entry) => entry?.rows ?? []);
}
