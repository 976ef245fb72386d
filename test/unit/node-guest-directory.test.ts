import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import { GuestDirectory } from '../../src/node/guest-directory.ts';
import { ProxmoxClient } from '../../src/proxmox/api-client.ts';
import type { ApiAnswer } from '../../src/proxmox/api-exchange.ts';
import { guestDirectory } from '../support/guest-directory.ts';
import { refusedWith } from '../support/refused.ts';

/** An API with these guests, or one that fails. */
function apiOf(answer: Record<string, unknown>[] | AgentError): { client: ProxmoxClient; calls: () => number } {
  let calls = 0;
  const exchange = (): Promise<ApiAnswer> => {
    calls++;
    return Promise.resolve(
      answer instanceof AgentError
        ? { kind: 'failed', code: answer.code, message: answer.message, mayHaveArrived: false }
        : { kind: 'answered', status: 200, reason: 'OK', location: null, text: JSON.stringify({ data: answer }) },
    );
  };
  return { client: new ProxmoxClient({ exchange }), calls: () => calls };
}
const rows = [
  { type: 'lxc', vmid: 100, node: 'pve1', name: 'stale', status: 'stopped' },
  { type: 'qemu', vmid: 101, node: 'pve1', name: 'gone', status: 'stopped' },
  { type: 'lxc', vmid: 90_000, node: 'pve2', name: 'far', status: 'running', pool: 'db', tags: 'x' },
  { type: 'qemu', vmid: 99_999, node: 'pve3', status: 'unknown' },
];
const texts = { 100: 'hostname: web\ntemplate: 1\ntags: a\n', 95_000: 'hostname: here\n' };
const brief = async (directory: GuestDirectory, isLocal = false): Promise<string[]> =>
  (await directory.list({ isLocal })).map(({ vmid, name, node, status }) => `${vmid} ${name} ${node} ${status}`);

describe('the list of guests', () => {
  it('is that of the files where the API is not configured', async () => {
    assert.deepEqual(await brief(guestDirectory(texts)), ['100 web pve1 stopped', '95000 here pve1 stopped']);
  });

  it('has the guests of other nodes from the API, and takes its own files over it', async () => {
    const { client } = apiOf(rows);
    assert.deepEqual(await brief(guestDirectory(texts, { cluster: client })), [
      '100 web pve1 stopped',
      '90000 far pve2 running',
      '95000 here pve1 stopped',
      '99999  pve3 unknown',
    ]);
  });

  it('has a guest that is just moving here once', async () => {
    const { client } = apiOf([{ type: 'lxc', vmid: 100, node: 'pve2', status: 'running' }]);
    assert.deepEqual(await brief(guestDirectory({ 100: texts[100] }, { cluster: client })), ['100 web pve1 stopped']);
  });

  it('is no half list when the API does not answer, and says how to get this node’s', async () => {
    const { client, calls } = apiOf(new AgentError('Unavailable', 'connect ECONNREFUSED'));
    const directory = guestDirectory(texts, { cluster: client });
    await assert.rejects(brief(directory), refusedWith('Unavailable', 'ECONNREFUSED', 'guest list --local'));
    assert.equal((await brief(directory, true)).length, 2);
    assert.equal(calls(), 1);
  });

  it('knows which guests run, their pools, tags, locks and templates', async () => {
    const unixSockets = '0: 00000002 00000000 00010000 0001 01 1 @/var/lib/lxc/100/command\n';
    const directory = guestDirectory(texts, {
      runFacts: () => Promise.resolve({ unixSockets, lxcDir: '/var/lib/lxc', units: [{ name: 'pve-container@95000.service', activeState: 'active' }] }), // prettier-ignore
      poolsOfGuests: () => Promise.resolve(new Map([[parseVmid(100), 'web']])),
    });
    const [first, second] = await directory.list({ isLocal: true });
    assert.deepEqual(
      [first?.status, first?.pool, first?.tags, first?.template, second?.status],
      ['running', 'web', ['a'], true, 'changing'],
    );
  });

  it('names a guest whose file cannot be read, and has the others', async () => {
    const vmids = [parseVmid(100), parseVmid(101), parseVmid(102)];
    const whole = guestDirectory(texts);
    const directory = new GuestDirectory({
      node: 'pve1',
      local: {
        list: () => Promise.resolve(vmids),
        config: (vmid) =>
          vmid === 101
            ? Promise.reject(new AgentError('Unavailable', 'cannot read 101.conf'))
            : vmid === 100
              ? whole.show(vmid).then(({ details }) => details.config)
              : Promise.resolve(null),
        details: () => Promise.resolve(null),
      },
      runFacts: () => Promise.resolve({ unixSockets: '', lxcDir: '/var/lib/lxc', units: [] }),
      poolsOfGuests: () => Promise.resolve(new Map()),
      cluster: null,
    });
    assert.deepEqual(
      (await directory.list({ isLocal: true })).map(({ vmid, kind, problem }) => [vmid, kind, problem]),
      [
        [100, 'lxc', null],
        [101, 'unknown', 'cannot read 101.conf'],
      ],
    );
    await assert.rejects(
      directory.show(parseVmid(100)),
      refusedWith('NotFound', 'guest 100 has no configuration on pve1'),
    );
  });
});
