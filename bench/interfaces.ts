/** A file with 5,000 stanzas read, one port changed and written again: in memory, and on the disk under Proxmox VE's lock. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planManagedBlock } from '../src/interfaces/managed-block.ts';
import type { ListedPort, ManagedBlockPlan } from '../src/interfaces/managed-block.ts';
import { parseBridgeName, parsePortName, parseVlanTag } from '../src/model/names.ts';
import { InterfacesFile } from '../src/platform/interfaces-file.ts';
import { unrecorded } from '../test/support/unrecorded.ts';
import { informationOf, resultOf } from './benchmark.ts';
import type { Benchmark, Grid, Information } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import type { Later } from './cleanup.ts';
import { bridge, netdevOf, vmidsFrom } from './guests.ts';
import { growthExponent, median } from './measure.ts';
import { takeTurns } from './rounds.ts';

const sizes = [100, 1000, 5000] as const;
const goalStanzas = 5000;
const goalMs = 50;
const rounds = 40;
const warmUpRounds = 10;
const firstVmid = 10_000;
const blockTag = 'ovs-port-agent';
const tag = parseVlanTag(10);
/** Those of the port that changes, in turn. */
const changedTags = [parseVlanTag(30), parseVlanTag(40)] as const;

export const interfacesBenchmark: Benchmark = {
  name: 'interfaces',
  about: 'a managed block with 5,000 stanzas read, changed and written',
  run: (context) =>
    withCleanup(async (later) => {
      const blocks = sizes.map((size) => sideOf('in the block', fileWithBlock(size), portsOf(size)));
      const scattered = sideOf('as Proxmox VE left them', scatteredFile(goalStanzas), portsOf(goalStanzas));
      const foreign = sideOf('of others', foreignFile(goalStanzas), portsOf(1));
      const file = await onDisk(later, goalStanzas);
      const samples = await takeTurns([...blocks, scattered, foreign, file], { rounds, warmUpRounds }, context);
      const [gathered = [], others = [], written = []] = samples.slice(sizes.length);
      const common = { clock: 'end to end', unit: 'ms', warmUpRounds, rival: null } as const;
      const many = goalStanzas.toLocaleString('en');
      return [
        resultOf({
          ...common,
          name: 'interfaces',
          subject: {
            what: `parsed, one port of ${many} in the block changed, rendered`,
            samples: samples[sizes.indexOf(goalStanzas)] ?? [],
          },
          target: { kind: 'time', atMost: goalMs },
          information: [
            informationOf(
              'the same on the disk: read, lock, read, write, flush, read again',
              'end to end',
              'ms',
              written,
            ),
            exponentOf(samples),
          ],
          grids: [gridOf(samples)],
        }),
        resultOf({
          ...common,
          name: 'interfaces, gathered',
          subject: { what: `the ${many} stanzas gathered again, last first and without markers`, samples: gathered },
          target: { kind: 'time', atMost: goalMs },
        }),
        resultOf({
          ...common,
          name: 'interfaces, foreign',
          subject: { what: `one port added below ${many} stanzas of others`, samples: others },
          target: { kind: 'time', atMost: goalMs },
        }),
      ];
    }),
};

interface Sample {
  readonly name: string;
  sample(round: number): Promise<number> | number;
}

/** Each sample begins from the same text. */
function sideOf(name: string, text: string, ports: readonly ListedPort[]): Sample {
  const wanted = withOneChanged(ports, 0);
  return {
    name,
    sample() {
      const startedMs = performance.now();
      const { changed } = plan(text, wanted);
      const elapsedMs = performance.now() - startedMs;
      if (!changed) throw new Error(`nothing was changed among the stanzas ${name}`);
      return elapsedMs;
    },
  };
}

async function onDisk(later: Later, size: number): Promise<Sample> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-interfaces-'));
  later(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'interfaces');
  await writeFile(path, fileWithBlock(size), 'latin1');
  const file = new InterfacesFile({ path, stateDir: folder, plan });
  const ports = portsOf(size);
  return {
    name: 'on the disk',
    async sample(round) {
      const wanted = withOneChanged(ports, round);
      const startedMs = performance.now();
      const { written } = await file.update(wanted, unrecorded, { cause: 'benchmark', user: 'root', uid: 0 });
      const elapsedMs = performance.now() - startedMs;
      if (!written) throw new Error(`${path} was not written: ${(await readFile(path)).length} bytes`);
      return elapsedMs;
    },
  };
}

function plan(text: string, ports: readonly ListedPort[]): ManagedBlockPlan {
  return planManagedBlock(text, ports, blockTag);
}

function portsOf(size: number): ListedPort[] {
  return vmidsFrom(firstVmid, size).map((vmid) => ({
    port: parsePortName(`vi${vmid}`),
    bridge: parseBridgeName(bridge),
    tag,
    trunks: [],
    vlanMode: null,
    owner: `CT ${vmid} net0 (${netdevOf(vmid)}) web${vmid}`,
  }));
}

/** The port in the middle has another VLAN in each round. */
function withOneChanged(ports: readonly ListedPort[], round: number): ListedPort[] {
  const changed = Math.floor(ports.length / 2);
  const [even, odd] = changedTags;
  return ports.map((port, index) => (index === changed ? { ...port, tag: round % 2 === 0 ? even : odd } : port));
}

const ownStanzasOfNode = [
  'auto lo\niface lo inet loopback\n',
  'iface eno1 inet manual\n\tovs_type OVSPort\n\tovs_bridge ovsbr0\n',
  `auto ${bridge}\niface ${bridge} inet static\n\taddress 192.0.2.1/24\n\tovs_type OVSBridge\n\tovs_ports eno1\n`,
].join('\n');

function fileWithBlock(size: number): string {
  return plan(ownStanzasOfNode, portsOf(size)).text;
}

/** Without markers and before everything else, sorted the other way: Proxmox VE drops the one and moves the other. */
function scatteredFile(size: number): string {
  const stanzas = fileWithBlock(size)
    .split('\n\n')
    .filter((part) => part.startsWith('iface vi'));
  return `${stanzas.reverse().join('\n\n')}\n\n${ownStanzasOfNode}`;
}

function foreignFile(size: number): string {
  const stanzas = vmidsFrom(0, size).map((index) => `iface eth${index} inet manual\n\tmtu 9000\n#uplink ${index}\n`);
  return [ownStanzasOfNode, ...stanzas].join('\n');
}

function gridOf(samples: readonly (readonly number[])[]): Grid {
  return {
    title: 'interfaces: growth',
    clock: 'end to end',
    unit: 'ms',
    header: ['', 'all', 'for each 1,000'],
    rows: sizes.map((size, index) => {
      const middle = median(samples[index] ?? []);
      return { label: `${size.toLocaleString('en')} stanzas`, figures: [middle, (middle / size) * 1000] };
    }),
  };
}

/** 1 is linear. */
function exponentOf(samples: readonly (readonly number[])[]): Information {
  const points = sizes.map((size, index) => [size, median(samples[index] ?? [])] as const);
  return informationOf('exponent of growth from 100 stanzas on', 'end to end', '', [growthExponent(points)]);
}
