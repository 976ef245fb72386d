import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import fc from 'fast-check';
import { parseLinks } from '../../src/platform/link-info.ts';
import { LinkMonitor, parseMonitorLine } from '../../src/platform/link-monitor.ts';
import { Links } from '../../src/platform/links.ts';
import { refusedWith } from '../support/refused.ts';
import { waitFor } from '../support/wait-for.ts';

describe('an answer of `ip -json link show`', () => {
  const plain = { master: null, altnames: [], mtu: 1500, originalName: null, peerElsewhere: false, hasAddress: false };

  it('tells name, master, altnames and mtu of each device, and where its other end is', () => {
    assert.deepEqual(
      parseLinks(
        '[{"ifindex":1,"ifname":"lo","flags":["UP"],"mtu":65536},' +
          '{"ifname":"veth100i0","master":"ovs-system","altnames":["vi100","x"],"mtu":1500,"link_netnsid":0}]',
      ),
      [
        { ...plain, name: 'lo', mtu: 65_536 },
        { ...plain, name: 'veth100i0', master: 'ovs-system', altnames: ['vi100', 'x'], peerElsewhere: true },
      ],
    );
  });

  it('tells whether a device has an address that others can reach', () => {
    for (const [addresses, hasAddress] of [
      [[], false],
      [[{ scope: 'link' }], false],
      [[{ scope: 'link' }, { scope: 'global' }], true],
      [[{}], true],
    ] as const) {
      const json = JSON.stringify([{ ifname: 'veth0', mtu: 1500, addr_info: addresses }]);
      assert.deepEqual(parseLinks(json), [{ ...plain, name: 'veth0', hasAddress }], json);
    }
  });

  it('tells nothing when it is something else', () => {
    assert.deepEqual(parseLinks('[{}, null, {"ifname": 5}]'), []);
    assert.deepEqual(parseLinks('{}'), []);
  });
});

describe('a line of `ip -oneline monitor link`', () => {
  for (const [line, name] of [
    ['7: veth100i0@if6: <BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state UP', 'veth100i0'],
    ['7: dummy0: <BROADCAST,NOARP> mtu 1500', 'dummy0'],
    ['Deleted 7: veth100i0@NONE: <BROADCAST,MULTICAST> mtu 1500', 'veth100i0'],
    ['3: eth0.100@eth0: <BROADCAST>', 'eth0.100'],
    ['    link/ether 00:00:00:00:00:00', null],
    ['', null],
    ['nsid 0 (iproute2 netns name: x)', null],
  ] as const) {
    it(`names ${String(name)} in ${JSON.stringify(line)}`, () => {
      assert.equal(parseMonitorLine(line), name);
    });
  }

  it('names a device or nothing, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.ok(parseMonitorLine(text) !== '');
        assert.equal(parseMonitorLine(`7: ${text}`)?.includes(' ') ?? false, false);
      }),
    );
  });
});

/** Everything below asks the kernel, by the real `ip`, in a network namespace of its own. Needs root. */
describe('network devices', () => {
  const namespace = `opa-links-${process.pid}`;
  const path = process.env['PATH'];
  let folder: string;
  let links: Links;
  const ip = (...args: string[]): Promise<unknown> => execa('/usr/sbin/ip', ['-n', namespace, ...args]);

  /** Whatever the kernel was built without, it has veth pairs. */
  const add = (name: string): Promise<unknown> => ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `p_${name}`);

  before(async () => {
    await execa('ip', ['netns', 'add', namespace]);
    // The one program under test, told to look into that namespace.
    folder = mkdtempSync(join(tmpdir(), 'opa-links-'));
    writeFileSync(join(folder, 'ip'), `#!/bin/sh\nexec /usr/sbin/ip -n ${namespace} "$@"\n`);
    chmodSync(join(folder, 'ip'), 0o755);
    process.env['PATH'] = `${folder}:${path ?? ''}`;
  });
  after(async () => {
    process.env['PATH'] = path;
    await execa('ip', ['netns', 'delete', namespace]);
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    links = new Links();
  });
  afterEach(async () => {
    links.close();
    for (const { ifname } of JSON.parse(
      (await execa('/usr/sbin/ip', ['-n', namespace, '-json', 'link', 'show'])).stdout,
    ) as { ifname: string }[]) {
      if (ifname !== 'lo') await execa('/usr/sbin/ip', ['-n', namespace, 'link', 'delete', ifname], { reject: false });
    }
    for (const pid of children()) process.kill(pid, 'SIGKILL');
  });

  /** Processes of `ip` that this process started for the namespace. */
  function children(): number[] {
    return readdirSync(`/proc/${process.pid}/task`)
      .flatMap((task) => readFileSync(`/proc/${process.pid}/task/${task}/children`, 'utf8').trim().split(' '))
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(namespace);
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  it('are asked for again when `ip` dies in the middle of an answer, which nobody takes for a missing device', async () => {
    await add('dummy0');
    const real = readFileSync(join(folder, 'ip'), 'utf8');
    const said = join(folder, 'said');
    writeFileSync(
      join(folder, 'ip'),
      `#!/bin/sh\n[ -e ${said} ] && exec /usr/sbin/ip -n ${namespace} "$@"\n` +
        `: >${said}; read -r _; printf '[{"ifname":"dummy0","mtu":15'; exit 1\n`,
    );
    try {
      assert.deepEqual([...(await links.observe(['dummy0'])).keys()], ['dummy0']);
    } finally {
      writeFileSync(join(folder, 'ip'), real);
    }
  });

  it('are told by name; those that do not exist are missing', async () => {
    await add('dummy0');
    assert.deepEqual(
      await links.observe(['dummy0', 'dummy1', 'dummy0']),
      new Map([
        [
          'dummy0',
          {
            name: 'dummy0',
            master: null,
            altnames: [],
            mtu: 1500,
            originalName: null,
            peerElsewhere: false,
            hasAddress: false,
          },
        ],
      ]),
    );
    assert.deepEqual(await links.observe(['dummy1']), new Map());
    assert.deepEqual(await links.observe([]), new Map());
  });

  it('are told all together', async () => {
    await ip('link', 'add', 'br0', 'type', 'bridge');
    await ip('link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
    await ip('link', 'set', 'veth0', 'master', 'br0');
    const all = await links.observeAll();
    assert.deepEqual([...all.keys()].sort(), ['br0', 'lo', 'veth0', 'veth1']);
    assert.equal(all.get('veth0')?.master, 'br0');
  });

  it('never take a name from outside for words of a command', async () => {
    await add('dummy0');
    for (const name of [
      'dummy0\nlink del dev dummy0',
      'dummy0 ; x',
      'lo',
      '',
      '-',
      '--help',
      'x'.repeat(16),
      'dummy0\0',
    ]) {
      assert.deepEqual(await links.observe([name]), new Map(), JSON.stringify(name));
    }
    assert.equal((await links.observe(['dummy0'])).size, 1);
  });

  it('get altnames, which are read back; asking again changes nothing', async () => {
    await add('dummy0');
    for (let time = 0; time < 2; time++) {
      const named = await links.addAltnames(
        new Map([
          ['dummy0', 'vi100'],
          ['dummy9', 'vi109'],
        ]),
      );
      assert.deepEqual(
        [...named].map(([name, { altnames }]) => [name, altnames]),
        [['dummy0', ['vi100']]],
      );
    }
    assert.deepEqual([...(await links.observe(['vi100'])).keys()], ['dummy0'], 'the kernel finds it by that name');
  });

  it('do not get a name that another device has', async () => {
    for (const name of ['dummy0', 'dummy1', 'vi101']) await add(name);
    await links.addAltnames(new Map([['dummy0', 'vi100']]));
    assert.deepEqual([...(await links.addAltnames(new Map([['dummy1', 'vi100']]))).keys()], []);
    assert.deepEqual([...(await links.addAltnames(new Map([['dummy1', 'vi101']]))).keys()], []);
    assert.deepEqual((await links.observe(['dummy1'])).get('dummy1')?.altnames, []);
  });

  it('lose an altname, and losing it again does no harm', async () => {
    await add('dummy0');
    await links.addAltnames(new Map([['dummy0', 'vi100']]));
    for (let time = 0; time < 2; time++) await links.removeAltname('dummy0', 'vi100');
    await links.removeAltname('dummy9', 'vi100');
    assert.deepEqual((await links.observe(['dummy0'])).get('dummy0')?.altnames, []);
  });

  it('join their bridges; those that cannot are missing from the answer', async () => {
    await ip('link', 'add', 'fwbr100i0', 'type', 'bridge');
    await add('dummy0');
    const joined = await links.joinBridges(
      new Map([
        ['dummy0', 'fwbr100i0'],
        ['dummy9', 'fwbr100i0'],
      ]),
    );
    assert.deepEqual(
      [...joined].map(([name, { master }]) => [name, master]),
      [['dummy0', 'fwbr100i0']],
    );
  });

  it('join their bridges beside some whose bridge does not exist', async () => {
    await ip('link', 'add', 'fwbr101i0', 'type', 'bridge');
    for (const name of ['dummy0', 'dummy1']) await add(name);
    const joined = await links.joinBridges(
      new Map([
        ['dummy0', 'fwbr100i0'],
        ['dummy1', 'fwbr101i0'],
      ]),
    );
    assert.deepEqual([...joined.keys()], ['dummy1']);
    assert.deepEqual(await links.joinBridges(new Map([['dummy0', 'fwbr100i0']])), new Map());
    assert.equal((await links.observe(['dummy0'])).size, 1, 'and others can still be asked for');
  });

  it('tell who has an address, which is asked for apart', async () => {
    for (const name of ['dummy0', 'dummy1']) await add(name);
    await ip('address', 'add', '192.0.2.1/24', 'dev', 'dummy0');
    assert.deepEqual(await links.withAddress(['dummy0', 'dummy1', 'dummy9']), new Set(['dummy0']));
    assert.deepEqual(await links.withAddress([]), new Set());
  });

  it('may come and go between and during questions', async () => {
    for (let round = 0; round < 10; round++) {
      await add('dummy0');
      assert.equal((await links.addAltnames(new Map([['dummy0', 'vi100']]))).size, 1, `round ${round}`);
      const asked = links.observe(['dummy0', 'lo', 'dummy1']);
      await ip('link', 'delete', 'dummy0');
      await asked;
      assert.deepEqual(await links.observe(['dummy0']), new Map());
    }
  });

  it('are told when another one came by the same name, with its own properties', async () => {
    for (const mtu of [1400, 1500, 1600]) {
      await add('dummy0');
      await ip('link', 'set', 'dummy0', 'mtu', String(mtu));
      const found = await Promise.all([links.observe(['dummy0']), links.observe(['dummy0', 'dummy1'])]);
      assert.deepEqual(
        found.map((devices) => devices.get('dummy0')?.mtu),
        [mtu, mtu],
      );
      await ip('link', 'delete', 'dummy0');
    }
  });

  it('are told to many who ask at once, each what he asked', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `dummy${index}`);
    for (const name of names.slice(0, 20)) await add(name);
    const answers = await Promise.all(names.map((name) => links.observe([name])));
    assert.deepEqual(
      answers.map((answer) => [...answer.keys()]),
      names.map((name, index) => (index < 20 ? [name] : [])),
    );
    assert.equal(children().length, 1, 'one child for all of them');
  });

  it('are told to those who ask together with somebody whose question no child survives', async () => {
    await add('dummy0');
    const real = readFileSync(join(folder, 'ip'), 'utf8');
    writeFileSync(
      join(folder, 'ip'),
      '#!/bin/sh\nwhile read -r line; do case $line in *deadly*) exit 1 ;; esac\n' +
        `printf '%s\\n' "$line" | /usr/sbin/ip -n ${namespace} -json -force -batch -; done\n`,
    );
    try {
      // The first keeps the child busy, so that the others become one batch.
      const first = links.observe(['dummy0']);
      const [deadly, other] = await Promise.allSettled([links.observe(['deadly']), links.observe(['dummy0'])]);
      assert.deepEqual([...(await first).keys()], ['dummy0']);
      assert.ok(deadly.status === 'rejected' && refusedWith('Unavailable', 'ip ended')(deadly.reason));
      assert.deepEqual(other.status === 'fulfilled' ? [...other.value.keys()] : [], ['dummy0']);
    } finally {
      writeFileSync(join(folder, 'ip'), real);
    }
  });

  it('are told to all of many who ask at once, whenever the child is killed meanwhile', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `dummy${index}`);
    for (const name of names.slice(0, 20)) await add(name);
    await links.observe(['lo1']);
    for (const answersBeforeTheEnd of [0, 1, 15]) {
      let answered = 0;
      const answers = names.map(async (name) => {
        const answer = await links.observe([name]);
        answered++;
        return [...answer.keys()];
      });
      await waitFor('some answers', () => answered >= answersBeforeTheEnd);
      for (const pid of children()) process.kill(pid, 'SIGKILL');
      assert.deepEqual(
        await Promise.all(answers),
        names.map((name, index) => (index < 20 ? [name] : [])),
        `killed after ${answersBeforeTheEnd}`,
      );
    }
  });

  it('are told by a fresh child when the first was killed', async () => {
    await links.observe(['lo1']);
    const [pid] = children();
    process.kill(pid!, 'SIGKILL');
    await waitFor('the end of the child', () => !children().includes(pid!));
    assert.deepEqual(await links.observe(['lo1']), new Map());
    assert.equal(children().length, 1);
  });

  it('are not told after close, and no child is left', async () => {
    await links.observe(['lo1']);
    assert.equal(children().length, 1);
    links.close();
    await assert.rejects(links.observe(['lo1']), refusedWith('Unavailable'));
    await waitFor('the end of the child', () => children().length === 0, 2000);
  });

  describe('watched', () => {
    let seen: Set<string>;
    let monitor: LinkMonitor;

    beforeEach(async () => {
      seen = new Set();
      monitor = new LinkMonitor((names) => {
        for (const name of names) seen.add(name);
      });
      monitor.start();
      await waitFor('the monitor', async () => {
        await add('probe0');
        await ip('link', 'delete', 'probe0');
        return seen.has('probe0');
      });
      seen.clear();
    });
    afterEach(() => {
      monitor.close();
    });

    it('are named when they come and go', async () => {
      await ip('link', 'add', 'veth100i0', 'type', 'veth', 'peer', 'name', 'p0');
      await waitFor('both', () => seen.has('veth100i0') && seen.has('p0'));
      seen.clear();
      await ip('link', 'delete', 'veth100i0');
      await waitFor('both again', () => seen.has('veth100i0') && seen.has('p0'));
    });

    it('are named again after the monitor died', async () => {
      for (const pid of children()) process.kill(pid, 'SIGKILL');
      await waitFor('a device', async () => {
        await add('dummy7');
        await ip('link', 'delete', 'dummy7');
        return seen.has('dummy7');
      });
    });

    it('are not watched any more after close', async () => {
      monitor.close();
      await waitFor('the end of the child', () => children().length === 0, 2000);
    });
  });
});
