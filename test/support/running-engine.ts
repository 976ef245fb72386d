/** The port engine under way: passes run, and `ovs-vswitchd` applies what is committed. */
import { parseVmid } from '../../src/model/names.ts';
import { cause, guestOf } from './ports-fixtures.ts';
import { startEngine } from './test-engine.ts';

/** The guest that most tests are about. */
export const vmid = parseVmid(100);
export type World = Awaited<ReturnType<typeof startEngine>>;

/** Lets time pass for a pass, as long as it needs no more than milliseconds. */
export const soon = ({ clock }: World): Promise<void> => turns(clock);
async function turns(clock: World['clock']): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await clock.advance(0);
}
/** Time goes by in small steps, so that what it sets off has its turns. */
export async function passes(world: World, ms: number): Promise<void> {
  for (let step = 0; step < ms; step += 50) {
    await world.clock.advance(Math.min(50, ms - step));
    await soon(world);
  }
}
/** `ovs-vswitchd` is quick: what was committed is applied at once. */
function applyAtOnce({ ovs }: World): void {
  const tell = ovs.onChanges;
  ovs.onChanges = (changes) => {
    tell(changes);
    if (changes.some(({ row }) => 'cur_cfg' in row && row.cur_cfg !== row.next_cfg))
      setImmediate(() => {
        ovs.apply();
      });
  };
}
export async function running(options: Parameters<typeof startEngine>[0] = {}): Promise<World> {
  const world = await startEngine(options);
  applyAtOnce(world);
  await world.engine.start();
  await soon(world);
  return world;
}
/** Guest 100 with tag 10, plugged by the agent itself. */
export async function attached(options: Parameters<typeof startEngine>[0] = {}): Promise<World> {
  const world = await running(options);
  world.configure(guestOf(100, [{ tag: 10 }]));
  world.links.add('veth100i0');
  await world.engine.notifyLifecycle(vmid, 'post-start', cause);
  await passes(world, 600);
  world.events.length = 0;
  return world;
}
/** Blocks as `category action`, oldest first. */
export async function blocksOf({ ledger }: World, ...categories: string[]): Promise<string[]> {
  const blocks = await ledger.query({ order: 'oldest', limit: 1000 });
  return blocks
    .filter(({ category }) => categories.includes(category))
    .map(({ category, action }) => `${category} ${action}`);
}
