import assert from 'node:assert/strict';
import type { MessageHeader } from '../../src/platform/dbus/codec.ts';
import { messageTypes } from '../../src/platform/dbus/codec.ts';
import type { MatchRule } from '../../src/platform/dbus/match-rule.ts';
import { matchesHeader, renderMatchRule } from '../../src/platform/dbus/match-rule.ts';

const header: MessageHeader = {
  type: messageTypes.signal,
  flags: 1,
  serial: 1,
  path: '/a/b',
  interface: 'i.f',
  member: 'M',
  signature: '',
};

describe('match rules', () => {
  it('are written in one order, so that equal rules are equal texts', () => {
    const expected = "type='signal',sender='a.b',path='/x',interface='i.f',member='M',arg0='v'";
    assert.equal(renderMatchRule({ sender: 'a.b', path: '/x', interface: 'i.f', member: 'M', arg0: 'v' }), expected);
    assert.equal(renderMatchRule({ arg0: 'v', member: 'M', interface: 'i.f', path: '/x', sender: 'a.b' }), expected);
  });

  it('quote an apostrophe as the daemon reads it', () => {
    assert.equal(renderMatchRule({ arg0: "it's" }), "type='signal',arg0='it'\\''s'");
  });

  const cases: [rule: MatchRule, matches: boolean][] = [
    [{}, true],
    [{ path: '/a/b', interface: 'i.f', member: 'M' }, true],
    [{ path: '/a' }, false],
    [{ pathNamespace: '/a' }, true],
    [{ pathNamespace: '/a/b' }, true],
    [{ pathNamespace: '/' }, true],
    [{ pathNamespace: '/a/' }, false],
    [{ pathNamespace: '/a/bc' }, false],
    [{ interface: 'i.g' }, false],
    [{ member: 'N' }, false],
  ];
  for (const [rule, matches] of cases) {
    it(`${JSON.stringify(rule)} ${matches ? 'matches' : 'does not match'} a signal M of i.f on /a/b`, () => {
      assert.equal(matchesHeader(rule, header), matches);
    });
  }
});
