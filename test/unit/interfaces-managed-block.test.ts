import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parseInterfaces } from '../../src/interfaces/document.ts';
import {
  inspectManagedBlock,
  isAgentPortName,
  planManagedBlock,
  portNamesOf,
} from '../../src/interfaces/managed-block.ts';
import type { ForeignMention } from '../../src/interfaces/managed-block.ts';
import type { ListedPort } from '../../src/interfaces/port-stanza.ts';
import { parseBridgeName, parsePortName, parseVlanTag } from '../../src/model/names.ts';
import { comparePortNames } from '../../src/model/naming.ts';
import { foreignText, interfacesText, listedPorts } from '../support/interfaces-text.ts';

const tag = 'ovs-port-agent';
const cases = join(import.meta.dirname, '../cases/interfaces');

/** The ports of the property tests have names of two templates. */
const ownsName = (name: string): boolean => name.startsWith('ct_') || isAgentPortName(name);

function port(fields: Partial<ListedPort> = {}): ListedPort {
  return {
    port: parsePortName('vi100'),
    bridge: parseBridgeName('ovsbr0'),
    tag: parseVlanTag(10),
    trunks: [],
    vlanMode: null,
    owner: 'CT 100 net0 (veth100i0) web01',
    ...fields,
  };
}

describe('managed block', () => {
  for (const name of readdirSync(cases)) {
    it(`case ${name}`, () => {
      const before = readFileSync(join(cases, name, 'before'), 'latin1');
      const after = readFileSync(join(cases, name, 'after'), 'latin1');
      const { ports, foreign } = JSON.parse(readFileSync(join(cases, name, 'ports.json'), 'utf8')) as {
        ports: ListedPort[];
        foreign: ForeignMention[];
      };
      const plan = planManagedBlock(before, ports, tag);
      assert.equal(plan.text, after);
      assert.equal(plan.changed, before !== after);
      assert.deepEqual(plan.foreign, foreign);
      const taken = foreign.filter(({ kind }) => kind === 'iface').map(({ name: owner }) => owner);
      const expected = ports.map(({ port: listed }) => listed).filter((listed) => !taken.includes(listed));
      assert.deepEqual(plan.listed, expected.sort(comparePortNames));
      const second = planManagedBlock(after, ports, tag);
      assert.equal(second.text, after);
      assert.equal(second.changed, false);
    });
  }

  it('keeps 10,000 foreign lines and takes the block out again', () => {
    const stanzas = Array.from({ length: 2500 }, (_, i) => `auto eth${i}\niface eth${i} inet manual\n\tmtu 9000\n\n`);
    const before = stanzas.join('');
    const plan = planManagedBlock(before, [port()], tag);
    const block = readFileSync(join(cases, 'empty-file/after'), 'latin1');
    assert.equal(plan.text, `${before.slice(0, -1)}${block}\n`);
    assert.equal(planManagedBlock(plan.text, [], tag).text, before);
  });

  it('restores a foreign text byte for byte once no port is listed', () => {
    fc.assert(
      fc.property(foreignText(), listedPorts(), (before, ports) => {
        const { text, listed } = planManagedBlock(before, ports, tag);
        assert.equal(text !== before, listed.length > 0);
        assert.equal(planManagedBlock(text, [], tag, ownsName).text, before);
      }),
      { numRuns: 3000 },
    );
  });

  it('changes nothing the second time, whatever the text', () => {
    fc.assert(
      fc.property(interfacesText(), listedPorts(), (before, ports) => {
        const first = planManagedBlock(before, ports, tag);
        const second = planManagedBlock(first.text, ports, tag);
        assert.equal(second.text, first.text);
        assert.deepEqual(second.listed, first.listed);
        assert.deepEqual(
          second.foreign.map(({ name, kind }) => [name, kind]),
          first.foreign.map(({ name, kind }) => [name, kind]),
        );
      }),
      { numRuns: 3000 },
    );
  });

  it('reaches the same text through any other list of ports', () => {
    fc.assert(
      fc.property(interfacesText(), listedPorts(), listedPorts(), (before, detour, ports) => {
        const edit = (text: string, listed: ListedPort[]): string => planManagedBlock(text, listed, tag, ownsName).text;
        const once = edit(before, []);
        assert.equal(edit(edit(once, detour), []), once);
        assert.equal(edit(edit(once, detour), ports), edit(once, ports));
      }),
      { numRuns: 3000 },
    );
  });

  it('keeps every foreign line in its order, and every foreign stanza whole', () => {
    fc.assert(
      fc.property(interfacesText(), listedPorts(), (before, ports) => {
        const { text, listed } = planManagedBlock(before, ports, tag);
        assert.deepEqual(foreignLinesOf(text, listed), foreignLinesOf(before, listed));
      }),
      { numRuns: 3000 },
    );
  });

  it('reads back as exactly the listed ports, each with the comment', () => {
    fc.assert(
      fc.property(interfacesText(), listedPorts(), (before, ports) => {
        const { text, listed, foreign } = planManagedBlock(before, ports, tag);
        const own = ownStanzaNames(text, listed);
        assert.deepEqual(own, listed);
        const taken = new Set(foreign.filter(({ kind }) => kind === 'iface').map(({ name }) => name));
        assert.deepEqual(
          new Set([...listed, ...ports.map((wanted) => wanted.port).filter((name) => taken.has(name))]),
          new Set(ports.map((wanted) => wanted.port)),
        );
      }),
      { numRuns: 3000 },
    );
  });

  it('owns stanzas whose names another naming template gave, when told so', () => {
    const stanza = 'iface ct_db inet manual\n\tovs_type OVSPort\n#ovs-port-agent: db\n';
    assert.equal(planManagedBlock(stanza, [], tag).text, stanza);
    assert.equal(planManagedBlock(stanza, [], tag, portNamesOf('CT-{container}')).text, '');
  });

  it('knows the names of a template by its beginning, and never a network card', () => {
    const rows: [string, string, boolean][] = [
      ['vi_{container}', 'vi_web', true],
      ['vi_{container}', 'vi100i1', true],
      ['ct{index}', 'vi100', true],
      ['ct{index}', 'ct0', true],
      ['ct{index}', 'xct0', false],
      ['container-{container}', 'container_12345', true],
      ['{container}', 'web', false],
      ['{container}', 'vi100', true],
      ['c{container}', 'cweb', false],
      ['en{container}', 'eno1', false],
      ['eth{index}', 'eth0', false],
      ['nic{index}', 'nic0', false],
    ];
    for (const [template, name, expected] of rows)
      assert.equal(portNamesOf(template)(name), expected, `${template} ${name}`);
  });

  it('keeps blocks of two tags apart', () => {
    const first = planManagedBlock('auto lo\n', [port()], 'ovs').text;
    const second = planManagedBlock(first, [port({ port: parsePortName('vi101') })], tag).text;
    assert.ok(second.startsWith(first));
    assert.equal(planManagedBlock(second, [], tag).text, first);
  });

  describe('as doctor sees it', () => {
    const written = planManagedBlock('auto lo\n', [port(), port({ port: parsePortName('vi101') })], tag).text;
    const [begin, end] = ['# BEGIN ovs-port-agent\n', '# END ovs-port-agent\n'];
    const stanza = 'iface vi102 inet manual\n\tovs_type OVSPort\n#ovs-port-agent: CT 102\n';
    const rows: [string, string, number, number, number, boolean][] = [
      ['is in order as it was written', written, 2, 1, 1, true],
      ['is in order without stanzas', `${begin}\n${end}`, 0, 1, 1, true],
      ['is in order where Proxmox VE dropped the markers', written.replace(begin, '').replace(end, ''), 2, 0, 0, true],
      ['is not in order with a stanza before it', `${stanza}\n${written}`, 3, 1, 1, false],
      ['is not in order with a stanza behind it', `${written}\n${stanza}`, 3, 1, 1, false],
      ['counts its markers', `${begin}${written}${end}${end}`, 2, 2, 3, true],
    ];
    for (const [title, text, own, begins, ends, isInOrder] of rows) {
      it(title, () => {
        assert.deepEqual(inspectManagedBlock(text, tag), { own, begins, ends, isInOrder, foreign: [] });
      });
    }

    it('names what bears a name of ours and is not', () => {
      const { own, foreign } = inspectManagedBlock(`${written}\nauto vi100\n\niface vi200 inet manual\n`, tag);
      assert.equal(own, 2);
      assert.deepEqual(
        foreign.map(({ name, kind }) => [name, kind]),
        [
          ['vi100', 'auto'],
          ['vi200', 'iface'],
        ],
      );
    });
  });

  describe('comment', () => {
    const comment = (owner: string): string => {
      const { text } = planManagedBlock('', [port({ owner })], tag);
      const line = text.split('\n').find((content) => content.startsWith('#ovs-port-agent:'));
      return Buffer.from(line!, 'latin1').toString('utf8');
    };
    const rows: [string, string, string][] = [
      ['writes letters of every script as UTF-8', 'CT 100 Büro 東京 à', '#ovs-port-agent: CT 100 Büro 東京 à'],
      ['folds line breaks and runs of white space', ' a\r\n\tb\u2028c\u00a0 ', '#ovs-port-agent: a b c'],
      ['replaces what ifupdown2 or a reader could take for more', 'a\\$x%<\u0000\u202e#', '#ovs-port-agent: a__x_____'],
      ['leaves nothing but the mark for an empty owner', ' \n ', '#ovs-port-agent:'],
      ['ends after 128 bytes', 'x'.repeat(500), `#ovs-port-agent: ${'x'.repeat(128)}`],
      ['never cuts a character in two', 'x' + 'ü'.repeat(100), `#ovs-port-agent: x${'ü'.repeat(63)}`],
    ];
    for (const [title, owner, expected] of rows) {
      it(title, () => {
        assert.equal(comment(owner), expected);
      });
    }
  });

  it('refuses a tag that cannot stand in a marker', () => {
    for (const bad of ['', 'a b', 'a\n# b', '-a', 'x'.repeat(65)]) {
      assert.throws(() => planManagedBlock('', [], bad), { code: 'InvalidArgument' });
    }
  });

  it('refuses two ports of one name, naming both owners', () => {
    assert.throws(() => planManagedBlock('', [port(), port({ owner: 'VM 7' })], tag), {
      code: 'Conflict',
      message: /vi100.*CT 100.*VM 7/,
    });
  });

  it('refuses a vlan_mode that Open vSwitch does not have', () => {
    assert.throws(() => planManagedBlock('', [port({ vlanMode: 'trunk\n\tup x' })], tag), {
      code: 'InvalidArgument',
      message: /vlan_mode .* of port vi100/,
    });
  });
});

/** Said again in other words than the product's: a stanza is ours by name and comment, unless options follow a gap. */
function ownStanzaRanges(text: string, listed: readonly string[]): { name: string; start: number; end: number }[] {
  const { stanzas, lines } = parseInterfaces(text);
  return stanzas.flatMap((stanza) => {
    const content = lines.slice(stanza.start, stanza.end);
    const name = /^[ \t]*iface[ \t]+([^\s\\]+)/.exec(content[0] ?? '')?.[1] ?? '';
    const marked = stanza.entries.some(
      ({ kind, start }) => kind === 'comment' && /^[ \t]*#ovs-port-agent:/.test(lines[start] ?? ''),
    );
    const gap = stanza.entries.some(({ kind }) => kind === 'blank');
    const named = /^vi[0-9_]/.test(name) || listed.includes(name);
    return stanza.kind === 'iface' && named && marked && !gap ? [{ name, start: stanza.start, end: stanza.end }] : [];
  });
}

function ownStanzaNames(text: string, listed: readonly string[]): string[] {
  return ownStanzaRanges(text, listed).map(({ name }) => name);
}

/** Lines that are neither empty, nor a marker, nor part of a stanza of ours (comments of others in it are foreign). */
function foreignLinesOf(text: string, listed: readonly string[]): string[] {
  const { lines, stanzas } = parseInterfaces(text);
  const own = ownStanzaRanges(text, listed);
  return stanzas
    .flatMap(({ entries }) => entries)
    .filter(({ kind, start }) => {
      const line = lines[start] ?? '';
      if (kind === 'blank') return false;
      if (kind === 'comment' && /^# (?:BEGIN|END) ovs-port-agent\r?\n?$/.test(line)) return false;
      if (!own.some((range) => start >= range.start && start < range.end)) return true;
      return kind === 'comment' && !/^[ \t]*#ovs-port-agent:/.test(line);
    })
    .map(({ start, end }) =>
      lines
        .slice(start, end)
        .join('')
        .replace(/[\r\n\s]+$/, ''),
    );
}
