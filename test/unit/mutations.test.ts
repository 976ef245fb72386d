import assert from 'node:assert/strict';
import { analyseMutations, sourceText } from '../support/mutation-paths.ts';
import type { MutationReport } from '../support/mutation-paths.ts';

const of = (file: string, container: string, ...members: string[]): string[] =>
  members.map((member) => `src/${file} ${container}.${member}`);

/** What changes the switch, devices, units, guests, and files that are not the agent's own. */
const edges = new Set([
  ...of('ports/contracts.ts', 'Switch', 'transact'),
  ...of('ovsdb/client.ts', 'OvsdbClient', 'transact'),
  ...['ports/contracts.ts', 'platform/links.ts'].flatMap((file) =>
    of(file, 'Links', 'addAltnames', 'removeAltname', 'rename', 'giveBackNames', 'joinBridges'),
  ),
  ...of('platform/interfaces-file.ts', 'InterfacesFile', '#writePending', '#writeCurrent'),
  ...of('systemd1/systemd.ts', 'Systemd', 'startUnit', 'stopUnit', 'restartUnit', 'killUnit', 'runJob'),
  ...of('node/contracts.ts', 'GuestApi', 'control'),
  ...of('node/contracts.ts', 'NicApi', 'write'),
  ...of('node/contracts.ts', 'ContainerApi', 'create'),
  ...of('node/contracts.ts', 'SnippetFiles', 'put', 'remove'),
  ...of('node/setup/performer.ts', 'SetupFiles', 'write', 'remove', 'move'),
]);
/** Of the Proxmox API, whose types are made up from its description. */
const edgeMembers = new Set(['$post', '$put', '$delete']);

/** What makes a block durable before it runs what it is given. */
const ledgers = [
  ...of('ledger/ledger.ts', 'Ledger', 'writeAhead', 'writeAheadAll'),
  ...of('ports/contracts.ts', 'Recorder', 'writeAheadAll'),
];
/** What hands on to one of those, and is held to it below. */
const wrappers = [
  ...of('ports/contracts.ts', 'Journal', 'change'),
  ...of('ports/journal.ts', 'WriteAhead', 'change'),
  ...of('ports/devices.ts', 'Devices', '#change'),
  ...of('node/guest-control.ts', 'GuestControl', '#recorded'),
];
/** A block before each change: by the service itself, or by the running one for an administrator's command. */
const byService = [
  ...of('node/task-programs.ts', 'TaskProgramsOptions', 'recorded'),
  ...of('node/hooks/guest-hooks.ts', 'GuestHooksOptions', 'recorded'),
  ...of('node/setup/setup.ts', 'SetupOptions', 'recorded'),
];
const rules = {
  edges,
  edgeMembers,
  recorders: new Set([...ledgers, ...wrappers, ...byService]),
  roots: [
    ...['serve', 'unlist', 'acknowledge'].map((name) => `src/agent.ts ${name}`),
    'src/administration.ts setUpNode',
    ...of('node/hooks/guest-hooks.ts', 'GuestHooks', 'attach', 'detach'),
  ],
};

/**
 * Every import by which a file or a child process can be changed or begun, with what for. What is not here is found: add it
 * together with the edge that it is, or with the reason why it is no change of the world.
 */
const doors: Readonly<Record<string, readonly [imports: string, why: string]>> = {
  'src/administration.ts': ['mkdir', 'folders of its own state'],
  'src/agent.ts': ['mkdir', 'folders of its own state'],
  'src/platform/bindings-file.ts': ['replaceFile', 'its own state: the port has a block'],
  'src/platform/bounded-file.ts': ['open', 'reads'],
  'src/platform/container-names.ts': ['execa', 'a command of the configuration that prints a name'],
  'src/platform/durable-file.ts': ['open,rename,unlink', 'what the others replace files with'],
  'src/platform/flock.ts': ['execa,open', 'locks'],
  'src/platform/host-facts.ts': ['access,statfs', 'reads'],
  'src/platform/host-files.ts': ['open', 'reads'],
  'src/platform/interfaces-file.ts': ['replaceFile,unlink', 'edge'],
  'src/platform/ledger-evidence.ts': ['mkdir,open,rename', 'the ledger itself; `acknowledge` follows in the new one'],
  'src/platform/ledger-file.ts': ['fdatasyncSync,link,open,rename,rm,unlink,writeSync', 'the ledger itself'],
  'src/platform/ledger-index-files.ts': ['mkdir,open,rename,rm,writeFile', 'the ledger itself'],
  'src/platform/ledger-key-file.ts': ['replaceFile', 'the ledger itself'],
  'src/platform/ledger-segments.ts': ['open', 'reads'],
  'src/platform/ledger-tree-files.ts': ['mkdir,replaceFile,rm', 'the ledger itself'],
  'src/platform/ip-batch.ts': ['execa', 'what `Links` says, which is an edge'],
  'src/platform/link-monitor.ts': ['execa', 'reads'],
  'src/platform/programs.ts': ['execa', 'what a recorded step runs, and programs that print'],
  'src/platform/setup-files.ts': ['chmod,link,mkdir,replaceFile,unlink', 'edge; and its own journal'],
  'src/platform/snippet-files.ts': ['chmod,lstat,mkdir,rename,replaceFile,unlink', 'edge'],
  'src/platform/spool.ts': ['rename,unlink', 'its own state: each event becomes a block'],
  'src/platform/switch-log.ts': ['open', 'reads'],
  'src/platform/task-outputs.ts': ['mkdir,open,rm', 'its own state: what a tool prints, while it runs'],
  'src/platform/watchdog.ts': ['execa', 'tells systemd that the service lives'],
  'src/platform/witness-folder.ts': [
    'open',
    'what witnesses exchange is about blocks; a block for it would need another',
  ],
  'src/wiring.ts': ['mkdir', 'folders of its own state'],
};
const reading = new Set(['constants', 'existsSync', 'fstatSync', 'readFile', 'readFileAndInode', 'readFileOrNull', 'inodeOf', 'readdir', 'readSync', 'readlink', 'realpath', 'stat', 'statSync', 'unwatchFile', 'watchFile']); // prettier-ignore
const doorModules = ['fs', 'fs/promises', 'child_process', 'worker_threads', 'execa', './durable-file.ts', './platform/durable-file.ts']; // prettier-ignore

function changingImports(report: MutationReport): Record<string, string> {
  const found = [...report.importsOf(...doorModules)].map(([file, names]) => {
    const changing = names.filter((name) => !reading.has(name));
    return [file, changing.join()] as const;
  });
  return Object.fromEntries(found.filter(([, names]) => names !== '').sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What would be done unrecorded, where, by what text in the place of which, and the edge that is reached. */
const mutants = [
  [
    'a device that is named without a block',
    'src/ports/devices.ts',
    'const added = await this.#change(changes, cause, () => this.#links.addAltnames(free));',
    'const added = await this.#links.addAltnames(free);',
    'src/ports/contracts.ts Links.addAltnames',
  ],
  [
    'a transaction that goes past the journal',
    'src/ports/committer.ts',
    'return journal.change(planned, (blocks) => this.#transact(changes, blocks, txn, giveUp));',
    'void journal; void planned; return this.#transact(changes, [], txn, giveUp);',
    'src/ports/contracts.ts Switch.transact',
  ],
  [
    'a guest that is started although the plan is not recorded',
    'src/node/guest-control.ts',
    'await this.#recorded(vmid, plan, request, () => plan.run());',
    'await plan.run();',
    'src/node/contracts.ts GuestApi.control',
  ],
  [
    "a guest's nic that is written before its block",
    'src/node/guest-nics.ts',
    'await this.#options.recorder.writeAheadAll([draft], async () => {',
    'await this.#api(place).write(place, { nic, value: after, digest }, wait); await this.#options.recorder.writeAheadAll([draft], async () => {',
    'src/node/contracts.ts NicApi.write',
  ],
  [
    'a function that is handed on, not called',
    'src/ports/devices.ts',
    'await this.#links.observeAll();',
    'await ([this.#links.joinBridges].length > 0 ? this.#links.observeAll() : this.#links.observeAll());',
    'src/ports/contracts.ts Links.joinBridges',
  ],
  [
    'the interfaces file, written outside of what the journal runs',
    'src/platform/interfaces-file.ts',
    'await this.#keepOriginal(view.current.bytes, signal);',
    'await this.#keepOriginal(view.current.bytes, signal); await this.#writeCurrent(view, null, lock, signal);',
    'src/platform/interfaces-file.ts InterfacesFile.#writeCurrent',
  ],
  [
    'a call of the API that no contract stands before',
    'src/node/guest-api.ts',
    'return {\n    async control',
    'void client.api().nodes.$(clock as never).lxc.$post({} as never);\n  return {\n    async control',
    '*.$post',
  ],
  [
    'an import by which files go',
    'src/platform/host-files.ts',
    'import { open, readdir, stat }',
    'import { open, readdir, rm, stat }',
    '*.$post',
  ],
] as const;

describe('the record of mutations', function () {
  // The compiler reads the whole product for each.
  this.timeout(120_000);
  let report: MutationReport;

  before(() => {
    report = analyseMutations(rules);
  });

  it('is written before every change of switch, devices, files, units and guests, whoever asks for it', () => {
    assert.deepEqual(
      report.unrecorded.map((way) => way.join('\n  -> ')),
      [],
    );
  });

  it('is looked for at every file and child process that the product can change or begin', () => {
    assert.deepEqual(
      changingImports(report),
      Object.fromEntries(Object.entries(doors).map(([file, [imports]]) => [file, imports])),
    );
  });

  it('has no edge and no recorder that is not there', () => {
    const named = [...edges, ...rules.recorders, ...rules.roots];
    assert.deepEqual(
      named.filter((name) => !report.functions.has(name)),
      [],
    );
    for (const member of edgeMembers) {
      if (member !== '$delete') assert.notDeepEqual(report.mentionedBy(`*.${member}`), [], member);
    }
  });

  it('is the ledger in the end, whoever stands in between', () => {
    const records = new Set(ledgers.flatMap((ledger) => report.mentionedBy(ledger)));
    const viaOthers = new Set(wrappers.flatMap((wrapper) => report.mentionedBy(wrapper)));
    for (const wrapper of wrappers.slice(1)) assert.ok(records.has(wrapper) || viaOthers.has(wrapper), wrapper);
    assert.ok(records.has('src/ports/journal.ts WriteAhead.change'));
  });

  it('leaves systemd and the Proxmox API no other door', () => {
    assert.deepEqual(report.mentionedBy('src/systemd1/contract.ts SystemdBus.call'), [
      'src/systemd1/systemd.ts Systemd.#call',
    ]);
    assert.deepEqual(report.mentionedBy('src/proxmox/api-exchange.ts ApiTransport.exchange'), [
      'src/proxmox/api-client.ts ProxmoxClient.api',
    ]);
  });

  describe('finds, in sources that were changed,', () => {
    let changed: MutationReport;

    before(() => {
      const added = "import { writeFile } from 'node:fs/promises';\nvoid writeFile('/etc/x', '');\n";
      const texts: Record<string, string> = { 'src/platform/new-thing.ts': added };
      for (const [, file, from, to] of mutants) {
        const text = texts[file] ?? sourceText(file);
        assert.equal(text.split(from).length, 2, `${file} holds ${from} once`);
        texts[file] = text.replace(from, to);
      }
      changed = analyseMutations(rules, texts);
    });

    for (const [what, , , , edge] of mutants) {
      it(what, () => {
        assert.ok(changed.unrecorded.some((way) => way.at(-1) === edge));
      });
    }

    it('a file that begins to write', () => {
      const found = changingImports(changed);
      assert.equal(found['src/platform/new-thing.ts'], 'writeFile');
      assert.equal(found['src/platform/host-files.ts'], 'open,rm');
    });
  });
});
