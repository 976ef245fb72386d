// The copyright file of the package, in Debian's machine-readable format 1.0: our sources, and every npm package that is
// in the bundles, with what its own files say. A package that says nothing of its licence fails the build.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Texts that every Debian system has, by what tells them. */
const common = [
  { name: 'Apache-2.0', file: 'Apache-2.0', mark: /Apache License\s+Version 2\.0/ },
  { name: 'GPL-3.0-or-later', file: 'GPL-3', mark: /GNU GENERAL PUBLIC LICENSE\s+Version 3/ },
];
/** A licence that the whole takes on when a bundle holds a package under it. */
const reciprocal = /^A?GPL-/;

/** Where the files of a package say more than its package.json: these name GPL-3.0, their sources add "or any later". */
const better = { 'proxmox-api': 'GPL-3.0-or-later' };

/** `folders` are those of the npm packages in the bundles, `node_modules/...`. */
export function copyrightFile(folders) {
  const packages = folders.map(readPackage);
  const whole = packages.find(({ licence }) => reciprocal.test(licence));
  const paragraphs = [
    [
      'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/',
      'Upstream-Name: ovs-port-agent',
      ...(whole === undefined
        ? []
        : [
            `License: ${whole.licence}`,
            'Comment:',
            ` The sources of ovs-port-agent are under the Apache License 2.0. The service's bundle contains ${whole.name},`,
            ` which is under ${whole.licence}: so is this package as a whole.`,
          ]),
    ],
    ['Files: *', 'Copyright: 2025-2026 the ovs-port-agent maintainers', 'License: Apache-2.0'],
    ...packages.map(({ folder, copyright, shortName, version }) => [
      `Files: ${folder}/*`,
      'Copyright:',
      ...copyright.map((line) => ` ${line}`),
      `License: ${shortName}`,
      `Comment: version ${version}, in the bundles`,
    ]),
    ...licenceParagraphs(packages),
  ];
  return `${paragraphs.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function readPackage(folder) {
  const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  if (file === undefined) throw new Error(`${folder} has no licence file: it cannot go into the package`);
  const text = readFileSync(join(folder, file), 'utf8');
  const lines = text.split('\n').map((line) => line.trim());
  const found = common.find(({ mark }) => mark.test(text));
  const declared = better[name] ?? (typeof license === 'string' ? license : found?.name);
  const licence = declared ?? (/Permission is hereby granted/.test(text) ? 'MIT' : null);
  if (licence === null) throw new Error(`${folder} does not say what its licence is`);
  const holders = lines.filter((line) => /^(copyright\b.*(\d{4}|\(c\)\s)|©)/i.test(line));
  // The text of the GPL names its own author, and shows how to name others.
  const ownHolders = holders.filter((line) => !/Free Software Foundation|<year>/.test(line));
  const owner = typeof author === 'string' ? author : (author?.name ?? `the authors of ${name}`);
  return {
    folder,
    name,
    version,
    licence,
    // Two packages with one licence may word it differently: a text of its own gets a name of its own.
    shortName: licence,
    text: found === undefined ? body(lines) : null,
    common: found ?? null,
    copyright: ownHolders.length > 0 ? ownHolders : [owner],
  };
}

/** The terms alone, so that the same licence of two holders is the same text. */
function body(lines) {
  const kept = lines.filter(
    (line) => !/^(copyright\b|\(c\)|©|#* *(the )?(mit|isc|bsd)\b.*licen[cs]e|all rights reserved)/i.test(line),
  );
  return kept.join('\n').trim();
}

function licenceParagraphs(packages) {
  const texts = new Map([['Apache-2.0', common[0]]]);
  for (const entry of packages) {
    if (entry.common !== null) {
      texts.set(entry.shortName, entry.common);
      continue;
    }
    const same = (text) =>
      typeof text === 'string' && text.replaceAll(/\s+/g, ' ') === entry.text.replaceAll(/\s+/g, ' ');
    const known = [...texts].find(([, text]) => same(text));
    entry.shortName = known?.[0] ?? (texts.has(entry.licence) ? `${entry.licence}-${entry.name}` : entry.licence);
    texts.set(entry.shortName, known?.[1] ?? entry.text);
  }
  return [...texts].map(([shortName, text]) => [
    `License: ${shortName}`,
    ...(typeof text === 'string'
      ? text.split('\n').map((line) => (line === '' ? ' .' : ` ${line}`))
      : [` On Debian systems the text is in /usr/share/common-licenses/${text.file}.`]),
  ]);
}
