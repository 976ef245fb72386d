import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { Diagnosis, Environment, HookChange, HookEntry, Hooks } from '../../src/cli/environment.ts';
import { run } from '../../src/cli/program.ts';
import type { SwitchLog } from '../../src/ledger/switch-check.ts';
import { AgentError, errorTable } from '../../src/model/errors.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import { attach, chunksOf, fileOf, ledgerBytes, linesOf, startMs } from '../support/ledger-fixtures.ts';
import { checkpointOf, headOf, nodeKeys, policyText, proofFileOf } from '../support/signed-logs.ts';

interface Run {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  readonly calls: unknown[];
  /** What Ctrl-C would say. */
  readonly interrupted: string;
  /** How long the last call was to wait; undefined: as every call. */
  readonly waitMs: number | undefined;
}

interface FakeEnvironment {
  /** Answers by member, or by `verb path` for the generic call. */
  readonly answers?: Readonly<Record<string, unknown>>;
  readonly error?: Error;
  readonly isTerminal?: boolean;
  readonly showsProgress?: boolean;
  /** Signals that arrive as soon as somebody listens. */
  readonly signals?: readonly (readonly unknown[])[];
  readonly colors?: boolean;
  readonly unicode?: boolean;
  readonly ledger?: Uint8Array;
  readonly hooks?: Hooks;
  readonly diagnosis?: Diagnosis;
  readonly canAsk?: boolean;
  /** To what the command asks. */
  readonly answer?: boolean;
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  readonly switchLog?: SwitchLog;
}

/** Runs the command as if it were typed. */
async function type(line: string, options: FakeEnvironment = {}): Promise<Run> {
  const {
    answers = {},
    error,
    isTerminal = false,
    showsProgress = false,
    signals = [],
    colors = false,
    unicode = false,
    ledger,
    hooks,
    diagnosis,
    canAsk = true,
    answer = true,
    files = {},
    switchLog,
  } = options;
  let written = '';
  const out: string[] = [];
  const err: string[] = [];
  const calls: unknown[] = [];
  let waitMs: number | undefined;
  let interrupted: () => string = () => '';
  const environment: Environment = {
    listen(member, handler) {
      calls.push(['listen', member]);
      for (const body of signals) handler(body);
      return Promise.resolve();
    },
    call(member, signature, body, deadlineMs) {
      waitMs = deadlineMs;
      calls.push([member, signature, ...body]);
      if (error !== undefined) return Promise.reject(error);
      if (member !== 'Call') return Promise.resolve([answers[member] ?? 'done']);
      const key = `${String(body[0])} ${String(body[1])}`;
      if (!(key in answers)) return Promise.reject(new Error(`the test has no answer for ${key}`));
      return Promise.resolve([JSON.stringify(answers[key])]);
    },
    serve(serveOptions) {
      calls.push(['serve', serveOptions]);
      return Promise.resolve(7);
    },
    unlist(unlistOptions) {
      calls.push(['unlist', unlistOptions]);
      return Promise.resolve(0);
    },
    acknowledge(acknowledgeOptions) {
      calls.push(['acknowledge', acknowledgeOptions]);
      return Promise.resolve(0);
    },
    openHooks(hookOptions) {
      calls.push(['openHooks', hookOptions]);
      return Promise.resolve(hooks ?? (() => assert.fail('the test has no hooks'))());
    },
    diagnose(doctorOptions) {
      calls.push(['diagnose', doctorOptions]);
      return diagnosis === undefined ? Promise.reject(new Error('nothing to see')) : Promise.resolve(diagnosis);
    },
    async setUp({ dialogue, ...setUpOptions }) {
      calls.push(['setUp', setUpOptions]);
      dialogue.say('a step');
      if (!(await dialogue.confirm('Do all this?'))) throw new AgentError('Conflict', 'nothing was done');
    },
    ask(question) {
      calls.push(['ask', question]);
      return Promise.resolve(answer);
    },
    onInterrupt(say) {
      interrupted = say;
      return () => undefined;
    },
    canAsk,
    readLedger(path) {
      calls.push(['readLedger', path]);
      const bytes = path in files ? Buffer.from(files[path]!) : ledger;
      if (bytes === undefined) throw new AgentError('NotFound', `${path} does not exist`);
      return chunksOf(bytes, 1000);
    },
    readSwitchLog(path) {
      calls.push(['readSwitchLog', path]);
      if (switchLog === undefined) return Promise.reject(new AgentError('NotFound', `${path} does not exist`));
      return Promise.resolve(switchLog);
    },
    write(bytes) {
      written += Buffer.from(bytes).toString();
      return Promise.resolve();
    },
    readFile(path) {
      const file = files[path];
      if (file === undefined) return Promise.reject(new AgentError('NotFound', `${path} does not exist`));
      return Promise.resolve(Buffer.from(file));
    },
    print: (text) => out.push(text),
    complain: (text) => err.push(text),
    isTerminal,
    showsProgress,
    unicode,
    colors,
    node: 'pve1',
    version: '1.2.3',
  };
  const exitCode = await run(environment, line === '' ? [] : line.split(' '));
  return { exitCode, out: written + out.join('\n'), err: err.join('\n'), calls, waitMs, interrupted: interrupted() };
}

const twoPorts = {
  'get /ports': [
    { port: 'vi100', bridge: 'ovsbr0', netdev: 'veth100i0', tag: 10 },
    { port: 'vi101', bridge: 'ovsbr1', netdev: 'veth101i0' },
  ],
};
const status = {
  state: 'running',
  version: '1.2.3',
  switch: 'connected, Open vSwitch 3.5.0',
  ports: 2,
  ledger: '5 blocks',
  interfaces: 'in step',
  problems: [],
};

describe('guest', () => {
  const started = {
    'create /guests/100/status/start': {
      guest: 'CT 100',
      action: 'start',
      state: 'running',
      changed: true,
      way: 'pct',
      reasons: ['it has pending changes', 'high availability manages it'],
      ports: 'CT 100: net0 is vi100 on ovsbr0, tag 10',
    },
  };

  it('says what became of the guest and of its ports, and why systemd was not enough', async () => {
    const { exitCode, out, err, calls, waitMs } = await type('guest start 100', { answers: started });
    assert.deepEqual([exitCode, err], [0, '']);
    assert.equal(
      out,
      'CT 100 is running (start by pct, because it has pending changes and high availability manages it)\n' +
        'CT 100: net0 is vi100 on ovsbr0, tag 10',
    );
    assert.deepEqual(calls, [['Call', 'sss', 'create', '/guests/100/status/start', '{}']]);
    assert.equal(waitMs, 150_000);
  });

  it('waits as long as it is told to, and prints JSON', async () => {
    const answers = {
      'create /guests/100/status/stop': { guest: 'CT 100', action: 'stop', state: 'stopped', changed: false },
    };
    const { out, calls, waitMs } = await type('guest stop 100 --timeout 300 --output-format json', { answers });
    assert.deepEqual(JSON.parse(out), answers['create /guests/100/status/stop']);
    assert.deepEqual(calls, [['Call', 'sss', 'create', '/guests/100/status/stop', '{"timeout":300}']]);
    assert.equal(waitMs, 390_000);
    assert.equal((await type('guest stop 100', { answers })).out, 'CT 100 is stopped already');
  });

  it('shows progress of this guest to a terminal, before it asks', async () => {
    const signals = [
      [101, 'another'],
      [100, 'mounting'],
    ];
    const { err, calls } = await type('guest start 100', { answers: started, showsProgress: true, signals });
    assert.equal(err, 'mounting');
    assert.deepEqual(calls[0], ['listen', 'GuestProgress']);
  });

  it('ends with the code of what went wrong', async () => {
    for (const [code, exit] of [
      ['Timeout', 11],
      ['Busy', 7],
      ['NotApplied', 8],
    ] as const) {
      assert.equal((await type('guest shutdown 100', { error: new AgentError(code, 'so') })).exitCode, exit);
    }
    for (const line of ['guest start', 'guest start 99', 'guest start web', 'guest start 100 --timeout x']) {
      assert.equal((await type(line)).exitCode, 64, line);
    }
  });

  it('waits longer for the pvesh-style call too', async () => {
    const { waitMs } = await type('create /guests/100/status/start --timeout 120', { answers: started });
    assert.equal(waitMs, 210_000);
  });
});

describe('guest create', () => {
  const line = 'guest create 102 --template local:vztmpl/d.tar.zst';
  const call = 'pvesh create /nodes/pve1/lxc --vmid 102';
  const answers = { 'create /guests': { guest: 'CT 102', node: 'pve1', changed: true, call } };
  const upid = 'UPID:pve1:00000001:0099AABB:68AE1234:vzcreate:102:agent@pve!test:';
  const signals = [
    [101, 'task UPID:of:another'],
    [102, `task ${upid}`],
    [102, 'extracting archive'],
  ];

  it('shows the task as it goes on to a terminal, and says what became of it', async () => {
    const { out, err, calls, waitMs } = await type(`${line} --size 8 --start --timeout 300`, { answers, signals, showsProgress: true }); // prettier-ignore
    assert.deepEqual([out, err], ['CT 102 is created on pve1', `task ${upid}\nextracting archive`]);
    assert.deepEqual(calls, [
      ['listen', 'GuestProgress'],
      ['Call', 'sss', 'create', '/guests', '{"vmid":102,"template":"local:vztmpl/d.tar.zst","size":8,"start":true,"timeout":300}'], // prettier-ignore
    ]);
    assert.equal(waitMs, 390_000);
  });

  it('tells who stops waiting which task goes on, also in a pipe', async () => {
    const { interrupted, err } = await type(line, { answers, signals });
    assert.deepEqual([interrupted, err], [`no longer waiting; the task goes on in Proxmox VE: ${upid}`, '']);
    assert.match((await type(line, { answers })).interrupted, /is not known yet/);
  });

  it('prints the call alone in a dry run', async () => {
    const { out, calls } = await type(`${line} --dry-run`, { answers });
    assert.deepEqual(
      [out, calls],
      [call, [['Call', 'sss', 'create', '/guests', '{"vmid":102,"template":"local:vztmpl/d.tar.zst","dry_run":true}']]],
    );
    const json = await type(`${line} --output-format json`, { answers });
    assert.deepEqual(JSON.parse(json.out), answers['create /guests']);
  });

  it('refuses what it would have to guess', async () => {
    for (const bad of ['guest create 102', `guest create web --template x`, `${line} --size big`]) {
      assert.equal((await type(bad)).exitCode, 64, bad);
    }
  });
});

describe('guest net', () => {
  const before = 'name=eth0,bridge=ovsbr0,tag=10';
  const after = 'name=eth0,bridge=ovsbr0,tag=20';
  const net0 = { nic: 'net0', value: before, bridge: 'ovsbr0', tag: 10 };
  const changed = { guest: 'CT 100', nic: 'net0', changed: true, before, after, way: 'api' };

  it('lists the cards, or shows one', async () => {
    const answers = { 'get /guests/100/net': [net0], 'get /guests/100/net/net0': net0 };
    assert.match((await type('guest net 100', { answers })).out, /\| net0 \| ovsbr0 \| 10 {2}\|/);
    const { out } = await type('guest net 100 net0 --output-format json', { answers });
    assert.deepEqual(JSON.parse(out), net0);
  });

  it('changes what is given and nothing else, and says what it was', async () => {
    const answers = { 'set /guests/100/net/net0': changed };
    const { out, calls, waitMs } = await type('guest net 100 net0 --tag 20 --link-down 0', { answers });
    assert.equal(out, `CT 100: net0 was ${before}\nCT 100: net0 is ${after} (by api)`);
    assert.deepEqual(calls, [['Call', 'sss', 'set', '/guests/100/net/net0', '{"tag":"20","link_down":"0"}']]);
    assert.equal(waitMs, 150_000);
    const json = await type('guest net 100 net0 --bridge b --timeout 5 --output-format json', { answers });
    assert.deepEqual(JSON.parse(json.out), changed);
    assert.equal(json.waitMs, 95_000);
  });

  it('says that there was nothing to do', async () => {
    const same = { guest: 'CT 100', nic: 'net0', changed: false, before, after: before };
    const gone = { guest: 'CT 100', nic: 'net1', changed: false };
    const answers = { 'set /guests/100/net/net0': same, 'delete /guests/100/net/net1': gone };
    assert.equal((await type('guest net 100 net0 --tag 10', { answers })).out, `CT 100: net0 is so already: ${before}`);
    assert.equal((await type('guest net 100 net1 --delete', { answers })).out, 'CT 100 has no net1');
  });

  it('takes a card away', async () => {
    const gone = { guest: 'CT 100', nic: 'net0', changed: true, before, way: 'api' };
    const { out } = await type('guest net 100 net0 --delete', { answers: { 'delete /guests/100/net/net0': gone } });
    assert.equal(out, `CT 100: net0 was ${before}\nCT 100: net0 is gone (by api)`);
  });

  it('adds a card, the number left to the guest or given', async () => {
    const added = { guest: 'CT 100', nic: 'net1', changed: true, after: 'name=eth1,bridge=b', way: 'api' };
    const answers = { 'create /guests/100/net': added };
    const { out, calls } = await type('guest net 100 --add bridge=b --timeout 5', { answers });
    assert.equal(out, 'CT 100: net1 is name=eth1,bridge=b (by api)');
    assert.deepEqual(calls, [['Call', 'sss', 'create', '/guests/100/net', '{"options":"bridge=b","timeout":5}']]);
    const given = await type('guest net 100 net1 --add bridge=b --output-format json', { answers });
    assert.deepEqual(JSON.parse(given.out), added);
    assert.deepEqual(given.calls, [
      ['Call', 'sss', 'create', '/guests/100/net', '{"nic":"net1","options":"bridge=b"}'],
    ]);
  });

  it('says in a dry run what would be', async () => {
    const would = { guest: 'CT 100', nic: 'net0', changed: false, before, after, way: 'api' };
    const gone = { guest: 'CT 100', nic: 'net0', changed: false, before, way: 'api' };
    const answers = { 'set /guests/100/net/net0': would, 'delete /guests/100/net/net0': gone };
    const { out, calls } = await type('guest net 100 net0 --tag 20 --dry-run', { answers });
    assert.equal(out, `CT 100: net0 is ${before}\nCT 100: net0 would be ${after} (by api)`);
    assert.deepEqual(calls, [['Call', 'sss', 'set', '/guests/100/net/net0', '{"tag":"20","dry_run":true}']]);
    const taken = await type('guest net 100 net0 --delete --dry-run', { answers });
    assert.equal(taken.out, `CT 100: net0 is ${before}\nCT 100: net0 would be gone (by api)`);
  });

  it('refuses what it would have to guess', async () => {
    for (const line of [
      'guest net',
      'guest net 100 net1 --add bridge=b --tag 20',
      'guest net 100 net1 --add bridge=b --delete',
      'guest net web',
      'guest net 100 eth0',
      'guest net 100 --tag 20',
      'guest net 100 --delete',
      'guest net 100 net0 --delete --tag 20',
      'guest net 100 net0 --firewall on',
    ]) {
      assert.equal((await type(line)).exitCode, 64, line);
    }
  });
});

describe('the command line', () => {
  describe('list', () => {
    it('prints names to a pipe, one on a line', async () => {
      const { exitCode, out, err, calls } = await type('list', { answers: twoPorts });
      assert.deepEqual([exitCode, out, err], [0, 'vi100\nvi101', '']);
      assert.deepEqual(calls, [['Call', 'sss', 'get', '/ports', '{}']]);
    });

    it('prints a table to a terminal', async () => {
      const { out } = await type('list', { answers: twoPorts, isTerminal: true });
      assert.match(out, /^\+-+\+/);
      assert.match(out, /\| ovsbr0 \| veth100i0 \| vi100 \| 10 {2}\|/);
    });

    it('prints JSON when asked, wherever it goes', async () => {
      const { out } = await type('list --output-format json', { answers: twoPorts, isTerminal: true });
      assert.deepEqual(JSON.parse(out), twoPorts['get /ports']);
    });

    it('prints nothing when there is nothing', async () => {
      for (const isTerminal of [true, false]) {
        const { exitCode, out } = await type('list', { answers: { 'get /ports': [] }, isTerminal });
        assert.deepEqual([exitCode, out], [0, '']);
      }
    });
  });

  describe('guest', () => {
    const guests = [{ vmid: 100, kind: 'lxc', name: 'web', status: 'running', node: 'pve1' }];

    it('lists vmids to a pipe, and a table to a terminal', async () => {
      const answers = { 'get /guests': guests };
      const { exitCode, out, calls } = await type('guest list', { answers });
      assert.deepEqual([exitCode, out, calls], [0, '100', [['Call', 'sss', 'get', '/guests', '{}']]]);
      assert.match((await type('guest list', { answers, isTerminal: true })).out, /\| lxc {2}\| web {2}\| pve1 \|/);
      assert.deepEqual((await type('guest list --local', { answers })).calls, [
        ['Call', 'sss', 'get', '/guests', '{"local":true}'],
      ]);
    });

    it('shows one as a document', async () => {
      const answers = { 'get /guests/100': { ...guests[0], config: { net0: 'bridge=ovsbr0' } } };
      const { out } = await type('guest show 100', { answers });
      assert.ok(out.endsWith('config:\n  net0: bridge=ovsbr0'), out);
      assert.deepEqual(
        JSON.parse((await type('guest show 100 --output-format json', { answers })).out),
        answers['get /guests/100'],
      );
      assert.equal((await type('guest show web', { answers })).exitCode, 64);
    });
  });

  describe('status', () => {
    it('prints facts, then problems, one on a line', async () => {
      const problems = ['vi100: bridge is missing', 'the ledger was altered'];
      const { out } = await type('status', { answers: { 'get /status': { ...status, state: 'degraded', problems } } });
      assert.deepEqual(out.split('\n').slice(-2), [
        'problems:   vi100: bridge is missing',
        `            ${problems[1]!}`,
      ]);
      assert.ok(out.startsWith('state:      degraded\nversion:    1.2.3\n'));
    });

    it('is in colour only where colours are wanted', async () => {
      const answers = { 'get /status': status };
      assert.ok(!(await type('status', { answers })).out.includes('\x1b'));
      assert.ok((await type('status', { answers, colors: true })).out.includes('\x1b[32mrunning'));
    });
  });

  describe('the verbs of pvesh', () => {
    it('print what the resource answers', async () => {
      const { exitCode, out } = await type('get /ports --noborder --noheader', { answers: twoPorts });
      assert.deepEqual([exitCode, out], [0, 'ovsbr0 veth100i0 vi100 10\novsbr1 veth101i0 vi101']);
    });

    it('take parameters as --key value and --key=value', async () => {
      for (const words of ['--netdev ve7 --container web --vmid 107', '--netdev=ve7 --container=web --vmid=107']) {
        const { exitCode, out, calls } = await type(`create /ports ${words}`, {
          answers: { 'create /ports': 'vi107' },
        });
        assert.deepEqual([exitCode, out], [0, 'vi107']);
        assert.deepEqual(calls, [['Call', 'sss', 'create', '/ports', '{"netdev":"ve7","container":"web","vmid":107}']]);
      }
    });

    it('send parameters of the path in the path alone', async () => {
      const { calls } = await type('delete ports/vi107/', { answers: { 'delete /ports/vi107': 'vi107' } });
      assert.deepEqual(calls, [['Call', 'sss', 'delete', '/ports/vi107', '{}']]);
    });

    it('know this node’s own branch of the tree', async () => {
      const { exitCode } = await type('get /nodes/pve1/ports', { answers: twoPorts });
      assert.equal(exitCode, 0);
      assert.equal((await type('get /nodes/pve2/ports')).exitCode, 255);
    });

    it('print nothing when told to be quiet', async () => {
      assert.equal((await type('get /ports --quiet', { answers: twoPorts })).out, '');
    });

    for (const [line, exit, said] of [
      ['get /x', 255, "no such resource '/x'"],
      ['ls /x', 255, "no such resource '/x'"],
      ['usage /x', 255, "no such resource '/x'"],
      ['delete /ports', 1, "No 'delete' handler defined for '/ports'"],
      ['usage /ports --command set', 1, "No 'set' handler defined for '/ports'"],
      [
        'create /ports',
        255,
        '400 Parameter verification failed.\nnetdev: property is missing and it is not optional\novs-port-agent create /ports --netdev <string> [OPTIONS]',
      ],
      ['create /ports --netdev x --vmid 5', 255, 'vmid: value must have a minimum value of 100'],
      ['create /ports --netdev', 255, '--netdev: expected --key value'],
      ['create /ports netdev x', 255, 'netdev: expected --key value'],
      ['get /ledger/blocks --limt 5', 255, 'limt: property is not defined in schema; did you mean limit?'],
    ] as const) {
      it(`say what is wrong with \`${line}\`, as pvesh does, without asking the service`, async () => {
        const { exitCode, out, err, calls } = await type(line);
        assert.equal(exitCode, exit);
        assert.ok(err.includes(said), err);
        assert.deepEqual([out, calls], ['', []]);
      });
    }

    it('list what is below a path', async () => {
      const { exitCode, out } = await type('ls /');
      assert.equal(exitCode, 0);
      assert.ok(out.split('\n').includes('Dr-c-        ports'), out);
      assert.ok(out.split('\n').includes('-r---        version'), out);
    });

    it('describe how a path is called', async () => {
      const { exitCode, out } = await type('usage /ports --command create');
      assert.equal(exitCode, 0);
      assert.match(out, /^USAGE: ovs-port-agent create \/ports --netdev <string> \[OPTIONS\]/);
    });
  });

  describe('the older tool’s commands', () => {
    for (const [line, call] of [
      ['create-interface veth7 web 107', ['create_container_interface', 'ssu', 'veth7', 'web', 107]],
      ['remove-interface vi107', ['remove_container_interface', 's', 'vi107']],
      ['reconcile', ['Reconcile', '']],
    ] as const) {
      it(`\`${line}\` makes one call and prints its answer`, async () => {
        const { exitCode, out, calls } = await type(line);
        assert.deepEqual([exitCode, out, calls], [0, 'done', [call]]);
      });
    }

    it('`query-state` prints a document, "network" and --plugin included', async () => {
      const answers = { QueryState: '{"net":{"interfaces":[]}}' };
      for (const line of ['query-state network', 'query-state --plugin network']) {
        const { exitCode, out, calls } = await type(line, { answers });
        assert.deepEqual(
          [exitCode, JSON.parse(out), calls],
          [0, { net: { interfaces: [] } }, [['QueryState', 's', 'network']]],
        );
      }
      assert.deepEqual((await type('query-state', { answers })).calls, [['QueryState', 's', '']]);
    });

    for (const [line, name] of [
      ['name web 0', 'vi_web'],
      ['name web 0 107', 'vi107'],
      ['name web 1 107', 'vi107i1'],
      ['name web 3 --template p{index}_{container}', 'p3_web'],
    ] as const) {
      it(`\`${line}\` prints ${name}, and needs no service`, async () => {
        const { exitCode, out, calls } = await type(line);
        assert.deepEqual([exitCode, out, calls], [0, name, []]);
      });
    }

    for (const line of ['name a/b 0', 'name web 0 99', 'name web 32 107', 'create-interface veth7 web 1e3']) {
      it(`\`${line}\` is a mistake of usage`, async () => {
        const { exitCode, err, calls } = await type(line);
        assert.equal(exitCode, 64);
        assert.match(err, /^ovs-port-agent: .* is not valid/);
        assert.deepEqual(calls, []);
      });
    }
  });

  describe('ledger', () => {
    it('exports a period of a file, and says where that is not valid', async () => {
      const ledger = ledgerBytes(5);
      const all = await type('ledger export --since 2025-10-14', { ledger });
      assert.deepEqual([all.exitCode, all.out], [0, ledger.toString()]);
      assert.deepEqual(all.calls, [['readLedger', '/var/lib/ovs-port-agent/ledger.jsonl']]);
      const table = await type('ledger export /x --since 2025-10-14 --until 2025-10-14T12:00:02Z --format csv', {
        ledger,
      });
      assert.equal(table.out.split('\r\n').length, 4);
      const altered = Buffer.from(ledger.toString().replace('vi102', 'vi666'));
      const bad = await type('ledger export /x --since 2025-10-14', { ledger: altered });
      assert.deepEqual([bad.exitCode, bad.out.split('\n').length], [1, 3]);
      assert.match(bad.err, /exported up to block 2 at byte \d+, which is not valid/);
      const torn = await type('ledger export /x --since 2025-10-14', { ledger: ledger.subarray(0, -1) });
      assert.deepEqual([torn.exitCode, torn.err], [0, '']);
      assert.equal((await type('ledger export /x', { ledger })).exitCode, 64);
      assert.equal((await type('ledger export /x --since soon', { ledger })).exitCode, 64);
      assert.equal((await type('ledger export /x --since 2025-10-14 --format xml', { ledger })).exitCode, 64);
    });

    it("holds a file against the log of the switch's database", async () => {
      const ledger = ledgerBytes(5);
      const lines = ledger.toString().trimEnd().split('\n').map((line) => Buffer.from(line)); // prettier-ignore
      const root = headOf(lines).sha256_root_hash.toString('base64');
      const log = { fromMs: startMs, toMs: startMs + 9000, isCompacted: true, transactions: 7 };
      const own = [{ name: 'a-1', dateMs: startMs - 1, tree: null }];
      const good = await type('ledger verify /x --switch', { ledger, switchLog: { ...log, own } });
      assert.equal(good.exitCode, 0);
      assert.equal(
        good.out,
        [
          'VALID: 0 transactions of the switch are in the ledger',
          'the log of the switch has 7 transactions from 2025-10-14T12:00:00.000Z to 2025-10-14T12:00:09.000Z; of what was before it tells nothing: it was compacted then',
          '1 of the agent are older than this ledger, which says nothing of them',
        ].join('\n'),
      );
      assert.deepEqual(good.calls[0], ['readSwitchLog', '/etc/openvswitch/conf.db']);
      const forged = [
        { name: 'b-1', dateMs: startMs, tree: { size: 5, rootHash: root } },
        { name: 'b-2', dateMs: startMs, tree: { size: 9, rootHash: root } },
        { name: 'b-3', dateMs: startMs, tree: null },
      ];
      const bad = await type('ledger verify --switch-db /y', { ledger, switchLog: { ...log, own: forged } });
      assert.equal(bad.exitCode, 1);
      assert.match(
        bad.out,
        /^INVALID: transaction b-1 of .* is not in the ledger\nand: transaction b-2 of .* 9 blocks/,
      );
      assert.match(bad.out, /\n1 of the agent were made while the ledger took no blocks$/);
      assert.deepEqual(bad.calls, [['readSwitchLog', '/y'], ['readLedger', '/var/lib/ovs-port-agent/ledger.jsonl']]); // prettier-ignore
      const empty = { fromMs: null, toMs: null, isCompacted: false, transactions: 0, own: [] };
      assert.match((await type('ledger verify --switch', { ledger, switchLog: empty })).out, /empty: nothing could be/);
      assert.equal((await type('ledger verify --switch', { ledger })).exitCode, 2);
    });

    it('lists the ledgers of the older tool that it commits to, and shows one', async () => {
      const old = Buffer.from('{"older":1}\n{"older":2}\n');
      const sha256 = hash('sha256', old);
      const imported = (file: string, plugin = 'ledger') =>
        attach(1, { category: 'storage', action: 'imported', metadata: { plugin }, data: { file, length: old.length, sha256, offset: 0 } }); // prettier-ignore
      const ledger = fileOf(linesOf([imported('ledger.imported-00000001.jsonl'), imported('forged', 'external')]));
      const files = { '/s/ledger.jsonl': ledger, '/s/ledger.imported-00000001.jsonl': old };
      const listed = await type('ledger imported --ledger /s/ledger.jsonl', { files });
      assert.deepEqual(
        [listed.exitCode, listed.out],
        [0, `ledger.imported-00000001.jsonl intact: 24 bytes, SHA-256 ${sha256}, says block 0`],
      );
      const shown = await type('ledger imported ledger.imported-00000001.jsonl --ledger /s/ledger.jsonl', { files });
      assert.deepEqual([shown.exitCode, shown.out], [0, old.toString()]);
      const altered = { ...files, '/s/ledger.imported-00000001.jsonl': 'x' };
      const bad = await type('ledger imported --ledger /s/ledger.jsonl', { files: altered });
      assert.deepEqual([bad.exitCode, bad.out.split(' ')[1]], [1, 'altered:']);
      const gone = await type('ledger imported --ledger /s/ledger.jsonl', { files: { '/s/ledger.jsonl': ledger } });
      assert.deepEqual([gone.exitCode, gone.out.split(' ')[1]], [1, 'missing:']);
      assert.equal((await type('ledger imported forged --ledger /s/ledger.jsonl', { files })).exitCode, 3);
      const none = await type('ledger imported --ledger /x', { files: { '/x': ledgerBytes(3) } });
      assert.deepEqual([none.exitCode, none.out], [0, '']);
    });

    it('says of which blocks it cannot tell whether they commit to another ledger', async () => {
      const data = { file: 'ledger-000001.jsonl', offset: 900 };
      const segment = attach(1, { category: 'storage', action: 'segment', metadata: { plugin: 'ledger' }, data });
      const rest = linesOf([attach(100), attach(101), segment, attach(102)]).slice(2);
      const listed = await type('ledger imported --ledger /x', { files: { '/x': fileOf(rest) } });
      assert.deepEqual([listed.exitCode, listed.out], [0, '']);
      assert.match(listed.err, /blocks 0 to 1 are in segments that were moved away: whether they name another is not/);
    });

    it('verifies a file without the service', async () => {
      const ledger = ledgerBytes(5);
      const good = await type('ledger verify /x', { ledger });
      assert.equal(good.exitCode, 0);
      assert.match(good.out, /^VALID: 5 blocks, last hash [0-9a-f]{64}$/);
      assert.deepEqual(good.calls, [['readLedger', '/x']]);
      const altered = Buffer.from(ledger);
      altered[altered.indexOf('vi102')] = 0x56;
      const bad = await type('ledger verify /x', { ledger: altered });
      assert.equal(bad.exitCode, 1);
      assert.match(bad.out, /^INVALID: block 2 at byte \d+: /);
    });

    it('exits 1 when the service finds it altered, 2 when it cannot be told', async () => {
      assert.equal(
        (await type('ledger verify', { answers: { verify_blockchain_integrity: 'VALID: 1 blocks' } })).exitCode,
        0,
      );
      assert.equal(
        (await type('ledger verify', { answers: { verify_blockchain_integrity: 'INVALID: block 1' } })).exitCode,
        1,
      );
      const { exitCode, err } = await type('ledger verify', { error: new AgentError('Unavailable', 'no service') });
      assert.equal(exitCode, 2);
      assert.match(err, /could not verify: no service/);
      assert.equal((await type('ledger verify /missing')).exitCode, 2);
    });

    describe('verify with a checkpoint', () => {
      const [key, other] = nodeKeys;
      const vkey = key.verifierKey.render();
      const ledger = ledgerBytes(5);
      const note = checkpointOf(linesOf([100, 101, 102].map((vmid) => attach(vmid))), key);
      const files = { '/l/checkpoint': note, '/kept': note, '/text': 'hello\n' };
      for (const [line, bytes, exitCode, said] of [
        [
          `/l/ledger.jsonl --key ${vkey}`,
          ledger,
          0,
          /^VALID: 5 blocks.*\nthe first 3 are those of the checkpoint of prod\/pve1\/ovs-port-agent, signed by that key$/,
        ],
        [
          '/l/ledger.jsonl --checkpoint /kept',
          ledger,
          0,
          /^VALID: 5 blocks.*\nthe first 3 .*; its signature was not checked$/,
        ],
        [
          `/l/ledger.jsonl --key ${vkey}`,
          ledgerBytes(2),
          1,
          /^INVALID: block 2 at byte \d+: the file ends there; the checkpoint covers 3 blocks$/,
        ],
        [
          '/l/ledger.jsonl --checkpoint /kept',
          fileOf(linesOf([100, 101, 999].map((vmid) => attach(vmid)))),
          1,
          /^INVALID: block 0 .*rewritten/,
        ],
        [
          `/l/ledger.jsonl --key ${other.verifierKey.render()}`,
          ledger,
          1,
          /^INVALID: the checkpoint is of "prod\/pve1/,
        ],
        ['/l/ledger.jsonl --checkpoint /text', ledger, 2, /could not verify: not a signed note/],
        ['/l/ledger.jsonl --checkpoint /missing', ledger, 2, /could not verify: \/missing does not exist/],
        ['/l/ledger.jsonl --key nonsense', ledger, 2, /could not verify: vkey/],
        ['--checkpoint /kept', ledger, 2, /could not verify: --key and --checkpoint go with a file/],
      ] as const) {
        it(`exits ${exitCode} and says ${said.source.slice(0, 60)}`, async () => {
          const { exitCode: code, out, err } = await type(`ledger verify ${line}`, { files, ledger: bytes });
          assert.match(exitCode === 2 ? err : out, said);
          assert.equal(code, exitCode);
        });
      }
    });

    it('prints a proof as the service gives it', async () => {
      const answers = { 'get /ledger/proof/7': 'c2sp.org/tlog-proof@v1\nindex 7\n' };
      assert.equal((await type('ledger prove 7', { answers })).out, 'c2sp.org/tlog-proof@v1\nindex 7');
      for (const line of ['ledger prove', 'ledger prove 7 --port vi100']) {
        assert.match((await type(line)).err, /give a height, or --port and a period/);
      }
    });

    it('says what was recorded about a port in a period', async () => {
      const answers = { 'get /ledger/blocks': [{ height: 3, timestamp: 'T', category: 'port', action: 'detach', metadata: {}, data: {} }] }; // prettier-ignore
      const { out, calls } = await type('ledger prove --port vi105 --since 2025-10-14 --until 2025-10-15', { answers });
      assert.match(out, /^T block 3 vi105 not plugged$/m);
      assert.deepEqual(
        calls.map((call) => JSON.parse(String((call as string[])[4])) as unknown),
        [
          { limit: 100, port: 'vi105', until: '2025-10-14' },
          { limit: 10000, port: 'vi105', since: '2025-10-14', until: '2025-10-15', order: 'oldest' },
          { limit: 10000, category: 'settings', since: '2025-10-14', until: '2025-10-15', order: 'oldest' },
          { limit: 10000, category: 'storage', action: 'gap', since: '2025-10-14', until: '2025-10-15', order: 'oldest' }, // prettier-ignore
        ],
      );
      const nothing = await type('ledger prove --port vi105', { answers: { 'get /ledger/blocks': [] } });
      assert.match(nothing.err, /says nothing about vi105/);
    });

    it('prints the vkey of the ledger, or the one of its cosignatures', async () => {
      const answers = { 'get /ledger/key': { origin: 'a/b', vkey: 'a/b+log', witness_vkey: 'a/b+witness' } };
      assert.equal((await type('ledger key', { answers })).out, 'a/b+log');
      assert.equal((await type('ledger key --witness', { answers })).out, 'a/b+witness');
    });

    describe('check-proof', () => {
      const [key, witness, other] = nodeKeys;
      const lines = linesOf([attach(100), attach(101), attach(102)]);
      const proof = proofFileOf(lines, 1, key, [witness]);
      const vkey = key.verifierKey.render();
      const files = {
        '/proof': proof,
        '/damaged': proof.subarray(0, -2),
        '/bare': proof.toString().replace(/^extra .*\n/m, ''),
        '/any': policyText(key, [witness, other], 'any'),
        '/all': policyText(key, [witness, other], 'all'),
        '/no-policy': 'quorum\n',
      };

      it('prints the block that is proven, without asking the service', async () => {
        const { exitCode, out, calls } = await type(`ledger check-proof /proof --key ${vkey}`, { files });
        assert.deepEqual([exitCode, calls], [0, []]);
        assert.equal(out, `VALID: block 1 of ${key.name}, among the first 3\n${lines[1]!.toString()}`);
      });

      it('names the witnesses that a policy asks for', async () => {
        const { exitCode, out } = await type('ledger check-proof /proof --policy /any', { files });
        assert.equal(exitCode, 0);
        assert.equal(out.split('\n')[1], `cosigned by ${witness.name} at 2025-10-14T12:01:00.000Z`);
      });

      for (const [line, exitCode, said] of [
        ['/proof --policy /all', 1, 'INVALID: 1 known witnesses cosigned the checkpoint: no quorum'],
        [`/damaged --key ${vkey}`, 1, 'INVALID: not a signed note: its last line does not end with a newline'],
        [`/proof --key ${other.verifierKey.render()}`, 1, 'INVALID: the checkpoint is of "prod/pve1/ovs-port-agent", which has no key here'], // prettier-ignore
        [`/bare --key ${vkey}`, 2, 'could not check the proof: the proof cannot be checked: the proof does not carry the block'], // prettier-ignore
        ['/proof', 2, 'no log is trusted'],
        ['/proof --key nonsense', 2, 'vkey "nonsense"'],
        [`/proof --key ${witness.cosignerKey.render()}`, 2, 'signature type 4, not 1'],
        ['/proof --policy /no-policy', 2, 'line 1: expected quorum <name>'],
        ['/proof --policy /missing', 2, '/missing does not exist'],
        [`/missing --key ${vkey}`, 2, '/missing does not exist'],
      ] as const) {
        it(`exits ${exitCode} for \`${line.replaceAll(/[0-9A-Za-z/+=-]{40,}/g, '...')}\``, async () => {
          const { exitCode: code, out, err } = await type(`ledger check-proof ${line}`, { files });
          assert.equal(code, exitCode);
          assert.ok((exitCode === 1 ? out : err).includes(said), out + err);
        });
      }
    });

    it('lists blocks in words, the newest last', async () => {
      const block = (height: number, data: object): object => ({
        height,
        timestamp: '2025-10-14T12:00:00.000Z',
        category: 'port',
        action: 'attach',
        metadata: { cause: 'hook post-start' },
        data,
      });
      const answers = {
        'get /ledger/blocks': [
          block(1, { port: 'vi101', netdev: 'veth101i0', bridge: 'ovsbr0', tag: null, vmid: 101 }),
          block(0, { port: 'vi100', netdev: 'veth100i0', bridge: 'ovsbr0', tag: 10, vmid: 100 }),
        ],
      };
      const { out, calls } = await type('ledger list --vmid 100 --limit 2 --category port', { answers });
      assert.deepEqual(calls, [['Call', 'sss', 'get', '/ledger/blocks', '{"vmid":100,"limit":2,"category":"port"}']]);
      assert.deepEqual(out.split('\n'), [
        '0 2025-10-14T12:00:00.000Z port attach vi100 veth100i0 ovsbr0 tag 10 (hook post-start)',
        '1 2025-10-14T12:00:00.000Z port attach vi101 veth101i0 ovsbr0 (hook post-start)',
      ]);
    });

    for (const line of ['ledger list --limit x', 'ledger list --vmid -5', 'ledger list --limit']) {
      it(`takes \`${line}\` for a mistake of usage`, async () => {
        assert.equal((await type(line)).exitCode, 64);
      });
    }
  });

  describe('exit codes', () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      it(`of a call that fails as ${code} is ${errorTable[code].exit}, with the message and no stack`, async () => {
        const { exitCode, out, err } = await type('list', { error: new AgentError(code, 'what, why, what to do') });
        assert.deepEqual([exitCode, out, err], [errorTable[code].exit, '', 'ovs-port-agent: what, why, what to do']);
      });
    }

    for (const [line, said] of [
      ['lsit', 'Did you mean list?'],
      ['list --wrong', "unknown option '--wrong'"],
      ['list --output-format xml', 'Allowed choices are text, json, json-pretty, yaml'],
      ['add-port', "missing required argument 'bridge-or-netdev'"],
      ['create-interface a b', "missing required argument 'vmid'"],
      ['', 'Usage: ovs-port-agent'],
    ] as const) {
      it(`of \`ovs-port-agent ${line}\` is 64`, async () => {
        const { exitCode, err } = await type(line);
        assert.equal(exitCode, 64);
        assert.ok(err.includes(said), err);
      });
    }

    it('of the service is its own', async () => {
      const { exitCode, calls } = await type('serve --config /x --bus unix:path=/y');
      assert.deepEqual([exitCode, calls], [7, [['serve', { config: '/x', bus: 'unix:path=/y' }]]]);
    });

    it('leaves acknowledging an altered ledger to it, without a call', async () => {
      const { exitCode, calls } = await type('ledger acknowledge --config /x');
      assert.deepEqual([exitCode, calls], [0, [['acknowledge', { config: '/x' }]]]);
    });

    it('leaves unlisting to it, without a call', async () => {
      const { exitCode, calls } = await type('unlist --config /x');
      assert.deepEqual([exitCode, calls], [0, [['unlist', { config: '/x' }]]]);
    });
  });

  describe('help', () => {
    it('of the whole lists every command', async () => {
      const { exitCode, out } = await type('--help');
      assert.equal(exitCode, 0);
      for (const name of await commandNames()) assert.ok(out.includes(`  ${name}`), name);
    });

    it('of every command says what it does and shows examples of itself', async () => {
      const names = await commandNames();
      assert.ok(names.length >= 17, names.join());
      for (const name of names) {
        const { exitCode, out } = await type(`${name} --help`);
        assert.equal(exitCode, 0, name);
        assert.match(out, new RegExp(`^Usage: ovs-port-agent ${name}[ \n]`));
        assert.match(out, /\nExamples:\n( {2}ovs-port-agent .+\n?)+$/, `${name} has no examples`);
      }
    });

    it('of every command below another says what it does', async () => {
      const ofLedger = ['stats', 'list', 'show', 'verify', 'prove', 'key', 'acknowledge', 'check-proof'].map(
        (name) => `ledger ${name}`,
      );
      for (const name of [...ofLedger, 'guest list', 'guest show']) {
        const { exitCode, out } = await type(`${name} --help`);
        assert.equal(exitCode, 0);
        assert.match(out, new RegExp(`^Usage: ovs-port-agent ${name}`));
        assert.match(out, /\nExamples:\n/, `${name} has no examples`);
      }
    });

    it('tells the version', async () => {
      const { exitCode, out } = await type('--version');
      assert.deepEqual([exitCode, out], [0, '1.2.3']);
    });
  });
});

async function commandNames(): Promise<string[]> {
  const { out } = await type('--help');
  const [, list = ''] = out.split('Commands:\n');
  return [...list.split('\n\n')[0]!.matchAll(/^ {2}([a-z-]+)/gm)].flatMap(([, name = '']) =>
    name === 'help' ? [] : [name],
  );
}

describe('hook', () => {
  const entries: readonly HookEntry[] = [
    { vmid: 100, state: 'none', hookscript: null, other: null, isTemplate: false },
    {
      vmid: 101,
      state: 'chained',
      hookscript: 'local:snippets/ovs-port-agent+x.pl',
      other: 'local:snippets/x.pl',
      isTemplate: false,
    },
    { vmid: 102, state: 'none', hookscript: null, other: null, isTemplate: true },
  ].map((entry) => ({ ...entry, vmid: parseVmid(entry.vmid), kind: 'lxc', problem: null }));
  const asked: string[] = [];
  const change =
    (verb: string) =>
    (vmid: number, { dryRun }: { dryRun: boolean }): Promise<HookChange> => {
      asked.push(`${verb} ${vmid}`);
      if (vmid === 100) return Promise.reject(new AgentError('Busy', 'CT 100 is locked (backup)'));
      return Promise.resolve({
        guest: `CT ${vmid}`,
        changed: !dryRun,
        from: null,
        to: 'local:snippets/ovs-port-agent',
        steps: [`pct set ${vmid} --hookscript local:snippets/ovs-port-agent`],
      });
    };
  const hooks: Hooks = {
    statusAll: () => Promise.resolve(entries),
    status: (vmid) => Promise.resolve(entries.find((entry) => entry.vmid === vmid) ?? assert.fail()),
    attach: change('attach'),
    detach: change('detach'),
  };
  beforeEach(() => {
    asked.length = 0;
  });

  it('shows the hookscripts of all guests, or of those that are named', async () => {
    const { out } = await type('hook status --noborder --noheader', { hooks });
    assert.match(out, /^lxc +none +100 *$/m);
    assert.match(out, /^lxc +chained +101 +local:snippets\/ovs-port-agent\+x\.pl +local:snippets\/x\.pl/m);
    const one = await type('hook status 101 --output-format json', { hooks });
    assert.equal((JSON.parse(one.out) as unknown[]).length, 1);
  });

  it('goes on after a guest that cannot be changed, and exits with the code of the first', async () => {
    const { exitCode, out, err } = await type('hook attach 100 101', { hooks });
    assert.deepEqual(
      [exitCode, out, err],
      [
        errorTable.Busy.exit,
        'CT 101: attached, hookscript local:snippets/ovs-port-agent',
        'ovs-port-agent: CT 100 is locked (backup)',
      ],
    );
  });

  it('takes all guests but templates to attach, and says what it would do in a dry run', async () => {
    const { out } = await type('hook attach --all --dry-run', { hooks });
    assert.deepEqual(asked, ['attach 100', 'attach 101']);
    assert.equal(out, 'CT 101: would pct set 101 --hookscript local:snippets/ovs-port-agent');
    await type('hook detach --all', { hooks });
    assert.deepEqual(asked.slice(2), ['detach 100', 'detach 101', 'detach 102']);
  });

  it('refuses what names no guest, or names some beside --all', async () => {
    for (const line of ['hook attach', 'hook detach --all 100', 'hook attach 99', 'hook attach 100;reboot']) {
      assert.equal((await type(line, { hooks })).exitCode, errorTable.InvalidArgument.exit, line);
    }
    assert.deepEqual(asked, []);
  });
});

describe('doctor', () => {
  const finding = (severity: 'error' | 'warning' | 'note') =>
    ({ severity, message: `a ${severity}`, remedy: 'ovs-port-agent setup' }) as const;
  const diagnosisOf = (...severities: ('error' | 'warning' | 'note')[]): Diagnosis => ({
    errors: severities.filter((severity) => severity === 'error').length,
    warnings: severities.filter((severity) => severity === 'warning').length,
    notes: severities.filter((severity) => severity === 'note').length,
    checks: [
      { id: 'condone', looks_at: 'bridges', result: severities[0] ?? 'ok', findings: severities.map(finding) },
      { id: 'api', looks_at: 'the token', result: 'skipped', findings: [] },
    ],
  });

  it('says each finding with its remedy, and exits with 0, 1 or 2', async () => {
    const { exitCode, out } = await type('doctor', { diagnosis: diagnosisOf('error', 'warning', 'note') });
    assert.equal(exitCode, 2);
    assert.deepEqual(out.split('\n'), [
      'error: condone: a error',
      '  remedy: ovs-port-agent setup',
      'warning: condone: a warning',
      '  remedy: ovs-port-agent setup',
      'note: condone: a note',
      '  remedy: ovs-port-agent setup',
      '1 check: 1 error, 1 warning, 1 note',
    ]);
    assert.equal((await type('doctor', { diagnosis: diagnosisOf('warning') })).exitCode, 1);
    assert.equal((await type('doctor', { diagnosis: diagnosisOf('note') })).exitCode, 0);
    assert.equal((await type('doctor', { diagnosis: diagnosisOf() })).out, '1 check: 0 errors, 0 warnings, 0 notes');
  });

  it('says with --verbose what is all right, and gives programs everything', async () => {
    const { out } = await type('doctor --verbose', { diagnosis: diagnosisOf() });
    assert.match(out, /^ok: condone: bridges\nskipped: api: the token\n/);
    const diagnosis = diagnosisOf('error');
    const json = await type('doctor --output-format json --config /x.toml', { diagnosis });
    assert.deepEqual([json.exitCode, JSON.parse(json.out)], [2, diagnosis]);
    assert.deepEqual(json.calls, [['diagnose', { config: '/x.toml' }]]);
  });

  it('exits with 2 when it could not look', async () => {
    const { exitCode, err } = await type('doctor');
    assert.equal(exitCode, 2);
    assert.match(err, /could not look at the node/);
  });
});

describe('setup', () => {
  const request = { bridges: [], guests: [], api: null };
  const asked = { config: null, dryRun: false, undo: false };

  it('asks at a terminal, and does nothing without a yes', async () => {
    const yes = await type('setup');
    assert.deepEqual([yes.exitCode, yes.out], [0, 'a step']);
    assert.deepEqual(yes.calls, [
      ['setUp', { ...asked, request }],
      ['ask', 'Do all this?'],
    ]);
    assert.equal((await type('setup', { answer: false })).exitCode, errorTable.Conflict.exit);
  });

  it('does not ask with --yes, and refuses to guess where it cannot ask', async () => {
    assert.deepEqual((await type('setup --yes', { canAsk: false })).calls, [['setUp', { ...asked, request }]]);
    const { exitCode, calls } = await type('setup', { canAsk: false });
    assert.deepEqual([exitCode, calls], [errorTable.InvalidArgument.exit, []]);
  });

  it('hands over what it shall make', async () => {
    const { calls } = await type('setup --yes --bridge ovsbr0 ovsbr1 --attach 100 101 --api');
    const all = { bridges: ['ovsbr0', 'ovsbr1'], guests: [100, 101], api: 'control' };
    assert.deepEqual(calls, [['setUp', { ...asked, request: all }]]);
    assert.deepEqual((await type('setup --yes --api manage')).calls, [
      ['setUp', { ...asked, request: { ...request, api: 'manage' } }],
    ]);
    const { calls: others } = await type('setup --yes --attach all --undo');
    assert.deepEqual(others, []);
    assert.deepEqual((await type('setup --yes --attach all')).calls, [
      ['setUp', { ...asked, request: { ...request, guests: 'all' } }],
    ]);
  });

  it('refuses names that are none', async () => {
    for (const line of ['--bridge a/b', '--bridge ../x', '--attach 99', '--attach all 100', '--attach 100;id']) {
      const { exitCode, calls } = await type(`setup --yes ${line}`);
      assert.deepEqual([exitCode, calls], [errorTable.InvalidArgument.exit, []], line);
    }
  });
});
