import assert from 'node:assert/strict';
import { parseInstant } from '../../src/ledger/instant.ts';
import { refusedWith } from '../support/refused.ts';

describe('a moment', () => {
  const rows: [string, number][] = [
    ['2025-10-14', Date.UTC(2025, 9, 14)],
    ['2025-10-14T12:00Z', Date.UTC(2025, 9, 14, 12)],
    ['2025-10-14T12:34:56Z', Date.UTC(2025, 9, 14, 12, 34, 56)],
    ['2025-10-14T12:34:56.7Z', Date.UTC(2025, 9, 14, 12, 34, 56, 700)],
    ['2025-10-14T12:34:56.789Z', Date.UTC(2025, 9, 14, 12, 34, 56, 789)],
    ['2025-10-14T12:00+02:00', Date.UTC(2025, 9, 14, 10)],
    ['2025-10-14T12:00:00-11:30', Date.UTC(2025, 9, 14, 23, 30)],
  ];
  for (const [text, ms] of rows) {
    it(`is ${text}`, () => {
      assert.equal(parseInstant(text, 'since'), ms);
    });
  }

  const bad = [
    ...['', 'yesterday', '2025', '2025-10', '2025-1-14', '2025-10-4', '25-10-14', '2025-13-01', '2025-10-32'],
    ...['2025-10-14T12Z', '2025-10-14T1:00Z', '2025-10-14T12:0Z', '2025-10-14T12:00:0Z', '2025-10-14T12:00:00.Z'],
    ...['2025-10-14T12:00:00.0000Z', '2025-10-14T24:01Z', '2025-10-14T12:00+2:00', '2025-10-14T12:00+02:0'],
    ...['2025-10-14T12:00+0200', ' 2025-10-14', '2025-10-14 ', '2025-10-14 12:00Z', '+002025-10-14', '2025-10-14Z'],
  ];
  for (const text of bad) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseInstant(text, 'since'), refusedWith('InvalidArgument', `since "${text}" is not valid`));
    });
  }

  it('is not a time without its zone, which would be another one on another host', () => {
    assert.throws(() => parseInstant('2025-10-14T12:00', 'until'), refusedWith('InvalidArgument', /until .*12:00:00Z/));
  });
});
