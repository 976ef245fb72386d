import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';
import { tomlPositions } from '../../src/platform/toml-positions.ts';

const at = (text: string, path: string): string => {
  const position = tomlPositions(text).get(path);
  return position === undefined ? 'nowhere' : `${position.line}:${position.column}`;
};

describe('positions in a TOML text', () => {
  it('are those of keys, of tables, of elements of arrays and of keys between braces', () => {
    const text = 'a = 1\n  b.c = "x"\n[t]\nd = [ 1,\n 2 ]\ne = { f = { g = 1 }, "h" = 2 }\n';
    for (const [path, place] of Object.entries({
      a: '1:1',
      b: '2:3',
      'b.c': '2:3',
      t: '3:1',
      't.d': '4:1',
      't.d.0': '4:7',
      't.d.1': '5:2',
      't.e.f': '6:7',
      't.e.f.g': '6:13',
      't.e.h': '6:22',
      x: 'nowhere',
    }))
      assert.equal(at(text, path), place, path);
  });

  it('tell the tables of an array apart, and what belongs to each', () => {
    const text = '[[p]]\na = 1\n[p.m]\nb = 1\n[[p]]\na = 2\n[[p.q]]\nc = 1\n[[p.q]]\nc = 2\n';
    for (const [path, place] of Object.entries({
      p: '1:1',
      'p.0': '1:1',
      'p.0.a': '2:1',
      'p.0.m.b': '4:1',
      'p.1': '5:1',
      'p.1.a': '6:1',
      'p.1.q.0.c': '8:1',
      'p.1.q.1.c': '10:1',
    }))
      assert.equal(at(text, path), place, path);
  });

  it('are not led astray by strings and comments', () => {
    const text = [
      'a = """',
      'b = 1',
      '\\""" # [t]',
      '"""',
      "c = '''",
      "d = ''x''",
      "'''",
      "e = '\\' # f = 1",
      'g = "\\"]}#" # [t]',
      'h = [ "]", # ]',
      ' { i = "}" } ]',
      'j = 1',
    ].join('\n');
    assert.deepEqual([...tomlPositions(text).keys()], ['a', 'c', 'e', 'g', 'h', 'h.0', 'h.1', 'h.1.i', 'j']);
    assert.equal(at(text, 'j'), '12:1');
  });

  it('are known of every key that the parser finds, whatever the values', () => {
    const keys = fc.constantFrom('a', 'b', 'c d', 'e-f', '"', "'", '#', '[');
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.string(),
        fc.integer(),
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(keys, value, { maxKeys: 4 }), (document) => {
        const text = stringify(document);
        const known = new Set(tomlPositions(text).keys());
        const missing = paths(parse(text), []).filter((path) => !known.has(path));
        assert.deepEqual(missing, [], text);
      }),
    );
  });

  it('come to an end with any text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc
            .array(fc.constantFrom('[', ']', '{', '}', '=', '"', "'", '#', '.', ',', 'a', ' ', '\n', '\\'))
            .map((all) => all.join('')),
        ),
        (text) => {
          assert.ok(tomlPositions(text).size <= text.length * 2);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** Keys with quotes inside are compared as they are written. */
function paths(value: unknown, path: readonly string[]): string[] {
  if (typeof value !== 'object' || value === null || value instanceof Date) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const written = Array.isArray(value) ? key : key.replaceAll(/["\\]/g, String.raw`\$&`);
    const next = [...path, written];
    return [next.join('.'), ...paths(inner, next)];
  });
}
