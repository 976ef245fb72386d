/** The port engine on a real switch; guests, devices, ledger and files in memory. */
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { Dial } from '../../src/ovsdb/channel.ts';
import { ovsdbDialer } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { switchTables } from '../../src/ports/switch-view.ts';
import { switchLock } from '../../src/ports/transaction.ts';
import { engineOn } from './test-engine.ts';
import type { TestEngineOptions } from './test-engine.ts';

export type EngineOnSwitch = Awaited<ReturnType<typeof engineOnSwitch>>;

/** `dial` stands between the engine and the switch. The engine has not been started. */
export async function engineOnSwitch(
  endpoint: string,
  { dial = ovsdbDialer(endpoint), ...options }: TestEngineOptions & { readonly dial?: Dial } = {},
) {
  const client = new OvsdbClient({
    remotes: [{ endpoint, dial }],
    timers: systemTimers,
    database: 'Open_vSwitch',
    tables: switchTables,
    lock: switchLock,
  });
  const world = await engineOn({ switch: client, replica: () => client.replica, clock: systemTimers }, options);
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
