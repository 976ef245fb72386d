/** docs/architecture.md against the code it describes. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { tableUnder } from '../support/markdown.ts';

interface LayerRules {
  readonly forbidden: readonly { readonly name: string; readonly to: { path?: string; pathNot?: string } }[];
}

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
const rules = createRequire(import.meta.url)('../../.dependency-cruiser.cjs') as LayerRules;

/** The modules in a pattern of the rules, `^src/(a|b)/`. */
function modulesIn(pattern: unknown): string[] {
  const names = /^\^src\/\((.*)\)\/$/.exec(String(pattern))?.[1];
  return names === undefined ? [] : names.split('|');
}

function ruleOf(name: string): { path?: string; pathNot?: string } {
  const rule = rules.forbidden.find((candidate) => candidate.name === name);
  assert.ok(rule !== undefined, `no rule ${name}`);
  return rule.to;
}

const namesIn = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '').sort();

describe('docs/architecture.md', () => {
  const rows = tableUnder(page, 'Modules').map(([name = '', holds = '', imports, types]) => ({
    name: namesIn(name)[0] ?? '',
    holds,
    imports: namesIn(imports),
    types: namesIn(types),
  }));

  it('has the modules and imports of the rules that the build checks', () => {
    const modules = rules.forbidden.flatMap(({ name }) => /^(.+)-types-only$/.exec(name)?.[1] ?? []);
    const wanted = modules.map((name) => {
      const types = modulesIn(ruleOf(`${name}-types-only`).path).sort();
      const imports = modulesIn(ruleOf(`${name}-imports`).pathNot)
        .filter((other) => other !== name && !types.includes(other))
        .sort();
      return { name, imports, types };
    });
    assert.ok(wanted.some(({ types }) => types.length > 3));
    assert.deepEqual(
      rows.map(({ name, imports, types }) => ({ name, imports, types })),
      wanted,
    );
  });

  it('says which modules have no files yet', () => {
    for (const { name, holds } of rows) {
      assert.equal(existsSync(join(root, 'src', name)), !holds.startsWith('(no files yet)'), name);
    }
  });

  it('names for its invariants tests that exist, by file and title', () => {
    const section = page.slice(page.indexOf('## Invariants'), page.indexOf('## What a crash leaves'));
    const items = section.split(/^\d+\. /m).slice(1);
    assert.ok(items.length >= 10);
    let titles = 0;
    for (const item of items) {
      const flat = item.replaceAll(/\s+/g, ' ');
      let file = '';
      for (const [, path, title] of flat.matchAll(/`(test\/[^`]+)`|"([^"]+)"/g)) {
        if (path !== undefined) file = readFileSync(join(root, path), 'utf8');
        else {
          titles++;
          assert.ok(file.includes(title ?? ''), `${flat.slice(0, 60)}: no test "${title ?? ''}"`);
        }
      }
    }
    assert.ok(titles >= 10);
  });

  it('names constants and limits files that exist', () => {
    const limits = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('limits.ts'),
    );
    for (const name of limits) assert.ok(page.includes(`src/${name}`), name);
  });
});
