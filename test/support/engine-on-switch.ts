/** The port engine on a real switch; guests, devices, ledger and files in memory. */
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { Dial, Timers } from '../../src/ovsdb/channel.ts';
import { ovsdbDialer } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import type { Clock } from '../../src/ports/contracts.ts';
import { switchTables } from '../../src/ports/switch-view.ts';
import { switchLock } from '../../src/ports/transaction.ts';
import { engineOn } from './test-engine.ts';
import type { TestEngineOptions } from './test-engine.ts';

export type EngineOnSwitch = Awaited<ReturnType<typeof engineOnSwitch>>;

/**
 * `dial` and `timers` are the client's: what stands between engine and switch. `clock` is the engine's. The engine has not
 * been started.
 */
export async function engineOnSwitch(
  endpoint: string,
  {
    dial = ovsdbDialer(endpoint),
    timers = systemTimers,
    clock = systemTimers,
    ...options
  }: TestEngineOptions & { readonly dial?: Dial; readonly timers?: Timers; readonly clock?: Clock } = {},
) {
  const client = new OvsdbClient({
    remotes: [{ endpoint, dial }],
    timers,
    database: 'Open_vSwitch',
    tables: switchTables,
    lock: switchLock,
  });
  const world = await engineOn({ switch: client, replica: () => client.replica, clock }, options);
  client.listen({
    onChanges: (changes) => {
      world.engine.onSwitchChanges(changes);
    },
    onState: (problem) => {
      world.engine.onSwitchState(problem);
    },
  });
  client.start();
  await world.engine.switchReady(5000);
  const close = async (): Promise<void> => {
    await world.engine.stop();
    client.stop();
  };
  return { ...world, client, close };
}
