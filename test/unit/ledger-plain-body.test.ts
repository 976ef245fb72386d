import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseBody } from '../../src/ledger/block.ts';
import { isPlainBody } from '../../src/ledger/plain-body.ts';
import { attach, linesOf } from '../support/ledger-fixtures.ts';

const [line = Buffer.alloc(0)] = linesOf([attach(100)]);
const ending = line.subarray(-75);
const known = line.subarray(line.indexOf('"metadata":'), -75).toString();

/** What the parser says, which is the judge. */
function isBody(text: string): boolean {
  try {
    parseBody(Buffer.concat([Buffer.from(text), ending]), 0);
    return true;
  } catch {
    return false;
  }
}

describe('a plain body', () => {
  const plain: [string, string][] = [
    ['a block of the ports module', known],
    ['empty objects', '"metadata":{},"data":{}'],
    ['lists, also empty and nested', '"metadata":{},"data":{"a":[],"b":[1,[2,{"c":[]}]]}'],
    ['every word', '"metadata":{"a":null,"b":true,"c":false},"data":{}'],
    ['zero and negative numbers', '"metadata":{},"data":{"a":0,"b":-0,"c":-12}'],
  ];
  for (const [what, text] of plain) {
    it(`is told without a parser: ${what}`, () => {
      assert.equal(isPlainBody(text, 0, text.length), true);
      assert.equal(isBody(text), true);
      assert.equal(isPlainBody(`xx${text}yy`, 2, text.length + 2), true);
      assert.equal(isPlainBody(`${text} `, 0, text.length + 1), false, 'it ends where it is said to');
      assert.equal(isPlainBody(text, 0, text.length - 1), false);
    });
  }

  const left: [string, string][] = [
    ['an escape', '"metadata":{"a":"\\n"},"data":{}'],
    ['a letter beyond ASCII', '"metadata":{"a":"ü"},"data":{}'],
    ['a fraction', '"metadata":{"a":1.5},"data":{}'],
    ['an exponent', '"metadata":{"a":1e5},"data":{}'],
    ['white space', '"metadata":{ },"data":{}'],
    ['very deep values', `"metadata":{"a":${'['.repeat(40)}${']'.repeat(40)}},"data":{}`],
  ];
  for (const [what, text] of left) {
    it(`is not what has ${what}, which the parser takes`, () => {
      assert.equal(isPlainBody(text, 0, text.length), false);
      assert.equal(isBody(text), true);
    });
  }

  const bad: [string, string][] = [
    ['a comma too many', '"metadata":{"a":1,},"data":{}'],
    ['a comma too many in a list', '"metadata":{"a":[1,]},"data":{}'],
    ['a leading zero', '"metadata":{"a":01},"data":{}'],
    ['a minus alone', '"metadata":{"a":-},"data":{}'],
    ['a word cut off', '"metadata":{"a":nul},"data":{}'],
    ['a string without end', '"metadata":{"a":"},"data":{}'],
    ['a control character', '"metadata":{"a":"\t"},"data":{}'],
    ['a key without quotes', '"metadata":{a:1},"data":{}'],
    ['a list as data', '"metadata":{},"data":[]'],
    ['the two the wrong way round', '"data":{},"metadata":{}'],
    ['a third field', '"metadata":{},"data":{},"more":{}'],
    ['data without end', '"metadata":{},"data":{'],
  ];
  for (const [what, text] of bad) {
    it(`is not what has ${what}`, () => {
      assert.equal(isPlainBody(text, 0, text.length), false);
      assert.ok(what.startsWith('the two') || !isBody(text));
    });
  }

  it('is a body for the parser, whatever the text', () => {
    const json = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 });
    const body = fc
      .tuple(json, json)
      .map(([metadata, data]) => `"metadata":${JSON.stringify(metadata)},"data":${JSON.stringify(data)}`);
    const piece = fc.constantFrom('"', '{', '}', '[', ']', ',', ':', '0', '-', 'null', '\\', '\n', 'ü', '');
    const mutated = fc
      .tuple(fc.oneof(body, fc.constant(known)), fc.nat(), fc.nat(2), piece)
      .map(([text, at, drop, insert]) => {
        const place = at % text.length;
        return text.slice(0, place) + insert + text.slice(place + drop);
      });
    let told = 0;
    fc.assert(
      fc.property(fc.oneof(body, mutated), (text) => {
        if (!isPlainBody(text, 0, text.length)) return;
        told++;
        assert.equal(isBody(text), true, text);
      }),
      { numRuns: 2_000 },
    );
    assert.ok(told > 100, `only ${told} were plain`);
  });
});
