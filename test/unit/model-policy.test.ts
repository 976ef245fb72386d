import assert from 'node:assert/strict';
import fc from 'fast-check';
import { globMatches } from '../../src/model/glob.ts';
import { parseBridgeName, parsePortName, parseVmid } from '../../src/model/names.ts';
import { matches, policyFor, policyKinds } from '../../src/model/policy.ts';
import type { Policy, PolicyMatch, PolicySubject } from '../../src/model/policy.ts';

const anything: PolicyMatch = { kind: null, tag: null, vmid: null, name: null, pool: null, bridge: null };
const ovsbr0 = parseBridgeName('ovsbr0');
const subject: PolicySubject = {
  kind: 'lxc',
  vmid: parseVmid(250),
  name: 'web-1',
  tags: ['Netmaker', 'prod'],
  pool: 'dmz',
  bridge: ovsbr0,
};
const range = (first: number, last: number): PolicyMatch['vmid'] => ({
  first: parseVmid(first),
  last: parseVmid(last),
});

describe('a name pattern', () => {
  for (const [pattern, text, expected] of [
    ['web-*', 'web-1', true],
    ['web-*', 'web-', true],
    ['web-*', 'web', false],
    ['web-?', 'web-1', true],
    ['web-?', 'web-', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['*a*b', 'xaxbxab', true],
    ['*a*b', 'xaxbxabx', false],
    ['a**b', 'ab', true],
    ['web.1', 'webx1', false],
    ['[a]', 'a', false],
    ['(a|b)+$', '(a|b)+$', true],
    ['*?', '*x', true],
    ['Web', 'web', false],
  ] as const) {
    it(`${JSON.stringify(pattern)} ${expected ? 'fits' : 'does not fit'} ${JSON.stringify(text)}`, () => {
      assert.equal(globMatches(pattern, text), expected);
    });
  }

  it('means what the same regular expression means', () => {
    const letters = (...of: string[]): fc.Arbitrary<string> =>
      fc.array(fc.constantFrom(...of), { maxLength: 10 }).map((all) => all.join(''));
    fc.assert(
      fc.property(letters('a', 'b', '*', '?', '.'), letters('a', 'b', '.', '*'), (pattern, text) => {
        const source = pattern
          .replaceAll('.', String.raw`\.`)
          .replaceAll('*', '.*')
          .replaceAll('?', '.');
        assert.equal(globMatches(pattern, text), new RegExp(`^${source}$`).test(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('is decided in time that grows with its length, also where a regular expression never ends', () => {
    assert.equal(globMatches(`${'*a'.repeat(100)}b`, 'a'.repeat(253)), false);
  });
});

describe('a policy', () => {
  it('without conditions matches everything', () => {
    assert.ok(matches(anything, subject));
    assert.ok(matches(anything, { ...subject, vmid: null, tags: [], pool: null }));
  });

  for (const [condition, met, unmet] of [
    [{ kind: 'lxc' }, {}, { kind: 'qemu' }],
    [{ tag: 'netmaker' }, {}, { tags: ['netmaker2'] }],
    [{ tag: 'PROD' }, {}, { tags: [] }],
    [{ vmid: range(200, 299) }, { vmid: parseVmid(200) }, { vmid: parseVmid(300) }],
    [{ vmid: range(200, 299) }, { vmid: parseVmid(299) }, { vmid: parseVmid(199) }],
    [{ vmid: range(100, 999_999_999) }, {}, { vmid: null }],
    [{ name: 'web-*' }, {}, { name: 'db-1' }],
    [{ pool: 'dmz' }, {}, { pool: null }],
    [{ bridge: ovsbr0 }, {}, { bridge: parseBridgeName('ovsbr1') }],
  ] as [Partial<PolicyMatch>, Partial<PolicySubject>, Partial<PolicySubject>][]) {
    it(`with ${JSON.stringify(condition)} matches what meets that, and nothing else`, () => {
      assert.ok(matches({ ...anything, ...condition }, { ...subject, ...met }));
      assert.ok(!matches({ ...anything, ...condition }, { ...subject, ...unmet }));
    });
  }

  const words = fc.constantFrom('web-1', 'db', 'Netmaker', 'prod');
  const vmids = fc.integer({ min: 100, max: 110 }).map(parseVmid);
  const subjects = fc.record<PolicySubject>({
    kind: fc.constantFrom(...policyKinds),
    vmid: fc.option(vmids),
    name: words,
    tags: fc.array(words, { maxLength: 2 }),
    pool: fc.option(words),
    bridge: fc.constantFrom(ovsbr0, parseBridgeName('ovsbr1')),
  });
  const conditions = fc.record<PolicyMatch>({
    kind: fc.option(fc.constantFrom(...policyKinds)),
    tag: fc.option(words),
    vmid: fc.option(fc.tuple(vmids, vmids).map(([a, b]) => ({ first: a < b ? a : b, last: a < b ? b : a }))),
    name: fc.option(fc.constantFrom('web-*', '*', 'db', '?b')),
    pool: fc.option(words),
    bridge: fc.option(fc.constantFrom(ovsbr0, parseBridgeName('ovsbr1'))),
  });
  const policyOf = (match: PolicyMatch, index: number): Policy => ({
    match,
    bridge: null,
    tag: null,
    trunks: [],
    mirrorTo: parsePortName(`p${index}`),
  });

  it('matches exactly when each of its conditions alone does', () => {
    fc.assert(
      fc.property(conditions, subjects, (match, of) => {
        const alone = Object.entries(match).map(([key, value]) => matches({ ...anything, [key]: value }, of));
        assert.equal(matches(match, of), alone.every(Boolean));
      }),
    );
  });

  it('wins over every later one that matches too', () => {
    fc.assert(
      fc.property(fc.array(conditions), subjects, (all, of) => {
        const policies = all.map(policyOf);
        const found = policyFor(policies, of);
        const first = all.findIndex((match) => matches(match, of));
        assert.equal(found, first < 0 ? null : policies[first]);
        const last = policyOf(anything, 99);
        assert.equal(policyFor([...policies, last], of), found ?? last);
      }),
    );
  });
});
