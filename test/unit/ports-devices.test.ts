import assert from 'node:assert/strict';
import type { Block } from '../../src/ledger/block.ts';
import { parseNetdevName, parsePortName } from '../../src/model/names.ts';
import type { NetdevName, PortName } from '../../src/model/names.ts';
import type { Link, Links, Recorder } from '../../src/ports/contracts.ts';
import { Devices } from '../../src/ports/devices.ts';
import { WriteAhead } from '../../src/ports/journal.ts';
import { settled } from '../support/fake-clock.ts';
import { openLedger } from '../support/ledger-fixtures.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { cause, linkOf } from '../support/ports-fixtures.ts';

/** Gives names to devices that were looked at a moment before. */
async function nameSeen(
  devices: Devices,
  names: ReadonlyMap<NetdevName, PortName>,
): ReturnType<Devices['addAltnames']> {
  const { moment } = devices;
  const links = await devices.observe([...names].flat());
  return devices.addAltnames(names, { links, moment }, cause);
}

const veth = parseNetdevName('veth100i0');
const vi100 = parsePortName('vi100');

type Mutation = 'addAltnames' | 'removeAltname' | 'rename' | 'giveBackNames' | 'joinBridges';

/** Devices whose changes do what `works` says, and note how many blocks there were when they were asked for. */
async function start(present: readonly Link[], works: (asked: readonly string[]) => readonly Link[] = () => []) {
  const ledger = await openLedger(new MemoryLedgerStore());
  const asked: [Mutation, number][] = [];
  const note =
    (what: Mutation) =>
    (names: ReadonlyMap<string, string> | readonly Link[] | string): Promise<ReadonlyMap<string, Link>> => {
      asked.push([what, ledger.blocks]);
      const keys = typeof names === 'string' ? [names] : [...names].map((one) => ('name' in one ? one.name : one[0]));
      return Promise.resolve(new Map(works(keys).map((link) => [link.name, link])));
    };
  const remove = note('removeAltname');
  const links: Links = {
    observe: (names) =>
      Promise.resolve(
        new Map(
          present
            .filter(({ name, altnames }) => [name, ...altnames].some((known) => names.includes(known)))
            .map((link) => [link.name, link]),
        ),
      ),
    observeAll: () => Promise.resolve(new Map(present.map((link) => [link.name, link]))),
    withAddress: () => Promise.resolve(new Set()),
    addAltnames: note('addAltnames'),
    removeAltname: async (netdev) => {
      await remove(netdev);
    },
    rename: note('rename'),
    giveBackNames: note('giveBackNames'),
    joinBridges: note('joinBridges'),
  };
  const gaps: string[] = [];
  const devicesOn = (recorder: Recorder): Devices =>
    new Devices({
      links,
      journal: new WriteAhead({
        recorder,
        host: 'pve1',
        settle: () => Promise.resolve(),
        onLedgerGap: ({ message }) => gaps.push(message),
      }),
    });
  const blocks = async (): Promise<Block[]> => ledger.query({ order: 'oldest' });
  return { devices: devicesOn(ledger), devicesOn, ledger, asked, gaps, blocks };
}

const saysOf = ({ action, data }: Block): unknown => [action, data['netdev'] ?? data['height'], data['before'], data['after']]; // prettier-ignore

describe('a change of a device', () => {
  it('is recorded before it is made, with what was and what is to be: an altname', async () => {
    const named = { ...linkOf('veth100i0'), altnames: ['x', 'vi100'] };
    const { devices, asked, blocks } = await start([{ ...linkOf('veth100i0'), altnames: ['x'] }], () => [named]);
    assert.deepEqual([...(await nameSeen(devices, new Map([[veth, vi100]]))).values()], [named]);
    assert.deepEqual(asked, [['addAltnames', 1]]);
    const [block] = await blocks();
    assert.deepEqual(block?.metadata, { ahead: 0, ...cause, host: 'pve1', plugin: 'ports' });
    assert.deepEqual(block.data, {
      vmid: 100,
      netdev: 'veth100i0',
      port: 'vi100',
      before: { altnames: ['x'] },
      after: { altnames: ['x', 'vi100'] },
    });
  });

  it('is recorded before it is made: an altname that goes, a new name, the old one again, a bridge', async () => {
    const renamed: Link = { ...linkOf('vi100'), originalName: 'veth7' };
    const { devices, asked, blocks } = await start(
      [{ ...linkOf('veth100i0'), altnames: ['vi100'] }, linkOf('veth7'), linkOf('fwbr100i0')],
      ([first]) => [first === 'veth7' ? renamed : first === 'vi100' ? linkOf('veth7') : linkOf('veth100i0', 'fwbr100i0')], // prettier-ignore
    );
    await devices.removeAltname('veth100i0', 'vi100', cause);
    await devices.giveBackNames([renamed, linkOf('never-renamed')], cause);
    await devices.joinBridges(new Map([[veth, parseNetdevName('fwbr100i0')]]), cause);
    assert.deepEqual(asked, [
      ['removeAltname', 1],
      ['giveBackNames', 2],
      ['joinBridges', 3],
    ]);
    assert.deepEqual((await blocks()).map(saysOf), [
      ['remove-altname', 'veth100i0', { altnames: ['vi100'] }, { altnames: [] }],
      ['rename', 'veth7', { name: 'vi100' }, { name: 'veth7' }],
      ['join-bridge', 'veth100i0', { master: null }, { master: 'fwbr100i0' }],
    ]);
    const other = await start([linkOf('veth7')], () => [renamed]);
    await other.devices.rename(new Map([['veth7', vi100]]), cause);
    assert.deepEqual((await other.blocks()).map(saysOf), [['rename', 'veth7', { name: 'veth7' }, { name: 'vi100' }]]);
  });

  it('that cannot work is not tried, and leaves no block', async () => {
    const { devices, asked, ledger } = await start([
      linkOf('veth100i0'),
      linkOf('vi100'),
      { ...linkOf('eth0'), altnames: ['vi101'] },
    ]);
    await nameSeen(
      devices,
      new Map([
        [veth, vi100],
        [parseNetdevName('veth101i0'), parsePortName('vi102')],
      ]),
    );
    await nameSeen(devices, new Map([[veth, parsePortName('vi101')]]));
    await devices.rename(new Map([['veth100i0', vi100], ['gone', parsePortName('vi9')]]), cause); // prettier-ignore
    await devices.removeAltname('veth100i0', 'vi100', cause);
    await devices.joinBridges(new Map([[veth, parseNetdevName('fwbr100i0')]]), cause);
    await devices.giveBackNames([linkOf('veth100i0')], cause);
    assert.deepEqual([asked, ledger.blocks], [[], 0]);
  });

  it('that another pass has just made is there', async () => {
    const named = { ...linkOf('veth100i0'), altnames: ['vi100'] };
    const { devices, asked } = await start([named]);
    assert.deepEqual([...(await nameSeen(devices, new Map([[veth, vi100]]))).keys()], ['veth100i0']);
    assert.deepEqual(asked, []);
  });

  it('that another pass makes at the same time is made once, and waited for', async () => {
    const named = { ...linkOf('veth100i0'), altnames: ['vi100'] };
    const present = [linkOf('veth100i0')];
    const { devices, asked, ledger } = await start(present, () => {
      present.splice(0, 1, named);
      return [named];
    });
    const seen = { moment: devices.moment, links: await devices.observe([veth]) };
    const both = [1, 2].map(() => devices.addAltnames(new Map([[veth, vi100]]), seen, cause));
    for (const found of await Promise.all(both)) assert.deepEqual([...found.values()], [named]);
    // What was seen before it is not believed after it either.
    assert.deepEqual([...(await devices.addAltnames(new Map([[veth, vi100]]), seen, cause)).values()], [named]);
    assert.deepEqual([asked, ledger.blocks], [[['addAltnames', 1]], 1]);
  });

  it('that was refused is not tried again as long as another device has the name', async () => {
    const named = { ...linkOf('veth100i0'), altnames: ['vi100'] };
    const present = [linkOf('veth100i0'), { ...linkOf('eth0'), altnames: ['vi100'] }];
    const { devices, asked, blocks } = await start(present, () => (present.length > 1 ? [] : [named]));
    const attempt = async (): Promise<string[]> => {
      const seen = { moment: devices.moment, links: await devices.observe([veth]) };
      return [...(await devices.addAltnames(new Map([[veth, vi100]]), seen, cause)).keys()];
    };
    assert.deepEqual([await attempt(), await attempt(), await attempt()], [[], [], []]);
    assert.deepEqual((await blocks()).map(({ action }) => action), ['add-altname', 'abandoned']); // prettier-ignore
    present.pop();
    assert.deepEqual(await attempt(), ['veth100i0']);
    assert.equal(asked.length, 2);
  });

  it('that a kill left half way is finished', async () => {
    const half: Link = { ...linkOf('vi100'), originalName: 'veth7' };
    const { devices, asked } = await start([half], () => [half]);
    await devices.rename(new Map([['veth7', vi100]]), cause);
    assert.deepEqual(asked, [['rename', 1]]);
  });

  it('that did not come about gets a block that says so, its neighbours none', async () => {
    const named = { ...linkOf('veth101i0'), altnames: ['vi101'] };
    const { devices, blocks } = await start([linkOf('veth100i0'), linkOf('veth101i0')], () => [named]);
    const found = await nameSeen(
      devices,
      new Map([
        [veth, vi100],
        [parseNetdevName('veth101i0'), parsePortName('vi101')],
      ]),
    );
    assert.deepEqual([...found.keys()], ['veth101i0']);
    const [, , abandoned, ...rest] = await blocks();
    assert.deepEqual([abandoned?.action, abandoned?.data['height'], rest.length], ['abandoned', 0, 0]);
  });

  it('is made although the ledger takes no block, and counted', async () => {
    const { devicesOn, ledger, asked, gaps } = await start([linkOf('veth100i0')]);
    await ledger.close();
    await nameSeen(devicesOn(ledger), new Map([[veth, vi100]]));
    await settled();
    assert.deepEqual(asked, [['addAltnames', 0]]);
    assert.equal(gaps.length, 1);
  });

  it('of an earlier run is looked for by what its block says', async () => {
    const { devices } = await start([{ ...linkOf('veth7', 'br0'), altnames: ['b', 'a'] }]);
    const blocks = [
      { altnames: ['a', 'b'] },
      { altnames: ['a'] },
      { master: 'br0' },
      { master: 'br1' },
      { name: 'veth7' },
      { name: 'vi7' },
      { other: 1 },
      null,
    ].map((after, height): Block => {
      const data = { netdev: 'veth7', after };
      return { height, prev_hash: '', timestamp: '', category: 'interface', action: 'x', metadata: {}, data, hash: '' };
    });
    const abandoned: number[] = [];
    const recorder: Pick<Recorder, 'inDoubt' | 'abandon'> = {
      inDoubt: () => [...blocks, { ...blocks[5]!, category: 'port' }],
      abandon: (block) => {
        abandoned.push(block.height);
        return Promise.resolve(block);
      },
    };
    await devices.settleInDoubt(recorder);
    await devices.settleInDoubt(recorder);
    assert.deepEqual(abandoned, [1, 3, 5]);
  });
});
