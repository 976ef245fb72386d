import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseInterfaces, renderInterfaces, statementWords } from '../../src/interfaces/document.ts';
import { interfacesText } from '../support/interfaces-text.ts';

describe('interfaces document', () => {
  it('gives back every string unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        assert.equal(renderInterfaces(parseInterfaces(text)), text);
      }),
    );
  });

  it('gives back every interfaces-like text unchanged, and its stanzas cover every line once', () => {
    fc.assert(
      fc.property(interfacesText(), (text) => {
        const document = parseInterfaces(text);
        assert.equal(renderInterfaces(document), text);
        let next = 0;
        for (const stanza of document.stanzas) {
          for (const entry of stanza.entries) {
            assert.equal(entry.start, next);
            assert.ok(entry.end > entry.start);
            next = entry.end;
          }
          assert.equal(stanza.start, stanza.entries[0]!.start);
          assert.equal(stanza.end, next);
        }
        assert.equal(next, document.lines.length);
      }),
    );
  });

  const rows: { title: string; text: string; stanzas: [string, number][] }[] = [
    { title: 'an empty text has no stanzas', text: '', stanzas: [] },
    {
      title: 'every keyword begins a stanza, indented or not',
      text: 'auto a\n\tallow-hotplug b\nsource x\nsource-dir x\nsource-directory y\nno-auto-down a\nno-scripts a\nrename a=b\niface a inet manual\n',
      stanzas: [
        ['auto', 1],
        ['allow', 1],
        ['source', 1],
        ['source-directory', 1],
        ['source-directory', 1],
        ['no-auto-down', 1],
        ['no-scripts', 1],
        ['rename', 1],
        ['iface', 1],
      ],
    },
    {
      title: 'a word that only begins like a keyword is an option or junk',
      text: 'automatic x\niface a inet manual\nifaces b\nautox\n',
      stanzas: [
        ['junk', 1],
        ['iface', 3],
      ],
    },
    {
      title: 'options belong to their stanza across empty lines, comments before the next keyword do not',
      text: 'iface a inet manual\n\n# in between\n\tmtu 9000\n\n# about b\niface b inet manual\n',
      stanzas: [
        ['iface', 4],
        ['space', 2],
        ['iface', 1],
      ],
    },
    {
      title: 'a comment right behind the last option belongs to the stanza',
      text: 'iface a inet manual\n\tmtu 9000\n#the comment\n  # another\n\n#not this one\n',
      stanzas: [
        ['iface', 4],
        ['space', 2],
      ],
    },
    {
      title: 'a comment behind an auto line belongs to nothing',
      text: 'auto a\n# note\nmapping eth*\n\tscript s\n# kept\n',
      stanzas: [
        ['auto', 1],
        ['space', 1],
        ['mapping', 3],
      ],
    },
    {
      title: 'a continued line swallows keywords, comments and empty lines; a continued comment does not',
      text: 'iface a inet manual\n\tup x \\\niface b \\\r\n# c \\\n\n# d \\\nauto e\n',
      stanzas: [
        ['iface', 6],
        ['auto', 1],
      ],
    },
  ];
  for (const { title, text, stanzas } of rows) {
    it(title, () => {
      const document = parseInterfaces(text);
      assert.deepEqual(
        document.stanzas.map(({ kind, start, end }) => [kind, end - start]),
        stanzas,
      );
    });
  }

  it('reads the words of a continued statement as one line', () => {
    const document = parseInterfaces('  iface vi100 \\\n inet\\\r\n6 \n');
    assert.deepEqual(statementWords(document, document.stanzas[0]!.entries[0]!), ['iface', 'vi100', 'inet6']);
  });

  it('takes only ASCII white space for white space', () => {
    const document = parseInterfaces('auto caf\u00c3\u00a0 \u00a0x\n\u00a0\n');
    assert.deepEqual(statementWords(document, document.stanzas[0]!.entries[0]!), [
      'auto',
      'caf\u00c3\u00a0',
      '\u00a0x',
    ]);
    assert.deepEqual(
      document.stanzas.map(({ kind }) => kind),
      ['auto', 'junk'],
    );
  });
});
