import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { AgentError } from '../../src/model/errors.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { nicNameOf, parseVmid } from '../../src/model/names.ts';
import type { TlsFiles } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { ProxmoxHttp } from '../../src/platform/proxmox-http.ts';
import type { ProxmoxTrust } from '../../src/platform/proxmox-http.ts';
import { ProxmoxClient } from '../../src/proxmox/api-client.ts';
import { ProxmoxError } from '../../src/proxmox/api-error.ts';
import { controlGuest, createContainer, listClusterGuests } from '../../src/proxmox/cluster-guests.ts';
import type { GuestPlace, NewContainer } from '../../src/proxmox/cluster-guests.ts';
import { nicApi } from '../../src/node/nic-api.ts';
import type { NicWishes } from '../../src/proxmox/nic-edit.ts';
import { Authority } from '../support/certificates.ts';
import { FakeProxmox } from '../support/fake-proxmox.ts';
import type { Misbehaviour } from '../support/fake-proxmox.ts';
import { hastyTimers } from '../support/hasty-timers.ts';
import { NicHost } from '../support/nic-host.ts';
import { changeNic, proxmoxSuite, readNic } from '../support/proxmox-suite.ts';
import { refusedWith } from '../support/refused.ts';

const net0 = nicNameOf(0);
const web: GuestPlace = { node: 'pve1', kind: 'lxc', vmid: parseVmid(100) };
const db: GuestPlace = { node: 'pve1', kind: 'qemu', vmid: parseVmid(101) };
const far: GuestPlace = { node: 'pve2', kind: 'lxc', vmid: parseVmid(200) };

let folder: string;
let files: TlsFiles;
let otherFiles: TlsFiles;
let fake: FakeProxmox;
let open: ProxmoxHttp[];

const fingerprintOf = ({ certificate }: TlsFiles): string =>
  new X509Certificate(readFileSync(certificate)).fingerprint256;
function connect(options: { trust?: ProxmoxTrust; url?: string; tokenFile?: string } = {}): ProxmoxClient {
  const http = new ProxmoxHttp({
    url: options.url ?? fake.url,
    tokenFile: options.tokenFile ?? fake.writeToken(folder),
    trust: options.trust ?? { kind: 'ca', file: files.ca },
  });
  open.push(http);
  return new ProxmoxClient(http);
}
async function refusal(action: Promise<unknown>): Promise<ProxmoxError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof ProxmoxError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ovs-port-agent-test-'));
  files = await (await Authority.create(folder, 'pve-root-ca')).sign('pve-ssl', 'IP:127.0.0.1,DNS:localhost');
  otherFiles = await (await Authority.create(folder, 'other-ca')).sign('other', 'IP:127.0.0.1');
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  open = [];
  fake = await FakeProxmox.start(files);
});
afterEach(async () => {
  for (const http of open) http.close();
  await fake.stop();
});

const { PVE_URL: realUrl, PVE_TOKEN_FILE: realToken, PVE_CA: realCa, PVE_FINGERPRINT: realPin, PVE_TEST_VMID: realVmid } = process.env; // prettier-ignore
proxmoxSuite('the API of a fake Proxmox VE (a real node joins when PVE_URL is set)', parseVmid(100), () =>
  Promise.resolve({ client: connect(), clock: hastyTimers(20) }),
);
if (realUrl !== undefined) {
  const trust: ProxmoxTrust =
    realPin === undefined
      ? { kind: 'ca', file: realCa ?? '/etc/pve/pve-root-ca.pem' }
      : { kind: 'fingerprint', sha256: realPin };
  const tokenFile = realToken ?? '/etc/ovs-port-agent/token';
  proxmoxSuite(`the API of the Proxmox VE at ${realUrl}`, realVmid === undefined ? null : parseVmid(realVmid), () =>
    Promise.resolve({ client: connect({ url: realUrl, tokenFile, trust }), clock: systemTimers }),
  );
}

describe('the list of guests', () => {
  it('has name, state, tags, pool, lock and template of each', async () => {
    assert.deepEqual(await listClusterGuests(connect()), [
      { vmid: 100, kind: 'lxc', node: 'pve1', name: 'web01', status: 'running', template: false, tags: ['prod', 'web'], pool: 'web', lock: null, haState: null }, // prettier-ignore
      { vmid: 101, kind: 'qemu', node: 'pve1', name: 'db01', status: 'stopped', template: true, tags: [], pool: null, lock: null, haState: null }, // prettier-ignore
      { vmid: 200, kind: 'lxc', node: 'pve2', name: 'far', status: 'stopped', template: false, tags: [], pool: null, lock: 'backup', haState: null }, // prettier-ignore
    ]);
    assert.deepEqual(fake.requests, [{ method: 'GET', path: '/cluster/resources', form: { type: 'vm' } }]);
  });

  for (const [what, data, outcome] of [
    ['no list', '{}', 'no list'],
    ['a row without a node', '[{"type":"lxc","vmid":100}]', 'no node'],
    ['a row without a vmid', '[{"type":"qemu","node":"a"}]', 'no vmid'],
    ['a kind of guest nobody knows yet', '[{"type":"pod","vmid":100,"node":"a"},null]', 0],
    ['vmids as text and no state', '[{"type":"lxc","vmid":"100","node":"a"}]', 1],
  ] as const) {
    it(`is read or refused when it is ${what}`, async () => {
      fake.misbehave({ status: 200, reason: 'OK', body: `{"data":${data}}` });
      const list = listClusterGuests(connect());
      if (typeof outcome === 'string')
        await assert.rejects(list, refusedWith('Unavailable', 'not understood', outcome));
      else assert.equal((await list).length, outcome);
    });
  }
});

describe('a nic', () => {
  it('is written with the digest that was read', async () => {
    const client = connect();
    const after = await changeNic(client, db, net0, (value) => `${value ?? ''},tag=30`);
    assert.equal(after, 'virtio=BC:24:11:00:01:01,bridge=ovsbr1,tag=30');
    assert.equal(await readNic(client, db, net0), after);
    const [{ form } = { form: {} }] = fake.requests.filter(({ method }) => method === 'PUT');
    assert.deepEqual(Object.keys(form).sort(), ['digest', 'net0']);
  });

  it('is added and removed', async () => {
    const client = connect();
    await changeNic(client, web, nicNameOf(1), (value) => {
      assert.equal(value, null);
      return 'name=eth1,bridge=ovsbr1';
    });
    assert.equal(await readNic(client, web, nicNameOf(1)), 'name=eth1,bridge=ovsbr1');
    await changeNic(client, web, nicNameOf(1), () => null);
    assert.equal(await readNic(client, web, nicNameOf(1)), null);
  });

  it('that somebody else changed meanwhile stays as they left it', async () => {
    const client = connect();
    const change = changeNic(client, web, net0, () => {
      fake.guests.get(100)?.config.set('memory', '1024');
      return 'name=eth0,bridge=ovsbr1';
    });
    await assert.rejects(change, refusedWith('Conflict', 'PUT /nodes/pve1/lxc/100/config: 500 detected modified'));
    assert.match((await readNic(client, web, net0)) ?? '', /bridge=ovsbr0/);
  });

  it('that Proxmox VE refuses is refused in its words, by parameter', async () => {
    const error = await refusal(changeNic(connect(), web, net0, () => 'name=eth0,bridge=none'));
    assert.deepEqual(
      [error.status, error.errors],
      [400, { net0: "unable to hotplug net0: bridge 'none' does not exist" }],
    );
    assert.match(error.message, /: 400 Parameter verification failed\. net0: unable to hotplug net0: /);
  });
});

describe('a nic that the service changes', () => {
  const net = { mtu: '1400' };
  /** A text is for a card that is new. */
  const change = (vmid: number, wishes: NicWishes | string): Promise<unknown> => {
    const { host, nics } = new NicHost({ 100: 'net0: name=stale\n' }, { api: nicApi(connect()) });
    host.write('/etc/pve/.vmlist', '{"version":1,"ids":{"200":{"node":"pve2","type":"lxc","version":2}}}');
    const wait = { deadlineMs: 30_000, signal: new AbortController().signal };
    const request = { isDryRun: false, wait, cause: { cause: 'test', user: 'root', uid: 0 } };
    return typeof wishes === 'string'
      ? nics.add(parseVmid(vmid), { nic: null, options: wishes, ...request })
      : nics.change(parseVmid(vmid), net0, { wishes, ...request });
  };

  it('is written to the value that the API has, in one request', async () => {
    await change(100, net);
    const value = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,tag=10,type=veth,mtu=1400';
    assert.equal(fake.guests.get(100)?.config.get('net0'), value);
    assert.deepEqual(
      fake.requests.map(({ method, path }) => `${method} ${path}`),
      ['GET /nodes/pve1/lxc/100/config', 'PUT /nodes/pve1/lxc/100/config'],
    );
    await change(100, net);
    assert.equal(fake.requests.length, 3);
  });

  it('is added beside those that the API has', async () => {
    await change(100, 'bridge=ovsbr0,tag=30');
    const { config } = fake.guests.get(100) ?? assert.fail('no guest 100');
    const [added = ''] = [...config.keys()].filter((key) => key.startsWith('net')).slice(-1);
    assert.equal(config.get(added), `name=eth${added.slice(3)},bridge=ovsbr0,tag=30`);
    assert.notEqual(added, 'net0');
    assert.deepEqual(
      fake.requests.map(({ method, path }) => `${method} ${path}`),
      ['GET /nodes/pve1/lxc/100/config', 'PUT /nodes/pve1/lxc/100/config'],
    );
  });

  it('is left alone on a guest that is locked on another node', async () => {
    fake.guests.get(200)?.config.set('net0', 'name=eth0,bridge=ovsbr0');
    await assert.rejects(change(200, net), refusedWith('Busy', 'locked (backup)'));
    assert.deepEqual(
      fake.requests.map(({ method }) => method),
      ['GET'],
    );
  });

  it('is refused with the privilege that the token lacks', async () => {
    fake.misbehave(
      { status: 403, reason: 'Permission check failed (/vms/100, VM.Config.Network)' },
      ({ method }) => method === 'PUT',
    );
    await assert.rejects(
      change(100, net),
      refusedWith('AccessDenied', '(/vms/100, VM.Config.Network)', 'SDN.Use on the bridge'),
    );
  });
});

describe('a guest', () => {
  const follow = { clock: hastyTimers(20), deadlineMs: 100_000 };

  it('is started, and the log of its task handed on as it comes', async () => {
    fake.plan = { looks: 3, exit: 'OK', lines: ['starting', 'plugged\r\n', 'TASK OK'] };
    const lines: string[] = [];
    const { task, warnings } = await controlGuest(connect(), db, 'start', {
      ...follow,
      onLine: (line) => lines.push(line),
    });
    assert.deepEqual([task.type, task.id, warnings, lines], ['qmstart', '101', 0, ['starting', 'plugged', 'TASK OK']]);
  });

  it('is shut down with its own patience', async () => {
    await controlGuest(connect(), web, 'shutdown', { ...follow, guestTimeoutS: 30 });
    assert.deepEqual(fake.requests[0], {
      method: 'POST',
      path: '/nodes/pve1/lxc/100/status/shutdown',
      form: { timeout: '30' },
    });
  });

  it('may start with warnings, which are counted', async () => {
    fake.plan = { looks: 0, exit: 'WARNINGS: 2', lines: [] };
    assert.equal((await controlGuest(connect(), db, 'start', follow)).warnings, 2);
  });

  it('that does not start says why, with the end of the log', async () => {
    fake.plan = { looks: 1, exit: 'startup for container failed', lines: ['lxc_spawn: 1', 'bridge is missing', 'TASK ERROR: startup for container failed'] }; // prettier-ignore
    const error = await refusal(controlGuest(connect(), db, 'start', follow));
    assert.equal(error.code, 'NotApplied');
    assert.match(
      error.message,
      /^task qmstart of 101 \(UPID:[^ ]+\) failed: startup for container failed; its log ends with: lxc_spawn: 1 \| bridge is missing$/,
    );
  });

  it('that runs already, is locked, or does not exist is left alone', async () => {
    const client = connect();
    await assert.rejects(controlGuest(client, web, 'start', follow), refusedWith('Conflict', 'CT 100 already running'));
    await assert.rejects(controlGuest(client, far, 'start', follow), refusedWith('Busy', 'CT is locked (backup)'));
    await assert.rejects(controlGuest(client, { ...web, node: 'pve2' }, 'start', follow), refusedWith('NotFound'));
  });

  it('whose task never ends is waited for until the deadline', async () => {
    fake.plan = { looks: Infinity, exit: '', lines: [] };
    await assert.rejects(
      controlGuest(connect(), db, 'start', { ...follow, deadlineMs: 1_000 }),
      refusedWith('Timeout', 'did not end within 1000 ms', 'goes on', 'UPID:pve1:'),
    );
  });

  it('is no longer waited for when the caller gives up', async () => {
    fake.plan = { looks: Infinity, exit: '', lines: ['a'] };
    const stop = new AbortController();
    const lost = controlGuest(connect(), db, 'start', {
      ...follow,
      signal: stop.signal,
      onLine: () => {
        setImmediate(() => {
          stop.abort();
        });
      },
    });
    await assert.rejects(lost, refusedWith('Unavailable', 'given up'));
  });

  it('is followed over looks that fail, because looking changes nothing', async () => {
    const client = connect();
    let looks = 0;
    fake.misbehave(
      { status: 595, reason: 'Connection refused' },
      ({ path }) => path.endsWith('/status') && looks++ === 0,
    );
    await controlGuest(client, db, 'start', follow);
    assert.equal(looks, 2 + 1);
  });

  it('is not started twice when no answer comes, and that is said', async () => {
    for (const how of ['reset', 'cut body', 'no JSON', { status: 595, reason: 'Broken pipe' }] as const) {
      fake.requests.length = 0;
      fake.misbehave(how, ({ method }) => method === 'POST');
      const error = await refusal(controlGuest(connect(), db, 'start', follow));
      assert.deepEqual([error.code, error.isOutcomeUnknown], ['Unavailable', true], inspect(how));
      assert.match(error.message, /whether it was done is not known/);
      assert.equal(fake.requests.length, 1);
    }
  });

  it('whose task has no name may have been started', async () => {
    fake.misbehave({ status: 200, reason: 'OK', body: '{"data":"UPID:../x"}' }, ({ method }) => method === 'POST');
    const error = await refusal(controlGuest(connect(), db, 'start', follow));
    assert.deepEqual([error.code, error.isOutcomeUnknown], ['Unavailable', true]);
  });
});

describe('a new container', () => {
  const wanted: NewContainer = {
    node: 'pve1',
    vmid: null,
    template: 'local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst',
    hostname: 'new',
    rootfs: 'local-lvm:8',
    memoryMib: 512,
    nics: ['name=eth0,bridge=ovsbr0,tag=10', 'name=eth1,bridge=ovsbr1'],
    tags: ['a', 'b'],
    pool: 'web',
    start: true,
  };
  const follow = { clock: hastyTimers(20), deadlineMs: 100_000 };

  it('gets the next free vmid, its nics, tags and pool, and its progress is told', async () => {
    fake.plan = { looks: 2, exit: 'OK', lines: ['extracting archive', 'TASK OK'] };
    const lines: string[] = [];
    const { vmid, task } = await createContainer(connect(), wanted, { ...follow, onLine: (line) => lines.push(line) });
    assert.deepEqual([vmid, task.type, lines], [102, 'vzcreate', ['extracting archive', 'TASK OK']]);
    assert.deepEqual(fake.requests[1]?.form, {
      vmid: '102',
      ostemplate: wanted.template,
      hostname: 'new',
      rootfs: 'local-lvm:8',
      memory: '512',
      unprivileged: '1',
      start: '1',
      tags: 'a;b',
      pool: 'web',
      net0: 'name=eth0,bridge=ovsbr0,tag=10',
      net1: 'name=eth1,bridge=ovsbr1',
    });
  });

  it('is not made over one that is there', async () => {
    await assert.rejects(
      createContainer(connect(), { ...wanted, vmid: parseVmid(100) }, follow),
      refusedWith('Conflict', 'CT 100 already exists'),
    );
  });
});

describe('a server that misbehaves', () => {
  for (const [how, code, said] of [
    ['no header', 'Timeout', 'did not answer in full within 100 ms'],
    ['half a body', 'Timeout', 'did not answer in full within 100 ms'],
    ['cut body', 'Unavailable', 'ended the connection before its answer did'],
    ['10 MB', 'Unavailable', 'more than 8388608 bytes'],
    ['no JSON', 'Unavailable', 'not one of Proxmox VE'],
    ['no data', 'Unavailable', 'not one of Proxmox VE'],
    ['reset', 'Unavailable', '127.0.0.1'],
    ['redirect', 'Unavailable', 'redirects to "https://elsewhere.example/" are not followed'],
    [{ status: 401, reason: 'permission denied - invalid PVE ticket' }, 'AccessDenied', '401 permission denied'],
    [{ status: 403, reason: 'Permission check failed (/vms/100, VM.Audit)' }, 'AccessDenied', 'VM.Audit'],
    [{ status: 404, reason: 'Not Found' }, 'NotFound', '404 Not Found'],
    [{ status: 500, reason: 'x', body: '{"data":null,"message":"unable to open database\\n"}' }, 'Unavailable', ': 500 unable to open database'], // prettier-ignore
    [{ status: 500, reason: 'cluster not ready - no quorum?' }, 'Unavailable', 'no quorum'],
    [{ status: 500, reason: "can't lock file '/var/lock/x.lck' - got timeout" }, 'Busy', "can't lock file"],
    [{ status: 595, reason: 'No route to host' }, 'Unavailable', '595 No route to host'],
    [{ status: 599, reason: 'Too many redirections' }, 'Unavailable', '599'],
    [{ status: 500, reason: 'a', body: '{"message":"one\\u001b[31m\\ntwo","errors":[1]}' }, 'Unavailable', '500 one [31m two'], // prettier-ignore
    [{ status: 400, reason: 'b', body: '{"errors":{"vmid":{"a":1}}}' }, 'InvalidArgument', 'vmid: [object Object]'],
    [{ status: 204, reason: 'No Content', body: '' }, 'Unavailable', '204'],
  ] as const satisfies readonly (readonly [Misbehaviour, ErrorCode, string])[]) {
    it(`by ${typeof how === 'string' ? how : `${how.status} ${how.reason}`} is told as ${code}`, async () => {
      fake.misbehave(how);
      const error = await refusal(listClusterGuests(connect(), { deadlineMs: code === 'Timeout' ? 100 : 8_000 }));
      assert.equal(error.code, code, error.message);
      assert.ok(error.message.startsWith('Proxmox VE: GET /cluster/resources: '), error.message);
      assert.ok(error.message.includes(said), error.message);
      assert.equal(error.isOutcomeUnknown, false);
    });
  }

  it('once only is asked again, when the connection was an old one and nothing was changed', async () => {
    const client = connect();
    await listClusterGuests(client);
    await listClusterGuests(client);
    assert.equal(fake.connections, 1, 'the connection is kept');
    let times = 0;
    fake.misbehave('reset', () => times++ === 0);
    await listClusterGuests(client);
    assert.equal(fake.connections, 2);
  });

  it('is left at once when the caller gives up', async () => {
    fake.misbehave('no header');
    const client = connect();
    const stop = new AbortController();
    const asked = listClusterGuests(client, { signal: stop.signal });
    setImmediate(() => {
      stop.abort(new AgentError('Busy', 'enough'));
    });
    await assert.rejects(asked, refusedWith('Busy', 'enough'));
    await assert.rejects(
      listClusterGuests(client, { signal: AbortSignal.abort() }),
      refusedWith('Unavailable', 'given up'),
    );
  });

  it('that is not there is told as such', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    await new Promise((resolve) => taken.close(resolve));
    const error = await refusal(changeNic(connect({ url: `https://127.0.0.1:${port}` }), web, net0, () => null));
    assert.equal(error.code, 'Unavailable');
    assert.match(error.message, /ECONNREFUSED/);
  });
});

describe('a certificate', () => {
  it('is known by its authority and name, or by its SHA-256 in any case', async () => {
    const sha256 = fingerprintOf(files);
    for (const trust of [
      { kind: 'ca', file: files.ca },
      { kind: 'fingerprint', sha256 },
      { kind: 'fingerprint', sha256: sha256.toLowerCase() },
    ] as const)
      assert.equal((await listClusterGuests(connect({ trust }))).length, 3);
  });

  for (const [what, trust, said] of [
    ['of another authority', (): ProxmoxTrust => ({ kind: 'ca', file: otherFiles.ca }), 'is not trusted'],
    [
      'that is not the pinned one',
      (): ProxmoxTrust => ({ kind: 'fingerprint', sha256: fingerprintOf(otherFiles) }),
      'not the pinned one',
    ],
  ] as const) {
    it(`${what} gets neither token nor request`, async () => {
      const error = await refusal(changeNic(connect({ trust: trust() }), web, net0, () => null));
      assert.deepEqual([error.code, error.isOutcomeUnknown], ['AccessDenied', false]);
      assert.match(error.message, new RegExp(`${said}.*nothing was sent`));
      assert.deepEqual(fake.requests, []);
    });
  }

  it('for another name is not trusted', async () => {
    const elsewhere = await FakeProxmox.start(
      await (await Authority.create(folder, 'name-ca')).sign('named', 'DNS:pve9'),
    );
    try {
      const trust = { kind: 'ca', file: join(folder, 'name-ca.pem') } as const;
      await assert.rejects(listClusterGuests(connect({ trust, url: elsewhere.url })), refusedWith('AccessDenied', 'IP: 127.0.0.1')); // prettier-ignore
      assert.deepEqual(elsewhere.requests, []);
    } finally {
      await elsewhere.stop();
    }
  });

  it('needs an authority that is there', async () => {
    const none = join(folder, 'none.pem');
    await assert.rejects(listClusterGuests(connect({ trust: { kind: 'ca', file: none } })), refusedWith('Unavailable', `${none} does not exist`)); // prettier-ignore
    writeFileSync(none, 'x');
    await assert.rejects(listClusterGuests(connect({ trust: { kind: 'ca', file: none } })), refusedWith('Unavailable', 'no certificate')); // prettier-ignore
  });
});

describe('the token', () => {
  it('stands in no error, whatever goes wrong', async () => {
    const errors: unknown[] = [];
    const provoke = async (client: ProxmoxClient): Promise<void> => {
      errors.push(await refusal(listClusterGuests(client, { deadlineMs: 100 })));
    };
    for (const how of ['no header', 'cut body', 'reset', { status: 401, reason: 'no' }] as const) {
      fake.misbehave(how);
      await provoke(connect());
    }
    await provoke(connect({ trust: { kind: 'ca', file: otherFiles.ca } }));
    await provoke(connect({ url: 'https://127.0.0.1:1' }));
    await provoke(connect({ tokenFile: fake.writeToken(folder, `broken ${fake.secret}`) }));
    assert.equal(errors.length, 7);
    for (const error of errors) assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(fake.secret));
  });

  it('is read again for each request, so that it can be changed', async () => {
    const client = connect({ tokenFile: fake.writeToken(folder, 'agent@pve!test=wrong') });
    await assert.rejects(listClusterGuests(client), refusedWith('AccessDenied', '401 invalid token value!'));
    fake.writeToken(folder);
    assert.equal((await listClusterGuests(client)).length, 3);
  });

  it('may carry the word of the header', async () => {
    const tokenFile = fake.writeToken(folder, `PVEAPIToken=agent@pve!test=${fake.secret}`);
    assert.equal((await listClusterGuests(connect({ tokenFile }))).length, 3);
  });

  for (const [what, change, code, said] of [
    ['missing', (file: string) => { rmSync(file); }, 'Unavailable', 'does not exist'], // prettier-ignore
    ['open to everybody', (file: string) => { chmodSync(file, 0o604); }, 'AccessDenied', 'open to everybody'], // prettier-ignore
    ['empty', (file: string) => { writeFileSync(file, ''); }, 'InvalidArgument', 'does not hold'], // prettier-ignore
    ['two lines', (file: string) => { writeFileSync(file, 'a@b!c=d\r\nX-Other: 1\r\n'); }, 'InvalidArgument', 'does not hold'], // prettier-ignore
    ['a megabyte', (file: string) => { writeFileSync(file, 'x'.repeat(1 << 20)); }, 'Unavailable', 'more than 1024 bytes'], // prettier-ignore
  ] as const) {
    it(`is not sent when its file is ${what}`, async () => {
      const tokenFile = fake.writeToken(folder);
      change(tokenFile);
      await assert.rejects(listClusterGuests(connect({ tokenFile })), refusedWith(code, said));
      assert.deepEqual(fake.requests, []);
    });
  }
});
