import assert from 'node:assert/strict';
import fc from 'fast-check';
import { policyBytesMax, policyGroupsMax, policyLogsMax, policyWitnessesMax } from '../../src/ledger/limits.ts';
import { SignerKey } from '../../src/ledger/tlog/key.ts';
import { hasQuorum, parsePolicy } from '../../src/ledger/tlog/policy.ts';
import type { Policy } from '../../src/ledger/tlog/policy.ts';
import { arche, enoch, peter } from '../support/note-vectors.ts';
import { refusedWith } from '../support/refused.ts';

const keys = Array.from({ length: 6 }, (_, index) => SignerKey.generate(`witness${index}`));
const vkeys = keys.map(({ cosignerKey }) => cosignerKey.render());
const parse = (...lines: string[]): Policy => parsePolicy(Buffer.from(lines.join('\n')));
const witness = (name: string, index: number): string => `witness ${name} ${vkeys[index]!}`;

/** Whether the witnesses of these names are enough. */
function enough(policy: Policy, names: readonly string[]): boolean {
  return hasQuorum(
    policy,
    names.map((name) => policy.witnesses.get(name)!),
  );
}

describe('a policy', () => {
  const example = parse(
    `log ${peter.vkey}`,
    '',
    witness('X1', 0),
    witness('X2', 1),
    witness('X3', 2),
    'group X-witnesses 2 X1 X2 X3',
    '',
    witness('Y1', 3),
    witness('Y2', 4),
    witness('Y3', 5),
    'group Y-witnesses any Y1 Y2 Y3',
    '',
    'group X-and-Y all X-witnesses Y-witnesses',
    'quorum X-and-Y',
    '',
  );

  it('is read: the example of the specification', () => {
    assert.deepEqual(
      example.logs.map((key) => key.render()),
      [peter.vkey],
    );
    assert.deepEqual([...example.witnesses.keys()], ['X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3']);
    assert.equal(example.quorum, 'X-and-Y');
  });

  it('counts witnesses by group, and groups by group', () => {
    fc.assert(
      fc.property(fc.subarray(['X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3']), (names) => {
        const count = (letter: string): number => names.filter((name) => name.startsWith(letter)).length;
        assert.equal(enough(example, names), count('X') >= 2 && count('Y') >= 1);
      }),
    );
  });

  it('may ask for nobody, or for one witness', () => {
    assert.ok(enough(parse('quorum none'), []));
    const one = parse(witness('a', 0), witness('b', 1), 'quorum b');
    assert.deepEqual([enough(one, ['a']), enough(one, ['b'])], [false, true]);
  });

  it('does not count a witness that it does not list', () => {
    assert.equal(hasQuorum(parse(witness('a', 0), 'quorum a'), [keys[1]!.cosignerKey]), false);
  });

  it('has comments, tabs, URLs, empty lines, and names of any octets', () => {
    const lines = [
      '',
      '# first',
      '\t # second',
      `\twitness \t w1  ${vkeys[0]!}   https://w1.example/  `,
      '  quorum\tw1',
    ];
    assert.deepEqual([...parse(...lines).witnesses.keys()], ['w1']);
    const octets = parsePolicy(Buffer.concat([Buffer.from('witness w'), Buffer.from([0x80]), Buffer.from(` ${vkeys[0]!}\nquorum w`), Buffer.from([0x80, 0x0a])])); // prettier-ignore
    assert.ok(hasQuorum(octets, [...octets.witnesses.values()]));
    const [kelvin, letter] = ['\u212a', 'K'];
    assert.throws(() => parse(witness(kelvin, 0), `quorum ${letter}`), refusedWith('InvalidArgument', 'not defined'));
  });

  it('takes its own words for names, but for none', () => {
    assert.equal(parse(witness('all', 0), witness('any', 1), 'group group 2 all any', 'quorum group').quorum, 'group');
  });

  it('has keys of public witnesses, and key names that are not ASCII', () => {
    const name = SignerKey.generate('prod/Grüße/ovs-port-agent').cosignerKey;
    const lines = arche.witnessVkeys.map((vkey, index) => `witness w${index} ${vkey}`);
    const policy = parse(
      `log ${arche.logVkey} https://example.com`,
      ...lines,
      `witness g ${name.render()}`,
      'quorum none',
    );
    assert.deepEqual(
      [...policy.witnesses.values()].map((key) => key.render()),
      [...arche.witnessVkeys, name.render()],
    );
  });

  const w1 = witness('w1', 0);
  for (const [what, lines, why] of [
    ['a control character', ['quorum none', '\u0001'], 'line 2: it holds a control character'],
    ['a carriage return', ['quorum none\r'], 'control character'],
    ['DEL', ['quorum none', '#\u007f'], 'control character'],
    ['an unknown word', ['quibble w1', 'quorum none'], 'line 1: "quibble"'],
    ['a comment behind a definition', [`${w1} https://w1.example/ # comment`, 'quorum w1'], 'expected witness'],
    ['a log without a key', ['log', 'quorum none'], 'expected log'],
    ['a log with a bad key', ['log garbage', 'quorum none'], 'line 1: vkey "garbage"'],
    ['a log with a key of a witness', [`log ${vkeys[0]!}`, 'quorum none'], 'signature type 4, not 1'],
    ['a log twice', [`log ${peter.vkey}`, `log ${peter.vkey} https://x/`, 'quorum none'], 'stands twice'],
    ['a witness without a key', ['witness w1', 'quorum none'], 'expected witness'],
    ['a witness with a key of a log', [`witness w1 ${peter.vkey}`, 'quorum w1'], 'signature type 1, not 4'],
    ['a witness called none', [witness('none', 0), 'quorum none'], 'meaning of its own'],
    ['a witness name twice', [w1, witness('w1', 1), 'quorum w1'], 'defined already'],
    ['a group with the name of a witness', [w1, 'group w1 any w1', 'quorum w1'], 'defined already'],
    ['a group of nobody', [w1, 'group g 1', 'quorum w1'], 'expected group'],
    ['a group called none', [w1, 'group none any w1', 'quorum none'], 'meaning of its own'],
    ['0 of 1', [w1, 'group g 0 w1', 'quorum g'], '0 of 1'],
    ['2 of 1', [w1, 'group g 2 w1', 'quorum g'], '2 of 1'],
    ['-1 of 1', [w1, 'group g -1 w1', 'quorum g'], 'number of members'],
    ['01 of 1', [w1, 'group g 01 w1', 'quorum g'], 'number of members'],
    ['a member that does not exist', [w1, 'group g any w2', 'quorum g'], '"w2" is not defined'],
    ['a member that comes later', ['group g any w1', w1, 'quorum g'], '"w1" is not defined'],
    ['none as a member', [w1, 'group g any none w1', 'quorum g'], '"none" is not defined'],
    ['a group in itself', [w1, 'group g any w1 g', 'quorum g'], '"g" is not defined'],
    ['a member twice', [w1, 'group g all w1 w1', 'quorum g'], 'a member twice'],
    ['a member of two groups', [w1, 'group g any w1', 'group h any w1', 'quorum g'], 'a member twice'],
    ['no quorum', [w1], 'no quorum'],
    ['two quorums', [w1, 'quorum w1', 'quorum w1'], 'a quorum already'],
    ['a quorum that does not exist', ['quorum unknown'], '"unknown" is not defined'],
    ['a quorum that comes later', ['quorum w1', w1], '"w1" is not defined'],
    ['a quorum without a name', ['quorum'], 'expected quorum'],
    ['a quorum of two', [w1, 'quorum w1 w1'], 'expected quorum'],
    ['nothing', [], 'no quorum'],
  ] as const) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => parse(...lines), refusedWith('InvalidArgument', why));
    });
  }

  it('is refused when one public key stands twice under two names', () => {
    const [one] = keys;
    const renamed = SignerKey.parse(one!.render());
    assert.ok(renamed.cosignerKey.hasKeyOf(one!.cosignerKey));
    assert.throws(
      () => parse(w1, `witness w2 ${vkeys[0]!}`, 'quorum w1'),
      refusedWith('InvalidArgument', 'stands twice'),
    );
  });

  it('has a limit for everything', () => {
    const many = (count: number, line: (name: string) => string): string[] =>
      Array.from({ length: count }, (_, index) => line(String(index)));
    const witnesses = many(
      policyWitnessesMax,
      (n) => `witness w${n} ${SignerKey.generate(`w${n}`).cosignerKey.render()}`,
    );
    const logs = many(policyLogsMax, (n) => `log ${SignerKey.generate(`l${n}`).verifierKey.render()}`);
    const groups = many(policyGroupsMax, (n) => `group g${n} any w${n}`);
    assert.equal(parse(...logs, ...witnesses, ...groups, 'quorum g0').witnesses.size, policyWitnessesMax);
    assert.throws(() => parse(...witnesses, w1, 'quorum w1'), refusedWith('InvalidArgument', '64 witnesses'));
    assert.throws(() => parse(...logs, `log ${enoch.vkey}`, 'quorum none'), refusedWith('InvalidArgument', '64 logs'));
    assert.throws(
      () => parse(...witnesses, ...groups, 'group g any g0', 'quorum g'),
      refusedWith('InvalidArgument', '64 groups'),
    );
    assert.throws(() => parsePolicy(Buffer.alloc(policyBytesMax + 1, '#')), refusedWith('InvalidArgument', 'at most'));
  });

  it('is read or refused with a reason, whatever the bytes', () => {
    const word = fc.constantFrom('log', 'witness', 'group', 'quorum', 'none', 'any', 'all', '2', 'a', 'b', vkeys[0]!, peter.vkey, '#', '\t', '\n', '\n', '\n'); // prettier-ignore
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        try {
          const policy = parsePolicy(Buffer.from(words.join(' ')));
          assert.ok(policy.quorum === 'none' || enough(policy, [...policy.witnesses.keys()]));
        } catch (thrown) {
          refusedWith('InvalidArgument')(thrown);
        }
      }),
      { numRuns: 500 },
    );
  });
});
