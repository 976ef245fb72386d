import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { AgentError } from '../../src/model/errors.ts';
import { guestNetdevName, parseGuestNetdev } from '../../src/model/guest.ts';
import { parsePhase, phases } from '../../src/model/lifecycle.ts';
import {
  nicIndex,
  nicNameOf,
  parseBridgeName,
  parseContainerName,
  parseNetdevName,
  parseNicName,
  parsePortName,
  parseUuid,
  parseVlanTag,
  parseVmid,
  quote,
} from '../../src/model/names.ts';
import { nearest } from '../../src/model/nearest.ts';
import { refusedWith } from '../support/refused.ts';

/** What each parser takes as it is, and what it refuses. */
const parsers: [name: string, parse: (input: string) => unknown, good: string[], bad: string[]][] = [
  [
    'vmid',
    parseVmid,
    ['100', '999', '999999999'],
    ['', '0', '99', '1000000000', '0100', '+100', '1e3', '100 ', ' 100', '100\n', '100; rm -rf /', '٣٠٠', 'net0'],
  ],
  [
    'VLAN tag',
    parseVlanTag,
    ['1', '10', '4094'],
    ['', '0', '4095', '-1', '010', '1.5', '10\n', '10 ', 'ten', '0x10', '99999'],
  ],
  ['nic', parseNicName, ['net0', 'net9', 'net31'], ['', 'net', 'net32', 'net00', 'net01', 'net-1', 'eth0', 'net0\n']],
  [
    'network device name',
    parseNetdevName,
    ['lo', 'veth100i0', 'eth0.100', 'tap999999999i31', '_x', '0', 'a+b@c=d-e'],
    ['', 'veth999999999i310', 'a b', '-x', '.', '..', '.x', 'a/b', 'a\0b', 'vi100\n', 'vethé', 'a;b', 'a"b', "a'b"],
  ],
  ['bridge name', parseBridgeName, ['ovsbr0', 'vmbr0'], ['', 'ovs br0', '../x', 'a'.repeat(16), '--', '$(x)']],
  ['port name', parsePortName, ['vi100', 'vi100i1', 'vi_web'], ['', '-vi', 'vi 100', 'v'.repeat(16)]],
  [
    'container name',
    parseContainerName,
    ['web01', 'a.b_c-D', 'x'.repeat(63), '-'],
    ['', 'x'.repeat(64), 'a b', 'a/b', 'web\n', 'wéb', '{x}'],
  ],
  [
    'UUID',
    parseUuid,
    ['2ed6657d-e927-568b-95e1-2665a8aea6a2'],
    ['', '2ED6657D-E927-568B-95E1-2665A8AEA6A2', '2ed6657de927568b95e12665a8aea6a2', '{x}'],
  ],
];

describe('names at the door', () => {
  for (const [name, parse, good, bad] of parsers) {
    describe(`a ${name}`, () => {
      for (const input of good) {
        it(`may be ${input}`, () => {
          assert.equal(String(parse(input)), input);
        });
      }
      for (const input of bad) {
        it(`is not ${JSON.stringify(input)}, and the message quotes it`, () => {
          assert.throws(() => parse(input), refusedWith('InvalidArgument', name, quote(input), 'expected'));
        });
      }

      it('is parsed or refused as InvalidArgument, whatever the text', () => {
        fc.assert(
          fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (input) => {
            try {
              assert.equal(String(parse(input)), input);
            } catch (error) {
              refusedWith('InvalidArgument')(error);
              assert.ok((error as AgentError).message.length < 300, 'a message stays short');
              assert.doesNotMatch((error as AgentError).message, /\p{Cc}/u, 'a message has no control characters');
            }
          }),
        );
      });
    });
  }

  it('takes numbers as well, where D-Bus and JSON hand them in', () => {
    assert.equal(parseVmid(100), 100);
    assert.equal(parseVlanTag(4094), 4094);
    for (const bad of [0, 99, 1e9, 100.5, Number.NaN, Number.POSITIVE_INFINITY, -100]) {
      assert.throws(() => parseVmid(bad), refusedWith('InvalidArgument'));
    }
    for (const bad of [0, 4095, 1.5, Number.NaN])
      assert.throws(() => parseVlanTag(bad), refusedWith('InvalidArgument'));
  });

  it('turns nics into their numbers and back', () => {
    for (let index = 0; index <= 31; index++) assert.equal(nicIndex(nicNameOf(index)), index);
    assert.throws(() => nicNameOf(32), refusedWith('InvalidArgument'));
  });
});

describe('quoting text from outside', () => {
  it('escapes control characters and quotes, and cuts what is long', () => {
    assert.equal(quote('a"b\n'), '"a\\"b\\n"');
    assert.equal(quote('x'.repeat(64)), `"${'x'.repeat(64)}"`);
    assert.equal(quote('x'.repeat(65)), `"${'x'.repeat(61)}..."`);
    assert.equal(quote(100), '"100"');
    assert.equal(quote('\x1b[2J\x7f\u009b1m\u202e\u{e0001}'), '"\\u001b[2J\\u007f\\u009b1m\\u202e\\udb40\\udc01"');
  });
});

describe("guests' devices", () => {
  it('are named by the patterns of Proxmox VE', () => {
    const vmid = parseVmid(100);
    assert.equal(guestNetdevName({ kind: 'lxc', vmid }, 0, false), 'veth100i0');
    assert.equal(guestNetdevName({ kind: 'qemu', vmid }, 31, false), 'tap100i31');
    assert.equal(guestNetdevName({ kind: 'lxc', vmid }, 2, true), 'fwln100o2');
    assert.equal(guestNetdevName({ kind: 'qemu', vmid }, 2, true), 'fwln100o2');
  });

  it('are recognised again, also those whose name the kernel would find too long', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 999_999_999 }),
        fc.nat(31),
        fc.constantFrom('lxc' as const, 'qemu' as const),
        fc.boolean(),
        (number, index, kind, firewall) => {
          const vmid = parseVmid(number);
          const name = guestNetdevName({ kind, vmid }, index, firewall);
          assert.deepEqual(parseGuestNetdev(name), {
            kind: firewall ? 'fwln' : kind === 'lxc' ? 'veth' : 'tap',
            vmid,
            index,
          });
        },
      ),
    );
  });

  for (const name of [
    'veth99i0',
    'veth0100i0',
    'veth100i32',
    'veth100i00',
    'veth100o0',
    'fwln100i0',
    'fwpr100p0',
    'fwbr100i0',
    'veth100i0x',
    'xveth100i0',
    'veth1000000000i0',
    'vi100',
    'eth0',
    'veth100i0\n',
    '',
  ]) {
    it(`are not what is called ${JSON.stringify(name)}`, () => {
      assert.equal(parseGuestNetdev(name), null);
    });
  }
});

describe('phases of a guest', () => {
  it('are the four in which Proxmox VE calls a hookscript', () => {
    assert.deepEqual(phases.map(parsePhase), ['pre-start', 'post-start', 'pre-stop', 'post-stop']);
  });
  for (const bad of ['', 'start', 'pre-start ', 'PRE-START', '__proto__', 'pre-start\n']) {
    it(`are not ${JSON.stringify(bad)}; the message lists them`, () => {
      assert.throws(() => parsePhase(bad), refusedWith('InvalidArgument', quote(bad), 'pre-start', 'post-stop'));
    });
  }
});

describe('the nearest word', () => {
  const words = ['bridge_name', 'bridges', 'debounce_ms', 'bus'];
  for (const [word, expected] of [
    ['brigde_name', 'bridge_name'],
    ['bridge', 'bridges'],
    ['debounce_m', 'debounce_ms'],
    ['debounce', null],
    ['bu', 'bus'],
    ['bux', 'bus'],
    ['bsu', 'bus'],
    ['zzz', null],
    ['', null],
  ] as const) {
    it(`to ${JSON.stringify(word)} is ${String(expected)}`, () => {
      assert.equal(nearest(word, words), expected);
    });
  }

  it('swaps two neighbours only with each other', () => {
    assert.equal(nearest('ab', ['ba']), 'ba');
    assert.deepEqual([nearest('ab', ['xa']), nearest('ab', ['bx'])], [null, null]);
  });

  it('is the word itself when it is there, and never one that is further away than a third', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 20 }),
        fc.array(fc.string({ maxLength: 20 })),
        (word, others) => {
          assert.equal(nearest(word, [...others, word]), word);
          const found = nearest(word, others);
          if (found !== null) assert.ok(Math.abs(found.length - word.length) <= Math.max(1, word.length / 3));
        },
      ),
    );
  });
});
