/** Whatever the documents name must exist: links, files, keys, categories, messages. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { categories } from '../../src/ledger/block.ts';
import { configKeys } from '../../src/model/config.ts';
import { anchors, inlineCode, linkTargets, tableUnder } from '../support/markdown.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const filesUnder = (folder: string, suffix: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name));

const pages = ['README.md', 'CONTRIBUTING.md', ...filesUnder('docs', '.md')];
const ownFolders =
  /^(?:src|test|scripts|hooks|systemd|proxmox|packaging|bench|docs|\.ci)\/[A-Za-z0-9_./-]*$|^\.dependency-cruiser\.cjs$/;

describe('the documents', () => {
  for (const page of pages) {
    it(`${page} links to pages and headings that exist`, () => {
      const broken = linkTargets(read(page)).filter((target) => {
        if (/^https?:/.test(target)) return false;
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? page : normalize(join(dirname(page), path));
        if (!existsSync(join(root, file))) return true;
        return anchor !== undefined && !anchors(read(file)).has(anchor);
      });
      assert.deepEqual(broken, []);
    });

    it(`${page} names files of this repository that exist`, () => {
      const named = inlineCode(read(page)).filter((code) => ownFolders.test(code));
      assert.deepEqual(
        named.filter((path) => !existsSync(join(root, path))),
        [],
      );
    });
  }

  it('name no file of a host that nothing makes or reads', () => {
    const sources = [
      ...filesUnder('src', '.ts'),
      ...['scripts/install.sh', 'hooks/ovs-port-agent', 'proxmox/snippet', 'systemd/ovs-port-agent.service'],
      ...['files', 'postinst', 'prerm', 'postrm'].map((name) => `packaging/${name}`),
      'scripts/build-deb.mjs',
    ]
      .map(read)
      .join('\n');
    const known = (path: string): boolean => {
      const [, folder = '', name = ''] = /^(.*)\/([^/]+)$/.exec(path) ?? [];
      const suffix = /^ledger(\.[a-z]+)$/.exec(name)?.[1];
      const isInSources = (text: string): boolean => sources.includes(text);
      return (
        isInSources(path) ||
        (isInSources(folder) && (isInSources(name) || (suffix !== undefined && isInSources(`'${suffix}'`))))
      );
    };
    const named = pages
      .flatMap((page) => inlineCode(read(page)))
      .flatMap(
        (code) => code.match(/(?<![\w.:$])\/(?:etc|usr|var|run)\/[\w./-]*(?:ovs-port-agent|PortAgent1)[\w./-]*/g) ?? [],
      );
    assert.ok(named.length > 10);
    // Of the older tool, and lock files.
    const others = ['/usr/local/bin/ovs-port-agent'];
    assert.deepEqual(
      [...new Set(named)].filter((path) => !known(path) && !others.includes(path)),
      [],
    );
  });

  it('explain every configuration key in the README, and show those that are used in the installed file', () => {
    const rows = tableUnder(read('README.md'), 'Options');
    assert.deepEqual(
      rows.map(([key]) => key),
      configKeys().map(({ key }) => `\`${key}\``),
    );
    const installed = read('proxmox/config.toml');
    const shown = [...installed.matchAll(/^#?([a-z_]+) = /gm)].map((match) => match[1] ?? '');
    // A key of a section stands below the section's header.
    const known = configKeys().map(({ key }) => key.split('.').at(-1) ?? '');
    assert.deepEqual(
      shown.filter((key) => !known.includes(key)),
      [],
    );
  });

  it('list every file that the package puts on a host, but documents', () => {
    const packaged = [...read('packaging/files').matchAll(/ (\/\S+)/g)].map((match) => match[1] ?? '');
    const listed = new Set(
      tableUnder(read('docs/architecture.md'), 'Files on a host').flatMap(([cell]) => inlineCode(cell ?? '')),
    );
    assert.ok(packaged.length > 15);
    assert.deepEqual(
      packaged.filter((path) => !listed.has(path) && !/^\/usr\/share\/(doc|lintian)\//.test(path)),
      [],
    );
  });

  it('name every category of the ledger', () => {
    const named = new Set(inlineCode(read('docs/ledger.md')));
    assert.deepEqual(
      categories.filter((category) => !named.has(category)),
      [],
    );
  });

  it('explain problems in the words that the program uses', () => {
    const sources = filesUnder('src', '.ts').map(read).join('\n');
    const unknown = tableUnder(read('docs/operations.md'), 'Problems in `status`').flatMap(([cell = '']) => {
      const [problem = ''] = inlineCode(cell);
      // Between the placeholders stands what the program says literally.
      const parts = problem.split(/<[^>]+>/).map((part) => part.trim());
      const said = parts.sort((a, b) => b.length - a.length)[0] ?? '';
      const words = said.replace(/^managed block: /, '');
      return words.length >= 5 && sources.includes(words) ? [] : [problem];
    });
    assert.deepEqual(unknown, []);
  });

  it('number each decision once, each with context, choice and price', () => {
    const numbers = filesUnder('docs/decisions', '.md').map((file) => {
      const number = /^docs\/decisions\/(\d{4})-/.exec(file)?.[1] ?? file;
      const text = read(file);
      assert.ok(text.startsWith(`# ${number}: `), file);
      const parts = [...text.matchAll(/^\*\*(Context|Choice|Price)\.\*\*/gm)].map((match) => match[1]);
      assert.deepEqual(parts, ['Context', 'Choice', 'Price'], file);
      return number;
    });
    assert.equal(new Set(numbers).size, numbers.length);
  });

  it('are where the code says they are', () => {
    const code = [...filesUnder('src', '.ts'), ...filesUnder('test', '.ts'), '.dependency-cruiser.cjs'];
    const named = code.flatMap((file) => read(file).match(/docs\/(?:decisions\/\d{4}|[a-z-]+\.md)/g) ?? []);
    const files = filesUnder('docs', '.md');
    assert.deepEqual(
      [...new Set(named)].filter((path) => !files.some((file) => file.startsWith(path))),
      [],
    );
  });
});
