import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseUuid } from '../../src/model/names.ts';
import { insertedPortUuid } from '../../src/ports/transaction.ts';
import { uuidV5 } from '../../src/ports/uuid-v5.ts';

/** Worked out by Python: uuid.uuid5(uuid.NAMESPACE_DNS, 'dev.ovs.PortAgent1/' + name). */
const vectors = new Map([
  ['', 'b6b654e4-d9e4-5cd3-8921-c3e236c2419c'],
  ['Port x', 'b32467b1-4f58-51e4-94cb-cf3fd4c78099'],
  ['Interface x', '71bf1dbf-1ad2-584a-9860-30389c54e135'],
  ['Grüße', '33c77bbb-3b20-5bb3-8818-ce0f5610ad0f'],
]);

describe('UUIDs of version 5', () => {
  for (const [name, expected] of vectors) {
    it(`of ${JSON.stringify(name)} is ${expected}`, () => {
      assert.equal(uuidV5(name), expected);
    });
  }

  it('carry version and variant of RFC 9562, and are always the same', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const uuid = parseUuid(uuidV5(name));
        assert.match(uuid, /^.{14}5.{4}[89ab]/);
        assert.equal(uuidV5(name), uuid);
      }),
    );
  });

  it('differ between Port and Interface of one change, because one UUID in two tables breaks ovs-vsctl', () => {
    assert.notEqual(insertedPortUuid('seed'), uuidV5('Interface seed'));
    assert.notEqual(insertedPortUuid('seed'), insertedPortUuid('seed2'));
  });
});
