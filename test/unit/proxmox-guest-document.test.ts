import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { GuestKind } from '../../src/model/guest.ts';
import { parseVmid } from '../../src/model/names.ts';
import { parseGuestConfig, parseGuestDetails } from '../../src/proxmox/guest-config.ts';
import {
  deleteSetting,
  notesOf,
  parseGuestDocument,
  readLine,
  renderGuestDocument,
  setSetting,
  settingsOf,
} from '../../src/proxmox/guest-document.ts';
import { refusedWith } from '../support/refused.ts';

const container = `#Web server%3A see the wiki
#caf%C3%A9 100%25
arch: amd64
hostname: web01
hookscript: local:snippets/ovs-port-agent
lock: backup
net0: name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=dhcp,type=veth
onboot: 1
parent: before-update
tags: web;prod
template: 1
lxc.idmap: u 0 100000 65536
lxc.idmap = g 0 100000 65536

[pve:pending]
delete: swap
net0: name=eth0,bridge=ovsbr1,type=veth

[before-update]
#a snapshot%27s notes
hostname: old
snaptime: 1700000000
`;
const set = (text: string, key: string, value: string, kind: GuestKind = 'lxc'): string =>
  renderGuestDocument(setSetting(parseGuestDocument(kind, text), key, value));
const remove = (text: string, key: string): string =>
  renderGuestDocument(deleteSetting(parseGuestDocument('lxc', text), key));

/** Files as Proxmox VE and its users leave them, and files that nobody would write. */
const hostileText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }).map((text) => Buffer.from(text, 'utf8').toString('latin1')),
  fc
    .array(
      fc.constantFrom('net0: virtio,bridge=b', 'net0:', 'name: a', '[snap]', '[PENDING]', '[pve:pending]', '[special:cloudinit]', '[x]', '[', '#note%3A', '%C3', 'lxc.a = b', 'lxc.a: b', '\0', '\t', ' ', '\r', '\n', '\r\n', '\xff\xfe', ':', '='), // prettier-ignore
    )
    .map((parts) => parts.join('')),
);
const kind = fc.constantFrom('lxc' as const, 'qemu' as const);

describe("a guest's file as a document", () => {
  it('gives back every text unchanged', () => {
    fc.assert(
      fc.property(hostileText, kind, (text, guestKind) => {
        assert.equal(renderGuestDocument(parseGuestDocument(guestKind, text)), text);
      }),
      { numRuns: 1000 },
    );
  });

  it('has sections that cover every line, the one in force first', () => {
    fc.assert(
      fc.property(hostileText, kind, (text, guestKind) => {
        const { lines, sections } = parseGuestDocument(guestKind, text);
        assert.equal(sections[0].start, 0);
        for (const [index, section] of sections.entries()) {
          assert.ok(section.start <= section.end);
          assert.equal(sections[index + 1]?.start ?? lines.length + 1, section.end + 1);
        }
      }),
    );
  });

  it('knows pending changes, snapshots and special sections by the names that each kind gives them', () => {
    const sections = (guestKind: GuestKind): string[] =>
      parseGuestDocument(
        guestKind,
        'a: 1\n[pve:pending]\n[PENDING]\n[pending] \n[special:cloudinit]\n[before-update]\r\n[x]\n[a b]\n [late]\n',
      ).sections.map((section) => `${section.kind} ${section.name}`.trim());
    assert.deepEqual(sections('lxc'), [
      'current',
      'pending pve:pending',
      'snapshot PENDING',
      'snapshot pending',
      'special special:cloudinit',
      'snapshot before-update',
    ]);
    assert.deepEqual(sections('qemu'), [
      'current',
      'special pve:pending',
      'pending PENDING',
      'pending pending',
      'special special:cloudinit',
      'snapshot before-update',
    ]);
  });

  it('tells lines apart as Proxmox VE does', () => {
    assert.deepEqual(readLine('net0: virtio,bridge=a \t\r\n'), {
      kind: 'setting',
      key: 'net0',
      value: 'virtio,bridge=a',
    });
    assert.deepEqual(readLine('args:-cpu host'), { kind: 'setting', key: 'args', value: '-cpu host' });
    assert.deepEqual(readLine('lxc.net.0.type = veth\n'), { kind: 'lxc', key: 'lxc.net.0.type', value: 'veth' });
    assert.deepEqual(readLine('lxc.net.0.type:veth'), { kind: 'lxc', key: 'lxc.net.0.type', value: 'veth' });
    assert.deepEqual(readLine('#a note \n'), { kind: 'comment', text: 'a note' });
    for (const line of ['', '\n', ' \t\r\n', '\v\f']) assert.deepEqual(readLine(line), { kind: 'blank' }, line);
    // 0xA0 is the second byte of an à, not a blank.
    for (const line of ['net0 : a', ' net0: a', '\xa0', '=', 'a=b', ': b', '\0: b'])
      assert.deepEqual(readLine(line), { kind: 'unreadable' }, line);
  });

  it('takes the last of two settings with one key, and none without a value', () => {
    const document = parseGuestDocument('lxc', 'cores: 1\nmemory:\ncores: 2\n');
    assert.deepEqual([...settingsOf(document, document.sections[0])], [['cores', '2']]);
  });

  it('decodes notes, and leaves what is no encoding as it stands', () => {
    const notes = (text: string): string => {
      const document = parseGuestDocument('lxc', text);
      return notesOf(document, document.sections[0]);
    };
    assert.equal(notes(container), 'Web server: see the wiki\ncafé 100%\n');
    assert.equal(notes('#50% of %zz and %ff\n'), '50% of %zz and \xff\n');
    assert.equal(notes('description: an%0Aolder way\n'), 'an\nolder way');
  });
});

describe('one setting changed', () => {
  it('is one line of the section in force, and no other byte', () => {
    assert.equal(set(container, 'hostname', 'web02'), container.replace('hostname: web01', 'hostname: web02'));
    assert.equal(remove(container, 'lock'), container.replace('lock: backup\n', ''));
    assert.equal(remove(container, 'swap'), container, 'a key that only a pending change names');
    assert.equal(remove(container, 'snaptime'), container, 'a key that only a snapshot has');
  });

  it('goes where Proxmox VE would sort it, before the lines for LXC', () => {
    assert.equal(set(container, 'cores', '2'), container.replace('hostname:', 'cores: 2\nhostname:'));
    assert.equal(
      set(container, 'unprivileged', '1'),
      container.replace('lxc.idmap: u', 'unprivileged: 1\nlxc.idmap: u'),
    );
    assert.equal(set('#note\n\n[snap]\nname: old\n', 'name', 'a'), '#note\nname: a\n\n[snap]\nname: old\n');
    assert.equal(set('', 'name', 'a'), 'name: a\n');
  });

  it('counts where a key stands twice, and is gone from both when it is deleted', () => {
    assert.equal(set('cores: 1\ncores: 2\n', 'cores', '3'), 'cores: 1\ncores: 3\n');
    assert.equal(remove('cores: 1\nname: a\ncores: 2\n', 'cores'), 'name: a\n');
  });

  it('keeps line ends, and a file without the last one', () => {
    assert.equal(set('a: 1\r\nc: 1\r\n', 'b', '1'), 'a: 1\r\nb: 1\r\nc: 1\r\n');
    assert.equal(set('a: 1\r\n', 'a', '2'), 'a: 2\r\n');
    assert.equal(set('a: 1', 'b', '1'), 'a: 1\nb: 1');
    assert.equal(set('b: 1', 'a', '1'), 'a: 1\nb: 1');
    assert.equal(set('a: 1', 'a', '2'), 'a: 2');
  });

  for (const [key, value] of [
    ['hostname', 'a\nlock: backup'],
    ['hostname', 'a\r'],
    ['hostname', 'a\0'],
    ['hostname', ''],
    ['hostname', ' a'],
    ['hostname', 'ä\u0100'],
    ['Host', 'a'],
    ['a b', 'a'],
    ['lxc.idmap', 'u 0 1 2'],
    ['description', 'a'],
  ] as const) {
    it(`is refused when it is ${JSON.stringify(`${key}: ${value}`)}`, () => {
      assert.throws(() => set(container, key, value), refusedWith('InvalidArgument', 'is not'));
    });
  }

  const key = fc.constantFrom('cores', 'net0', 'hostname', 'arch', 'zfs');
  const value = fc.constantFrom('1', 'name=eth0,bridge=ovsbr0', 'a:b');

  it('is read back, and leaves every other setting of every section, whatever the file', () => {
    fc.assert(
      fc.property(hostileText, kind, key, value, (text, guestKind, name, wanted) => {
        const before = parseGuestDocument(guestKind, text);
        const after = parseGuestDocument(guestKind, renderGuestDocument(setSetting(before, name, wanted)));
        const expected = settingsOf(before, before.sections[0]).set(name, wanted);
        assert.deepEqual(new Map(settingsOf(after, after.sections[0])), expected);
        assert.deepEqual(
          after.sections.slice(1).map((section) => after.lines.slice(section.start, section.end)),
          before.sections.slice(1).map((section) => before.lines.slice(section.start, section.end)),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('and deleted again leaves the file as it was, when it was not set before', () => {
    fc.assert(
      fc.property(hostileText, kind, value, (text, guestKind, wanted) => {
        const before = parseGuestDocument(guestKind, text);
        const after = deleteSetting(setSetting(before, 'zfs', wanted), 'zfs');
        // A file without a last line end may have got one.
        assert.ok([text, `${text}\n`, `${text}\r\n`].includes(renderGuestDocument(after)));
      }),
    );
  });
});

describe("what a guest's file says beside its nics", () => {
  const vmid = parseVmid(100);

  it('is its lock, template, hookscript, tags, and whether changes wait', () => {
    const { guest, lock, template, hookscript, pending } = parseGuestConfig('lxc', vmid, container);
    assert.deepEqual(
      { lock, template, hookscript, tags: guest.tags, pending },
      {
        lock: 'backup',
        template: true,
        hookscript: 'local:snippets/ovs-port-agent',
        tags: ['web', 'prod'],
        pending: true,
      },
    );
  });

  it('is nothing where nothing is said, and an empty pending section waits for nothing', () => {
    const { guest, lock, template, hookscript, pending } = parseGuestConfig('qemu', vmid, 'name: a\n[PENDING]\n\n');
    assert.deepEqual([lock, template, hookscript, guest.tags, pending], [null, false, null, [], false]);
  });

  it('is told in full on demand', () => {
    const { settings, notes, parent, snapshots, nics } = parseGuestDetails('lxc', vmid, container);
    assert.equal(settings.get('arch'), 'amd64');
    assert.equal(notes, 'Web server: see the wiki\ncafé 100%\n');
    assert.deepEqual([parent, snapshots], ['before-update', ['before-update']]);
    assert.deepEqual([nics[0]?.nic, nics[0]?.ip, nics[0]?.name], ['net0', 'dhcp', 'eth0']);
  });

  it('is read as UTF-8 where it is UTF-8', () => {
    const latin1 = Buffer.from('name: büro\n').toString('latin1');
    assert.equal(parseGuestConfig('qemu', vmid, latin1).guest.name, 'büro');
    assert.equal(parseGuestConfig('qemu', vmid, 'name: b\xfcro\n').guest.name, 'b\xfcro');
  });

  for (const [what, text] of [
    ['blanks', `net0: ${' '.repeat(10_000_000)}x`],
    ['a line of one letter', 'a'.repeat(10_000_000)],
    ['headers', '[ab]\n'.repeat(2_000_000)],
    ['NUL bytes', '\0'.repeat(10_000_000)],
    ['keys', 'a: 1\n'.repeat(2_000_000)],
    ['blanks before an equals sign', `lxc.a${' '.repeat(10_000_000)}`],
  ] as const) {
    it(`is found in 10 MB of ${what} as well`, () => {
      assert.equal(parseGuestConfig('lxc', vmid, `hostname: web\n${text}`).guest.name, 'web');
    });
  }
});
