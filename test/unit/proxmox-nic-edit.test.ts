import assert from 'node:assert/strict';
import fc from 'fast-check';
import { editNic, parseNicEdit } from '../../src/proxmox/nic-edit.ts';
import type { NicWishes } from '../../src/proxmox/nic-edit.ts';
import { parseNicOptions } from '../../src/proxmox/nic-options.ts';
import { parseProperties } from '../../src/proxmox/property-string.ts';
import { refusedWith } from '../support/refused.ts';

const edited = (text: string, wishes: NicWishes): string => editNic('lxc', text, parseNicEdit(wishes));

describe("a change of a nic's options", () => {
  for (const [what, text, wishes, after] of [
    ['replaces in place', 'a=1,tag=10,bridge=b', { tag: '20' }, 'a=1,tag=20,bridge=b'],
    ['adds at the end', 'bridge=b', { tag: '20', mtu: '1400' }, 'bridge=b,tag=20,mtu=1400'],
    ['takes away', 'bridge=b,tag=10,mtu=9000,x=y', { tag: 'none', mtu: 'none' }, 'bridge=b,x=y'],
    ['takes commas for trunks', 'bridge=b', { trunks: '10,20,30-32' }, 'bridge=b,trunks=10;20;30-32'],
    ['sets flags', 'bridge=b,firewall=0', { firewall: true, linkDown: true }, 'bridge=b,firewall=1,link_down=1'],
    ['clears flags where they stand', 'firewall=1,bridge=b', { firewall: false }, 'firewall=0,bridge=b'],
    ['repairs what Proxmox VE could not plug', 'bridge=b,tag=9999', { tag: '10' }, 'bridge=b,tag=10'],
  ] as const) {
    it(what, () => {
      assert.equal(edited(text, wishes), after);
    });
  }

  for (const [text, wishes] of [
    ['bridge=b,firewall=on', { firewall: true }],
    ['bridge=b', { firewall: false, linkDown: false, tag: 'none', trunks: 'none', mtu: 'none' }],
    ['bridge=b,trunks=30;10-12', { trunks: '10;11;12,30' }],
  ] as const) {
    it(`leaves ${text} as it is when it says that already`, () => {
      assert.equal(edited(text, wishes), text);
    });
  }

  it('refuses what Proxmox VE could not plug', () => {
    const bad: readonly NicWishes[] = [
      { bridge: '' },
      { bridge: 'b,tag=1' },
      { bridge: 'a/b' },
      { tag: '0' },
      { tag: '4095' },
      { tag: '1,firewall=1' },
      { trunks: '' },
      { trunks: '10;' },
      { trunks: '20-10' },
      { mtu: '0' },
      { mtu: '65536' },
      { mtu: '1e3' },
      {},
    ];
    for (const wishes of bad)
      assert.throws(() => parseNicEdit(wishes), refusedWith('InvalidArgument'), JSON.stringify(wishes));
    for (const text of ['bridge=b,bridge=c', 'bridge=b,firewall=maybe', 'bridge=b,x=\u00e9'])
      assert.throws(() => edited(text, { tag: '10' }), refusedWith('InvalidArgument'), text);
  });

  const wishes = fc.record(
    {
      bridge: fc.constantFrom('ovsbr0', 'vmbr9', 'vnet1'),
      tag: fc.oneof(fc.constant('none'), fc.integer({ min: 1, max: 4094 }).map(String)),
      trunks: fc.oneof(
        fc.constant('none'),
        fc.array(fc.integer({ min: 1, max: 4094 }), { minLength: 1, maxLength: 5 }).map((tags) => tags.join()),
      ),
      firewall: fc.boolean(),
      linkDown: fc.boolean(),
      mtu: fc.oneof(fc.constant('none'), fc.integer({ min: 1, max: 65_535 }).map(String)),
    },
    { requiredKeys: [] },
  );
  const part = fc.oneof(
    fc.constantFrom(
      'bridge=old',
      'tag=10',
      'trunks=1;2',
      'firewall=1',
      'link_down=no',
      'mtu=1500',
      'hwaddr=x',
      '',
      ' ',
    ),
    fc.string({ unit: fc.constantFrom('a', 'b', 'z', '0', '1', '9', '=', ';', ':', '.', ' ', '-') }),
  );

  it('changes nothing but what it names, whatever the text, and nothing the second time', () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), wishes, (parts, wished) => {
        fc.pre(Object.keys(wished).length > 0);
        const text = parts.join(',');
        const edit = parseNicEdit(wished);
        let after;
        try {
          after = editNic('lxc', text, edit);
        } catch {
          // A key that stands twice, or a value that Proxmox VE would not take either.
          return;
        }
        const others = (of: string): unknown[] =>
          parseProperties(of).filter(({ key }) => key === null || !edit.has(key));
        assert.deepEqual(others(after), others(text));
        assert.equal(editNic('lxc', after, edit), after);
        if (after === text) return;
        const { bridge, tag, firewall, linkDown } = parseNicOptions('lxc', after);
        if (wished.bridge !== undefined) assert.equal(bridge, wished.bridge);
        if (wished.tag !== undefined) assert.equal(tag, wished.tag === 'none' ? null : Number(wished.tag));
        if (wished.firewall !== undefined) assert.equal(firewall, wished.firewall);
        if (wished.linkDown !== undefined) assert.equal(linkDown, wished.linkDown);
      }),
    );
  });
});
