import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AgentError } from '../../src/model/errors.ts';
import { escapeUnitText, parseUnitName, unescapeUnitText, unitOfPath, unitPath } from '../../src/systemd1/unit-name.ts';

describe('names of units', () => {
  it('are taken as systemd takes them', () => {
    for (const name of [
      'pve-container@100.service',
      '100.scope',
      'system-pve\\x2dcontainer.slice',
      'a@.service',
      'dev-disk-by\\x2did.device',
    ]) {
      assert.equal(parseUnitName(name), name);
    }
  });

  it('are refused when systemd would refuse them', () => {
    for (const name of [
      '',
      'a',
      '.service',
      '@1.service',
      'a b.service',
      'a/b.service',
      'a.servic',
      'ä.service',
      `${'a'.repeat(250)}.scope`,
    ]) {
      assert.throws(() => parseUnitName(name), AgentError, name);
    }
  });

  it('stand in object paths as systemd writes them', () => {
    const rows: readonly (readonly [string, string])[] = [
      ['pve-container@100.service', 'pve_2dcontainer_40100_2eservice'],
      ['100.scope', '_3100_2escope'],
      ['a_b.service', 'a_5fb_2eservice'],
    ];
    for (const [name, label] of rows) {
      const path = `/org/freedesktop/systemd1/unit/${label}`;
      assert.equal(unitPath(parseUnitName(name)), path);
      assert.equal(unitOfPath(path), name);
    }
    assert.equal(unitOfPath('/org/freedesktop/systemd1/job/1'), null);
    assert.equal(unitOfPath('/org/freedesktop/systemd1/unit/nothing'), null);
  });

  it('come back from their path, whatever they are', () => {
    const name = fc
      .tuple(
        fc.stringMatching(/^[A-Za-z0-9:_][A-Za-z0-9:_.\\-]{0,40}$/),
        fc.constantFrom('.service', '.scope', '@1.service'),
      )
      .map(([prefix, suffix]) => parseUnitName(prefix + suffix));
    fc.assert(fc.property(name, (unit) => unitOfPath(unitPath(unit)) === unit));
  });
});

describe('text in names of units', () => {
  it('is escaped as `systemd-escape` does it', () => {
    const rows: readonly (readonly [string, string])[] = [
      ['/dev/sda', '-dev-sda'],
      ['a-b', 'a\\x2db'],
      ['.a.b', '\\x2ea.b'],
      ['ü @', '\\xc3\\xbc\\x20\\x40'],
      ['', ''],
    ];
    for (const [text, escaped] of rows) {
      assert.equal(escapeUnitText(text), escaped);
      assert.equal(unescapeUnitText(escaped), text);
    }
  });

  it('comes back unescaped, whatever it is, and gives a valid name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 10 }), (text) => {
        assert.equal(unescapeUnitText(escapeUnitText(text)), text);
        parseUnitName(`a@${escapeUnitText(text)}.service`);
      }),
    );
  });

  it('is refused when nobody would have escaped it so', () => {
    for (const escaped of ['\\', 'a\\x4', '\\n']) assert.throws(() => unescapeUnitText(escaped), AgentError);
  });
});
