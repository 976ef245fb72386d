import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { GuestKind, GuestNic } from '../../src/model/guest.ts';
import { nicIndex, parseNicName, parseVmid } from '../../src/model/names.ts';
import { parseGuestConfig } from '../../src/proxmox/guest-config.ts';
import type { GuestConfig } from '../../src/proxmox/guest-config.ts';

const vmid = parseVmid(100);
const read = (kind: GuestKind, text: string): GuestConfig => parseGuestConfig(kind, vmid, text);
const nicsOf = (kind: GuestKind, ...lines: string[]): readonly GuestNic[] => {
  const { guest, problems } = read(kind, lines.join('\n'));
  assert.deepEqual(problems, []);
  return guest.nics;
};

/** As `pct config` keeps them: sorted by key, a description on top, what is pending and a snapshot below. */
const container = `#Web server%3A see the wiki
#second line of the notes
arch: amd64
cores: 2
features: nesting=1
hookscript: local:snippets/ovs-port-agent
hostname: web01
memory: 512
mp0: local-lvm:vm-100-disk-1,mp=/srv,size=8G
net0: name=eth0,bridge=ovsbr0,firewall=1,gw=192.0.2.1,hwaddr=BC:24:11:00:01:00,ip=192.0.2.100/24,tag=10,type=veth
net10: name=eth10,bridge=vmbr9,hwaddr=BC:24:11:00:01:0A,ip=dhcp,type=veth
net1: name=eth1,bridge=ovsbr1,hwaddr=BC:24:11:00:01:01,link_down=1,trunks=20;30;40-42,type=veth
onboot: 1
ostype: debian
rootfs: local-lvm:vm-100-disk-0,size=8G
swap: 512
tags: web
lxc.cgroup2.devices.allow: c 10:200 rwm
lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file

[pve:pending]
delete: swap
net0: name=eth0,bridge=ovsbr0,tag=99,type=veth

[before-update]
hostname: old
net0: name=eth0,bridge=vmbr0,tag=5
snaptime: 1700000000
`;
const machine = `agent: 1
boot: order=scsi0;net0
cores: 4
memory: 4096
meta: creation-qemu=9.0.2,ctime=1700000000
name: db01
net0: virtio=BC:24:11:AA:BB:CC,bridge=ovsbr0,firewall=1,queues=4,tag=20,trunks=30;31
net1: e1000=bc:24:11:aa:bb:cd,bridge=ovsbr0,mtu=9000,rate=10
net2: virtio,bridge=ovsbr1
scsi0: local-lvm:vm-101-disk-0,iothread=1,size=32G
smbios1: uuid=00000000-0000-0000-0000-000000000000

[special:cloudinit]
net3: virtio,bridge=ovsbr1
`;

describe("a container's configuration", () => {
  const { guest, problems } = read('lxc', container);

  it('is read whole, without a complaint', () => {
    assert.deepEqual(problems, []);
    assert.deepEqual([guest.kind, guest.vmid, guest.name], ['lxc', 100, 'web01']);
  });

  it('gives its nics by number, with bridge, VLANs, firewall, link and MAC', () => {
    assert.deepEqual(guest.nics, [
      {
        nic: 'net0',
        bridge: 'ovsbr0',
        tag: 10,
        trunks: [],
        firewall: true,
        linkDown: false,
        mac: 'bc:24:11:00:01:00',
      },
      {
        nic: 'net1',
        bridge: 'ovsbr1',
        tag: null,
        trunks: [20, 30, 40, 41, 42],
        firewall: false,
        linkDown: true,
        mac: 'bc:24:11:00:01:01',
      },
      {
        nic: 'net10',
        bridge: 'vmbr9',
        tag: null,
        trunks: [],
        firewall: false,
        linkDown: false,
        mac: 'bc:24:11:00:01:0a',
      },
    ]);
  });

  it('says the same with CRLF, without a last newline, and with blanks at the ends of lines', () => {
    for (const text of [
      container.replaceAll('\n', '\r\n'),
      container.trimEnd(),
      container.replaceAll('\n', '  \t\n'),
      `\n\n${container}`,
    ]) {
      const again = read('lxc', text);
      assert.deepEqual([again.guest, again.problems], [guest, []]);
    }
  });
});

describe("a machine's configuration", () => {
  const { guest, problems } = read('qemu', machine);

  it('names the machine, and its MACs beside their models', () => {
    assert.deepEqual(problems, []);
    assert.deepEqual([guest.kind, guest.name], ['qemu', 'db01']);
    assert.deepEqual(
      guest.nics.map(({ nic, bridge, mac }) => [nic, bridge, mac]),
      [
        ['net0', 'ovsbr0', 'bc:24:11:aa:bb:cc'],
        ['net1', 'ovsbr0', 'bc:24:11:aa:bb:cd'],
        ['net2', 'ovsbr1', null],
      ],
    );
  });

  it('keeps tag and trunks together', () => {
    assert.deepEqual([guest.nics[0]?.tag, guest.nics[0]?.trunks], [20, [30, 31]]);
  });

  it("does not take a container's words for its own", () => {
    assert.equal(read('qemu', 'hostname: x\n').guest.name, '');
    assert.equal(read('lxc', 'name: x\n').guest.name, '');
  });
});

describe('a nic', () => {
  it('may have no bridge', () => {
    assert.equal(nicsOf('lxc', 'net0: name=eth0,type=veth')[0]?.bridge, null);
    assert.equal(nicsOf('qemu', 'net0: virtio=BC:24:11:AA:BB:CC')[0]?.bridge, null);
  });

  it('has trunks in order, each once, however they are written', () => {
    assert.deepEqual(nicsOf('lxc', 'net0: bridge=b,trunks=30;10;20-22;21;10')[0]?.trunks, [10, 20, 21, 22, 30]);
    assert.equal(nicsOf('lxc', 'net0: bridge=b,trunks=1-4094')[0]?.trunks.length, 4094);
  });

  it('has no MAC when it says something else', () => {
    assert.equal(nicsOf('lxc', 'net0: bridge=b,hwaddr=BC:24:11')[0]?.mac, null);
    assert.equal(nicsOf('lxc', 'net0: bridge=b,virtio=BC:24:11:AA:BB:CC')[0]?.mac, null);
  });

  for (const [line, said] of [
    ['net0: bridge=ovs br0', 'bridge name "ovs br0"'],
    ['net0: bridge=', 'bridge name ""'],
    ['net0: bridge=ovsbr0,tag=0', 'VLAN tag "0"'],
    ['net0: bridge=ovsbr0,tag=4095', 'VLAN tag "4095"'],
    ['net0: bridge=ovsbr0,tag=', 'VLAN tag ""'],
    ['net0: bridge=ovsbr0,tag=10;rm', 'VLAN tag "10;rm"'],
    ['net0: bridge=ovsbr0,trunks=', 'VLAN tag ""'],
    ['net0: bridge=ovsbr0,trunks=10;;20', 'VLAN tag ""'],
    ['net0: bridge=ovsbr0,trunks=20-10', 'trunks="20-10"'],
    ['net0: bridge=ovsbr0,trunks=1-2-3', 'trunks="1-2-3"'],
    ['net0: bridge=ovsbr0,trunks=1-9999999999', 'VLAN tag "9999999999"'],
    ['net0: bridge=ovsbr0,firewall=maybe', 'firewall="maybe"'],
    ['net0: bridge=ovsbr0,tag=10,tag=20', 'tag="20"'],
    ['net0: bridge=ovsbr0,link_down=2', 'link_down="2"'],
    ['net32: bridge=ovsbr0', 'nic "net32"'],
    ['net00: bridge=ovsbr0', 'nic "net00"'],
  ] as const) {
    it(`is passed over when it is ${line}, and the line is named`, () => {
      const { guest, problems } = read('lxc', `hostname: web\n${line}\nnet5: bridge=ovsbr1\n`);
      assert.deepEqual(
        guest.nics.map(({ nic }) => nic),
        ['net5'],
      );
      assert.equal(problems.length, 1);
      assert.ok(problems[0]!.startsWith('line 2: ') && problems[0]!.includes(said), problems[0]);
    });
  }
});

describe('garbage', () => {
  it('is named by line, quoted and short; what stands around it counts', () => {
    const { guest, problems } = read(
      'lxc',
      `hostname: web\n\x01\x02 garbage ${'x'.repeat(1000)}\nnet0: bridge=ovsbr0\n`,
    );
    assert.deepEqual([guest.name, guest.nics.length], ['web', 1]);
    assert.match(problems[0]!, /^line 2 is not "key: value": "\\u0001\\u0002 garbage x+\.\.\."$/);
  });

  it('that begins like a section, but is none, hides nothing', () => {
    const { guest, problems } = read('lxc', '[half\nnet0: bridge=ovsbr0\n[ ]\nnet1: bridge=ovsbr0\n[]\n');
    assert.deepEqual([guest.nics.length, problems.length], [2, 3]);
  });

  it('without end is one sentence more, not a million', () => {
    const { guest, problems } = read('lxc', `${'!\n'.repeat(400_000)}net0: bridge=ovsbr0\n`);
    assert.equal(guest.nics.length, 1);
    assert.equal(problems.length, 21);
    assert.equal(problems.at(-1), 'and 399980 more such lines');
  });

  const nicLines = fc.uniqueArray(
    fc.record(
      {
        index: fc.nat(31),
        bridge: fc.constantFrom('ovsbr0', 'ovsbr1', 'vmbr0'),
        tag: fc.option(fc.integer({ min: 1, max: 4094 })),
        firewall: fc.boolean(),
      },
      { noNullPrototype: true },
    ),
    { selector: ({ index }) => index, maxLength: 6 },
  );
  const garbage = fc
    .oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('net0', 'net0 bridge=x', ': x', 'net: bridge=a', '\0'),
    )
    .filter((text) => !/[\n]/.test(text) && !/^\[/.test(text) && !/^net\d/.test(text));

  it('of any kind leaves the nics around it as they are', () => {
    fc.assert(
      fc.property(
        nicLines,
        fc.array(garbage, { maxLength: 10 }),
        fc.infiniteStream(fc.nat()),
        (nics, noise, places) => {
          const lines = nics.map(
            ({ index, bridge, tag, firewall }) =>
              `net${index}: name=eth${index},bridge=${bridge}${tag === null ? '' : `,tag=${tag}`},firewall=${firewall ? 1 : 0}`,
          );
          for (const text of noise) lines.splice((places.next().value as number) % (lines.length + 1), 0, text);
          const { guest } = read('lxc', lines.join('\n'));
          assert.deepEqual(
            guest.nics.map(({ nic, bridge, tag, firewall }) => ({
              index: nicIndex(nic),
              bridge: String(bridge),
              tag,
              firewall,
            })),
            [...nics].sort((a, b) => a.index - b.index),
          );
        },
      ),
    );
  });

  it('alone is still a guest', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 200 }),
          fc
            .array(
              fc.constantFrom(
                'net0: ',
                'net1: bridge=',
                'tag=',
                ',',
                ';',
                '-',
                '\n',
                '\r',
                '[',
                ']',
                'a',
                '9',
                '=',
                '1',
                '\0',
                'net0:',
              ),
            )
            .map((parts) => parts.join('')),
        ),
        fc.constantFrom('lxc' as const, 'qemu' as const),
        (text, kind) => {
          const { guest, problems } = read(kind, text);
          for (const { nic, tag, trunks } of guest.nics) {
            assert.equal(parseNicName(nic), nic);
            for (const vlan of [...(tag === null ? [] : [tag]), ...trunks]) assert.ok(vlan >= 1 && vlan <= 4094);
          }
          for (const problem of problems) assert.ok(problem.length < 400 && !/\p{Cc}/u.test(problem), problem);
        },
      ),
      { numRuns: 500 },
    );
  });
});
