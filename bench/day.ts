/** A day's events in a minute: the memory of the service after each quarter of them. */
import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { waitFor } from '../test/support/wait-for.ts';
import { informationOf, resultOf } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import { bridge, vmidsFrom } from './guests.ts';
import { observe } from './observed-switch.ts';
import type { ObservedSwitch } from './observed-switch.ts';
import { plug, startPrivateNode } from './private-node.ts';
import type { PrivateNode, RunningService } from './private-node.ts';
import { memoryOf, untilQuiet } from './process-figures.ts';

const guests = vmidsFrom(2000, 200);
/** Of one restart of a guest: `post-stop`, `pre-start`, the plug, `post-start`. */
const eventsOfRestart = 4;
const restarts = 5000;
const quickRestarts = 200;
const quarters = 4;
/** Guests that restart together; each once a turn. */
const together = 25;
/** A device Proxmox VE does not know loses its port once in so many turns. */
const driftEvery = 10;
const netdev = 'box0';
const settledMs = 1000;
const differenceMaxMb = 5;

export const dayBenchmark: Benchmark = {
  name: 'day',
  about: "memory of the service over a day's 20,000 events",
  run: ({ signal, progress, isQuick }) =>
    withCleanup(async (later) => {
      const nodeArguments = ['--expose-gc', '--import', resolve('bench/heap-reporter.mjs')];
      const node = await startPrivateNode({ later, devices: 'own', nodeArguments });
      await node.addGuests(guests);
      await node.devices.addForeign(netdev);
      const service = await node.startService();
      await service.listedMs(guests.length);
      const [port] = (await node.call('add_port', 's', [netdev])) as [string];
      const observed = await observe(later, node.ovs);
      // Each guest once: caches of its kind are warm before the first quarter.
      const perQuarter = (isQuick ? quickRestarts : restarts) / quarters;
      const turn = async (index: number): Promise<void> => {
        signal.throwIfAborted();
        const at = (index * together) % guests.length;
        await restart(node, observed, guests.slice(at, at + together));
        if (index % driftEvery === 0) {
          await node.ovs.vsctl('--no-wait', 'del-port', port);
          await waitFor('the lost port', async () => (await node.ovs.vsctl('list-ports', bridge)).includes(port));
        }
      };
      for (let index = 0; index < guests.length / together; index++) await turn(index);

      const rssMb: number[] = [];
      const heapMb: number[] = [];
      const take = async (): Promise<void> => {
        await untilQuiet(service.pid, settledMs);
        heapMb.push(await heapMbOf(node, service));
        rssMb.push(memoryOf(service.pid).rssBytes / 1e6);
      };
      await take();
      for (let quarter = 0; quarter < quarters; quarter++) {
        for (let index = 0; index < perQuarter / together; index++) {
          await turn(index);
          progress(`quarter ${quarter + 1} of ${quarters}, turn ${index + 1} of ${perQuarter / together}`);
        }
        await take();
      }
      const events = Math.round(perQuarter * quarters * eventsOfRestart).toLocaleString('en');
      return resultOf({
        name: 'day',
        clock: 'resident',
        unit: 'MB',
        warmUpRounds: 0,
        subject: {
          what: `RSS of the service with ${guests.length} guests after ${events} events, garbage collected`,
          samples: rssMb.slice(-1),
        },
        rival: { what: 'RSS after the first quarter of them', samples: rssMb.slice(1, 2) },
        target: { kind: 'difference', atMost: differenceMaxMb },
        information: [
          informationOf('heap, garbage collected, after the last quarter', 'resident', 'MB', heapMb.slice(-1)),
        ],
        grids: [
          {
            title: 'day: memory after each quarter',
            clock: 'resident',
            unit: 'MB',
            header: ['', 'before', ...Array.from({ length: quarters }, (_, index) => `quarter ${index + 1}`)],
            rows: [
              { label: 'RSS', figures: rssMb },
              { label: 'heap', figures: heapMb },
            ],
          },
        ],
      });
    }),
};

/** Guests stop and start again, as Proxmox VE does it: its own plug between the calls of the hookscript. */
async function restart(node: PrivateNode, observed: ObservedSwitch, vmids: readonly number[]): Promise<void> {
  const notify = (phase: string): Promise<unknown> =>
    Promise.all(vmids.map((vmid) => node.call('NotifyLifecycle', 'us', [vmid, phase])));
  await observed.unplug(vmids);
  await notify('post-stop');
  await notify('pre-start');
  await plug(node.ovs, vmids);
  await notify('post-start');
}

async function heapMbOf(node: PrivateNode, { pid }: RunningService): Promise<number> {
  const path = join(node.folder, 'heap');
  await rm(path, { force: true });
  process.kill(pid, 'SIGUSR2');
  let text = '';
  await waitFor('the size of the heap', async () => {
    text = await readFile(path, 'utf8').catch(() => '');
    return text !== '';
  });
  return Number(text) / 1e6;
}
