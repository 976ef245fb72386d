import assert from 'node:assert/strict';
import { parseVmid } from '../../src/model/names.ts';
import { guestApi } from '../../src/node/guest-api.ts';
import { ProxmoxClient } from '../../src/proxmox/api-client.ts';
import type { ApiRequest } from '../../src/proxmox/api-exchange.ts';
import { hastyTimers } from '../support/hasty-timers.ts';
import { refusedWith } from '../support/refused.ts';

describe('the control of guests through the Proxmox API', () => {
  const upid = 'UPID:pve2:0004D2A1:0099AABB:68AE1234:qmshutdown:100:agent@pve!test:';
  const guest = { kind: 'qemu', vmid: parseVmid(100), node: 'pve2' } as const;
  const options = { timeoutMs: 1_500, deadlineMs: 60_000, signal: new AbortController().signal };

  function clientOf(exitstatus: string): { client: ProxmoxClient; asked: ApiRequest[] } {
    const asked: ApiRequest[] = [];
    const data = (path: string): unknown => {
      if (path.endsWith('/log')) return [{ n: 1, t: 'waiting' }];
      return path.endsWith('/status') && path.includes('/tasks/') ? { status: 'stopped', exitstatus } : upid;
    };
    const client = new ProxmoxClient({
      exchange: (request) => {
        asked.push(request);
        const text = JSON.stringify({ data: data(request.path) });
        return Promise.resolve({ kind: 'answered', status: 200, reason: 'OK', location: null, text });
      },
    });
    return { client, asked };
  }

  it('asks the node that has the guest, in whole seconds, and hands on the log', async () => {
    const { client, asked } = clientOf('OK');
    const lines: string[] = [];
    await guestApi(client, hastyTimers(20)).control(guest, 'shutdown', {
      ...options,
      onLine: (line) => lines.push(line),
    });
    assert.deepEqual(
      [asked[0]?.method, asked[0]?.path, asked[0]?.form, lines],
      ['POST', '/api2/json/nodes/pve2/qemu/100/status/shutdown', 'timeout=2', ['waiting']],
    );
  });

  it('fails with what the task said', async () => {
    const { client } = clientOf('VM quit/powerdown failed - got timeout');
    await assert.rejects(
      guestApi(client, hastyTimers(20)).control(guest, 'shutdown', { ...options, onLine: () => undefined }),
      refusedWith('NotApplied', 'VM quit/powerdown failed - got timeout'),
    );
  });
});
