import assert from 'node:assert/strict';
import fc from 'fast-check';
import { load } from 'js-yaml';
import { cellText, renderResult } from '../../src/cli/output.ts';
import type { OutputFormat } from '../../src/cli/output.ts';
import { renderTable } from '../../src/cli/table.ts';
import type { ResultSpec } from '../../src/resources/schema.ts';

const plain = { border: true, header: true, unicode: false };
const property = (type: 'string' | 'integer' | 'array', optional = false) => ({
  type,
  description: 'x.',
  ...(optional ? { optional: true as const } : {}),
});
const ports: ResultSpec = {
  type: 'array',
  items: {
    properties: {
      tag: property('integer', true),
      port: property('string'),
      trunks: property('array', true),
      bridge: property('string'),
    },
  },
};
const text = (result: unknown, spec: ResultSpec, more: Partial<typeof plain> = {}): Promise<string> =>
  renderResult(result, spec, { format: 'text', ...plain, ...more });

describe('a table', () => {
  const rows = [
    ['vi100', 'ovsbr0'],
    ['vi101', 'ovs'],
  ];
  const columns = ['port', 'bridge'];

  it('has borders of ASCII where the locale is not UTF-8', () => {
    assert.equal(
      renderTable(columns, rows, plain),
      [
        '+-------+--------+',
        '| port  | bridge |',
        '+=======+========+',
        '| vi100 | ovsbr0 |',
        '+-------+--------+',
        '| vi101 | ovs    |',
        '+-------+--------+',
      ].join('\n'),
    );
  });

  it('has boxes where it is', () => {
    assert.equal(
      renderTable(columns, rows.slice(0, 1), { ...plain, unicode: true }),
      [
        '┌───────┬────────┐',
        '│ port  │ bridge │',
        '╞═══════╪════════╡',
        '│ vi100 │ ovsbr0 │',
        '└───────┴────────┘',
      ].join('\n'),
    );
  });

  it('has no borders, no header, or neither, when asked', () => {
    assert.equal(renderTable(columns, rows, { ...plain, border: false }), 'port  bridge\nvi100 ovsbr0\nvi101 ovs');
    assert.equal(
      renderTable(columns, rows, { ...plain, header: false }),
      [
        '+-------+--------+',
        '| vi100 | ovsbr0 |',
        '+-------+--------+',
        '| vi101 | ovs    |',
        '+-------+--------+',
      ].join('\n'),
    );
    assert.equal(
      renderTable(columns, rows, { border: false, header: false, unicode: true }),
      'vi100 ovsbr0\nvi101 ovs',
    );
  });

  it('is nothing at all without rows', () => {
    assert.equal(renderTable(columns, [], plain), '');
  });

  it('prints cells of several lines as several lines', () => {
    assert.equal(
      renderTable(['a', 'b'], [['1\n2', 'x']], { ...plain, header: false }),
      ['+---+---+', '| 1 | x |', '| 2 |   |', '+---+---+'].join('\n'),
    );
  });

  it('has lines of one width, whatever its cells', () => {
    const cells = fc.array(fc.array(fc.string({ unit: 'grapheme-ascii' }), { minLength: 2, maxLength: 2 }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(cells, fc.boolean(), fc.boolean(), (table, header, unicode) => {
        const lines = renderTable(['one', 'two'], table, { border: true, header, unicode }).split('\n');
        assert.equal(new Set(lines.map((line) => Array.from(line).length)).size, 1);
      }),
    );
  });
});

describe('a result', () => {
  const result = [
    { port: 'vi1000', bridge: 'ovsbr0', tag: 10 },
    { port: 'vi101', bridge: 'ovsbr0' },
    { port: 'vi100', bridge: 'ovsbr1' },
  ];

  it('as text has required columns first, drops those nobody fills, and is sorted by number', async () => {
    assert.equal(
      await text(result, ports, { border: false }),
      ['bridge port   tag', 'ovsbr0 vi1000 10', 'ovsbr0 vi101', 'ovsbr1 vi100'].join('\n'),
    );
    assert.equal(
      await text(
        [{ key: 'vi100' }, { key: 'vi99' }],
        { type: 'array', items: { properties: { key: property('string') } } },
        { border: false, header: false },
      ),
      'vi99\nvi100',
    );
  });

  it('as text is keys and values when it is one object', async () => {
    const object: ResultSpec = { type: 'object', properties: {} };
    assert.equal(
      await text({ b: true, a: [1, 2], c: { d: 1 } }, object, { border: false, header: false }),
      'a 1\n  2\nb 1\nc {"d":1}',
    );
  });

  it('as text is nothing when there is nothing', async () => {
    for (const nothing of [null, undefined, [], {}]) assert.equal(await text(nothing, ports), '');
    assert.equal(await text('vi100', { type: 'string' }), 'vi100');
  });

  it('is the same in every machine-readable format', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        // What the service answers went through JSON: there is no -0.
        const expected: unknown = JSON.parse(JSON.stringify(value));
        const as = (format: OutputFormat): Promise<string> =>
          renderResult(expected, { type: 'null' }, { format, ...plain });
        assert.deepEqual(JSON.parse(await as('json')), expected);
        assert.deepEqual(JSON.parse(await as('json-pretty')), expected);
        assert.deepEqual(load(`${await as('yaml')}\n`), expected);
        assert.ok(!(await as('json')).includes('\n'));
      }),
    );
  });

  it('keeps white space at the end of a text in YAML', async () => {
    for (const value of ['a\n\n', 'a\n', '\n', { a: 'x\n\n\n' }, ['b\n '], { a: ' ' }]) {
      // As it is printed, with a last newline.
      const printed = `${await renderResult(value, { type: 'null' }, { format: 'yaml', ...plain })}\n`;
      assert.deepEqual(load(printed), value, printed);
    }
  });

  it('indents pretty JSON as pvesh does', async () => {
    assert.equal(
      await renderResult({ a: 1 }, { type: 'null' }, { format: 'json-pretty', ...plain }),
      '{\n   "a": 1\n}',
    );
  });

  it('has cells that a person can read', () => {
    assert.deepEqual([null, true, false, 5, [1, 2], [{ a: 1 }], { a: 1 }].map(cellText), [
      '',
      '1',
      '0',
      '5',
      '1\n2',
      '[{"a":1}]',
      '{"a":1}',
    ]);
  });
});
