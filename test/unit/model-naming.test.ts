import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import {
  netdevNameBytesMax,
  nicNameOf,
  parseContainerName,
  parseNetdevName,
  parsePortName,
  parseVmid,
} from '../../src/model/names.ts';
import { comparePortNames, guestPortName, parseGuestPortName, templatePortName } from '../../src/model/naming.ts';

const vmids = fc.integer({ min: 100, max: 999_999_999 });

describe("a guest's port name", () => {
  for (const [vmid, index, name] of [
    [100, 0, 'vi100'],
    [100, 1, 'vi100i1'],
    [999_999_999, 0, 'vi999999999'],
    [999_999_999, 31, 'vi999999999i31'],
  ] as const) {
    it(`of ${vmid} net${index} is ${name}`, () => {
      assert.equal(guestPortName(parseVmid(vmid), nicNameOf(index)), name);
    });
  }

  it('fits in an altname and is taken apart again, for every vmid and nic', () => {
    fc.assert(
      fc.property(vmids, fc.nat(31), (vmid, index) => {
        const name = guestPortName(parseVmid(vmid), nicNameOf(index));
        assert.equal(parsePortName(name), name);
        assert.deepEqual(parseGuestPortName(name), { vmid, index });
      }),
    );
  });

  for (const other of [
    'vi100i0',
    'vi99',
    'vi0100',
    'vi100i32',
    'vi100i01',
    'vi_100',
    'vi',
    'VI100',
    'vi100 ',
    'xvi100',
  ]) {
    it(`is never ${JSON.stringify(other)}`, () => {
      assert.equal(parseGuestPortName(other), null);
    });
  }
});

describe('the name of a device without a vmid', () => {
  const name = (template: string, container: string, index = 0, vmid?: number): string =>
    templatePortName(template, {
      container: parseContainerName(container),
      index,
      ...(vmid === undefined ? {} : { vmid: parseVmid(vmid) }),
    });

  for (const [template, container, expected] of [
    ['vi_{container}', 'web', 'vi_web'],
    ['vi_{container}', 'Web-01.lan', 'vi_web_01_lan'],
    // 15 bytes stay as they are, 16 are shortened.
    ['vi_{container}', 'twelve_bytes', 'vi_twelve_bytes'],
    ['vi_{container}', 'thirteen_byte', `vi_thirte_${sha('vi_thirteen_byte')}`],
    // The hash is that of the whole name, worked out elsewhere: printf vi_a_very_long_container_name | sha256sum
    ['vi_{container}', 'a-very-long-container-name', 'vi_a_very_79e1e'],
    ['{container}{index}', 'db', 'db0'],
    ['p{vmid}_{index}', 'db', 'p_0'],
    ['{container}{container}', 'ab', 'abab'],
  ] as const) {
    it(`from ${template} for ${container} is ${expected}`, () => {
      assert.equal(name(template, container), expected);
    });
  }

  it('holds the vmid when there is one', () => {
    assert.equal(name('p{vmid}_{index}', 'db', 2, 107), 'p107_2');
  });

  it('keeps long names apart that begin alike', () => {
    const one = name('vi_{container}', 'netmaker-node-one');
    const two = name('vi_{container}', 'netmaker-node-two');
    assert.notEqual(one, two);
    assert.equal(one.slice(0, 10), two.slice(0, 10));
  });

  it('is a valid, lower-case port name of at most 15 bytes, always the same', () => {
    const containers = fc.stringMatching(/^[A-Za-z0-9._-]{1,63}$/);
    fc.assert(
      fc.property(containers, fc.nat(31), (container, index) => {
        const made = name('vi_{container}', container, index);
        assert.equal(parseNetdevName(made), made);
        assert.match(made, /^[a-z0-9_]+$/);
        assert.ok(made.length <= netdevNameBytesMax);
        assert.equal(name('vi_{container}', container, index), made);
      }),
    );
  });
});

describe('the order of ports', () => {
  it('is by vmid, then nic, then the others by name', () => {
    const sorted = ['vi100', 'vi100i1', 'vi100i2', 'vi100i10', 'vi101', 'vi1000', 'a', 'eth0', 'vi_web'];
    const shuffled = [...sorted].sort((a, b) => (sha(a) < sha(b) ? -1 : 1));
    assert.notDeepEqual(shuffled, sorted);
    assert.deepEqual(shuffled.sort(comparePortNames), sorted);
  });

  it('is one order: antisymmetric and transitive', () => {
    const names = fc.oneof(
      fc.tuple(vmids, fc.nat(31)).map(([vmid, index]) => guestPortName(parseVmid(vmid), nicNameOf(index))),
      fc.string(),
    );
    fc.assert(
      fc.property(names, names, names, (a, b, c) => {
        assert.equal(Math.sign(comparePortNames(a, b)), 0 - Math.sign(comparePortNames(b, a)));
        assert.equal(comparePortNames(a, b) === 0, a === b);
        if (comparePortNames(a, b) < 0 && comparePortNames(b, c) < 0) assert.ok(comparePortNames(a, c) < 0);
      }),
    );
  });
});

function sha(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 5);
}
