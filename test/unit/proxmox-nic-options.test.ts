import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseNicOptions, readBoolean } from '../../src/proxmox/nic-options.ts';
import { deleteProperty, parseProperties, setProperty } from '../../src/proxmox/property-string.ts';
import { refusedWith } from '../support/refused.ts';

describe("a container's nic", () => {
  it('has every option that Proxmox VE 9 knows', () => {
    assert.deepEqual(
      parseNicOptions(
        'lxc',
        'name=eth0,bridge=ovsbr0,firewall=1,gw=192.0.2.1,gw6=2001:db8::1,host-managed=1,hwaddr=BC:24:11:00:01:00,ip=192.0.2.2/24,ip6=auto,link_down=1,mtu=9000,rate=12.5,tag=10,trunks=20;30,type=veth',
      ),
      {
        bridge: 'ovsbr0',
        tag: 10,
        trunks: [20, 30],
        firewall: true,
        linkDown: true,
        mac: 'bc:24:11:00:01:00',
        model: null,
        name: 'eth0',
        mtu: 9000,
        rate: 12.5,
        queues: null,
        ip: '192.0.2.2/24',
        gw: '192.0.2.1',
        ip6: 'auto',
        gw6: '2001:db8::1',
        hostManaged: true,
        unknown: [],
      },
    );
  });

  it('keeps what a later version may add by name', () => {
    const { bridge, unknown } = parseNicOptions('lxc', 'name=eth0,bridge=ovsbr0,vlan-mode=access,queues=4,bare');
    assert.deepEqual([bridge, unknown], ['ovsbr0', ['vlan-mode', 'queues', 'bare']]);
  });
});

describe("a machine's nic", () => {
  for (const [text, model, mac] of [
    ['virtio=BC:24:11:AA:BB:CC,bridge=ovsbr0', 'virtio', 'bc:24:11:aa:bb:cc'],
    ['e1000-82545em=bc:24:11:aa:bb:cc,bridge=ovsbr0', 'e1000-82545em', 'bc:24:11:aa:bb:cc'],
    ['bridge=ovsbr0,future9=BC:24:11:AA:BB:CC', 'future9', 'bc:24:11:aa:bb:cc'],
    ['virtio,bridge=ovsbr0', 'virtio', null],
    ['virtio,macaddr=BC:24:11:AA:BB:CC,bridge=ovsbr0', 'virtio', 'bc:24:11:aa:bb:cc'],
    ['model=virtio,macaddr=BC:24:11:AA:BB:CC,bridge=ovsbr0', 'virtio', 'bc:24:11:aa:bb:cc'],
    ['bridge=ovsbr0', null, null],
  ] as const) {
    it(`has model ${String(model)} and MAC ${String(mac)} when it is ${text}`, () => {
      const options = parseNicOptions('qemu', text);
      assert.deepEqual([options.model, options.mac, options.unknown], [model, mac, []]);
    });
  }

  it('has queues, mtu and rate', () => {
    const { queues, mtu, rate } = parseNicOptions('qemu', 'virtio,bridge=b,queues=4,mtu=1,rate=0.5');
    assert.deepEqual([queues, mtu, rate], [4, 1, 0.5]);
  });

  it('has one model', () => {
    assert.throws(
      () => parseNicOptions('qemu', 'virtio=BC:24:11:AA:BB:CC,e1000=BC:24:11:AA:BB:CD,bridge=b'),
      refusedWith('InvalidArgument', 'e1000="BC:24:11:AA:BB:CD"', 'model already'),
    );
  });
});

describe('an option', () => {
  it('that is given twice makes the nic one that Proxmox VE does not plug either', () => {
    assert.throws(() => parseNicOptions('lxc', 'bridge=a,bridge=b'), refusedWith('InvalidArgument', 'given twice'));
  });

  it('that only a guest reads does not cost the port', () => {
    const { bridge, mtu, rate, queues } = parseNicOptions('qemu', 'virtio,bridge=b,mtu=huge,rate=-1,queues=');
    assert.deepEqual([bridge, mtu, rate, queues], ['b', null, null, null]);
  });

  it('is true or false in the words of Proxmox VE', () => {
    for (const word of ['1', 'on', 'yes', 'TRUE']) assert.equal(readBoolean(word), true);
    for (const word of ['0', 'off', 'No', 'false']) assert.equal(readBoolean(word), false);
    for (const word of ['', '2', 'y', ' 1', '1\n']) assert.equal(readBoolean(word), null);
  });

  const text = fc
    .array(fc.constantFrom('bridge=', 'tag=10', 'tag', 'virtio', ',', '=', ' ', 'a=b', 'BC:24:11:AA:BB:CC', '\0'))
    .map((parts) => parts.join(''));
  const refusals = (run: () => unknown): void => {
    try {
      run();
    } catch (error) {
      refusedWith('InvalidArgument', 'is not valid')(error);
    }
  };

  it('of any shape is read or refused, never anything else', () => {
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'binary' })), fc.constantFrom('lxc', 'qemu'), (value, kind) => {
        refusals(() => parseNicOptions(kind, value));
      }),
      { numRuns: 500 },
    );
  });

  it('that is set reads back, and every other part keeps place and spelling', () => {
    fc.assert(
      fc.property(text, fc.constantFrom('tag', 'rate', 'host-managed'), (value, key) => {
        const others = (list: string): string[] => list.split(',').filter((part) => !part.startsWith(`${key}=`));
        const changed = setProperty(value, key, '42');
        assert.equal(parseProperties(changed).find((property) => property.key === key)?.value, '42');
        assert.deepEqual(others(changed), value.trim() === '' ? [] : others(value));
        assert.deepEqual(deleteProperty(changed, key), others(changed).join(','));
      }),
    );
  });

  it('is refused when it would become another', () => {
    for (const [key, value] of [
      ['tag', '1,firewall=0'],
      ['tag', ''],
      ['a b', '1'],
      ['', '1'],
      ['tag', '1\n'],
    ] as const)
      assert.throws(() => setProperty('virtio', key, value), refusedWith('InvalidArgument'));
  });
});
