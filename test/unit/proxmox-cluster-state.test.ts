import assert from 'node:assert/strict';
import fc from 'fast-check';
import { clusterCodec } from '../../src/proxmox/cluster-codec.ts';
import { parseSectionConfig } from '../../src/proxmox/section-config.ts';
import { parseFolderStorages } from '../../src/proxmox/storages.ts';

/** As the cluster file system prints them. */
const version = `{
"starttime": 1760000000,
"clinfo": 4,
"vmlist": 27,
"corosync.conf": 1,
"user.cfg": 3,
"ha/resources.cfg": 2,
"kvstore": {
"pve1": {
"tasklist": 812}
,
"pve2": {
"tasklist": 40}
}
}
`;
const vmlist = `{
"version": 27,
"ids": {
"100": { "node": "pve1", "type": "lxc", "version": 21 },
"101": { "node": "pve1", "type": "qemu", "version": 9 },
"200": { "node": "pve2", "type": "lxc", "version": 3 }}

}
`;
const members = `{
"nodename": "pve1",
"version": 4,
"cluster": { "name": "prod", "version": 2, "nodes": 2, "quorate": 0 },
"nodelist": {
  "pve1": { "id": 1, "online": 1, "ip": "192.0.2.1"},
  "pve2": { "id": 2, "online": 0}
  }
}
`;

describe("the cluster file system's state", () => {
  it('counts what was written', () => {
    const { starttime, clinfo, vmlist: guests, files } = clusterCodec.version(version)!;
    assert.deepEqual([starttime, clinfo, guests, files.get('user.cfg'), files.get('kvstore')], [1760000000, 4, 27, 3, undefined]); // prettier-ignore
  });

  it('lists every guest of the cluster once, with kind, node and version', () => {
    assert.deepEqual(clusterCodec.vmlist(vmlist), [
      { vmid: 100, kind: 'lxc', node: 'pve1', version: 21 },
      { vmid: 101, kind: 'qemu', node: 'pve1', version: 9 },
      { vmid: 200, kind: 'lxc', node: 'pve2', version: 3 },
    ]);
    assert.deepEqual(clusterCodec.vmlist('{\n"version": 1\n\n}\n'), [], 'a cluster without guests');
  });

  it('passes over entries that are no guests', () => {
    const entry = (text: string): unknown => clusterCodec.vmlist(`{"version":1,"ids":{${text}}}`);
    for (const text of [
      '"99":{"node":"a","type":"lxc","version":1}',
      '"100":{"node":"a","type":"openvz","version":1}',
      '"100":{"node":1,"type":"lxc","version":1}',
      '"100":{"node":"a","type":"lxc"}',
      '"100":null',
      '"__proto__":{"node":"a","type":"lxc","version":1}',
      '"1e3":{"node":"a","type":"lxc","version":1}',
    ])
      assert.deepEqual(entry(text), [], text);
  });

  it('tells quorum and members, and that a node on its own needs no quorum', () => {
    assert.deepEqual(clusterCodec.members(members), {
      node: 'pve1',
      quorate: false,
      nodes: [
        { name: 'pve1', online: true },
        { name: 'pve2', online: false },
      ],
    });
    assert.deepEqual(clusterCodec.members('{"nodename": "pve1", "version": 0}'), {
      node: 'pve1',
      quorate: true,
      nodes: [],
    });
  });

  it('is not taken from anything else', () => {
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '1',
      '"a"',
      '{}',
      version.slice(0, -4),
      '{"version":-1}',
      '{"version":1,"ids":[]}',
    ])
      assert.deepEqual(
        [clusterCodec.version(text), clusterCodec.vmlist(text), clusterCodec.members(text)],
        [null, null, null],
        text,
      );
  });

  it('never throws, whatever it is made of', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: 'binary' })), (text) => {
        for (const parse of [clusterCodec.version, clusterCodec.vmlist, clusterCodec.members]) parse(text);
      }),
    );
  });
});

describe('high availability', () => {
  it('has guests with the state it wants them in', () => {
    const text =
      'ct: 100\n\tgroup g1\n\tstate stopped\n\n#comment\nvm: 101\n\nvm: 102\n    state ignored\r\n\nfoo: 103\nvm: x\n';
    assert.deepEqual(clusterCodec.haResources(text), [
      { kind: 'lxc', vmid: 100, state: 'stopped' },
      { kind: 'qemu', vmid: 101, state: 'started' },
      { kind: 'qemu', vmid: 102, state: 'ignored' },
    ]);
  });
});

describe('storages for hookscripts', () => {
  const text = `dir: local
	path /var/lib/vz
	content iso,vztmpl,snippets

lvmthin: local-lvm
	thinpool data
	vgname pve
	content rootdir,images

nfs: team
	export /srv
	server 192.0.2.9
	content snippets
	nodes pve1,pve2

dir: off
	path /mnt/off
	content snippets
	disable

dir: other
	path /mnt/other
	content snippets
	content-dirs iso=i,snippets=hooks/all
	shared 1
`;
  it('are folders, some in use for snippets', () => {
    assert.deepEqual(
      parseFolderStorages(text).map(({ content, ...storage }) => ({ ...storage, content: content.join() })),
      [
        {
          storage: 'local',
          folder: '/var/lib/vz/snippets',
          nodes: null,
          shared: false,
          allowsSnippets: true,
          content: 'iso,vztmpl,snippets',
        },
        {
          storage: 'team',
          folder: '/mnt/pve/team/snippets',
          nodes: ['pve1', 'pve2'],
          shared: true,
          allowsSnippets: true,
          content: 'snippets',
        },
        {
          storage: 'off',
          folder: '/mnt/off/snippets',
          nodes: null,
          shared: false,
          allowsSnippets: false,
          content: 'snippets',
        },
        {
          storage: 'other',
          folder: '/mnt/other/hooks/all',
          nodes: null,
          shared: true,
          allowsSnippets: true,
          content: 'snippets',
        },
      ],
    );
  });

  it('always have local, the folder that Proxmox VE takes for it, on every node', () => {
    for (const other of ['', 'zfspool: local\n\tpool x\n', 'dir: local\n\tpath /elsewhere\n\tcontent iso\n']) {
      const [local, ...others] = parseFolderStorages(other);
      assert.deepEqual([local?.folder, local?.allowsSnippets, others], ['/var/lib/vz/snippets', true, []], other);
    }
    const [local] = parseFolderStorages('dir: local\n\tnodes pve2\n\tcontent iso\n');
    assert.deepEqual([local?.folder, local?.allowsSnippets, local?.nodes], ['/var/lib/vz/snippets', false, null]);
  });
});

describe('pools', () => {
  it('hold guests, each in the first that claims it', () => {
    const text =
      'user:root@pam:1:0:::::\npool:web:front%3A ends:100,101:local:\npool:db/prod::101,200::\npool:a b::102::\npool:x\n';
    assert.deepEqual(
      [...clusterCodec.pools(text)],
      [
        [100, 'web'],
        [101, 'web'],
        [200, 'db/prod'],
      ],
    );
  });
});

describe('a section file', () => {
  it('is read however it is broken', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('dir: a', 'ct: 100', '\t', ' ', '\n', ':', 'path /x', '#', '\0', 'content')),
        (parts) => {
          const text = parts.join('');
          for (const { type, id } of parseSectionConfig(text)) assert.ok(text.includes(type) && text.includes(id));
          clusterCodec.haResources(text);
          parseFolderStorages(text);
          clusterCodec.pools(text);
        },
      ),
    );
  });

  it('keeps the first of two sections with one name, and what follows the second apart', () => {
    const [section, ...others] = parseSectionConfig('dir: a\n\tpath /1\n\ndir: a\n\tpath /2\n');
    assert.deepEqual([section?.properties.get('path'), others], ['/1', []]);
  });
});
