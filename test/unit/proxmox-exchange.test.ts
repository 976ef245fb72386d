import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeForm, encodePath, readAnswer } from '../../src/proxmox/api-exchange.ts';
import type { ApiAnswer } from '../../src/proxmox/api-exchange.ts';
import { codeOfRefusal, ProxmoxError } from '../../src/proxmox/api-error.ts';
import { parseUpid } from '../../src/proxmox/upid.ts';
import { refusedWith } from '../support/refused.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.json(),
  fc.constantFrom('{"data":1}', '{"data":null,"errors":{"a":"b"}}', '{"__proto__":{"data":1}}', '[]', 'null', '"data"'),
);

describe('an answer', () => {
  it('of any shape is data or one error, whose words fit on a line', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('GET' as const, 'POST' as const, 'PUT' as const, 'DELETE' as const),
        fc.oneof(fc.integer({ min: 0, max: 999 }), fc.constantFrom(200, 400, 500, 595)),
        text,
        text,
        fc.option(text),
        (method, status, reason, body, location) => {
          const answer: ApiAnswer = { kind: 'answered', status, reason, location, text: body };
          try {
            const data = readAnswer({ method, path: '/api2/json/x' }, answer);
            assert.equal(status, 200);
            assert.deepEqual(data, (JSON.parse(body) as { data: unknown }).data);
          } catch (error) {
            assert.ok(error instanceof ProxmoxError);
            assert.equal(error.status, status);
            assert.ok(error.message.length < 1500 && !/[\p{Cc}]/u.test(error.message), error.message);
            assert.ok(method !== 'GET' || !error.isOutcomeUnknown);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('is not taken from what an object inherits', () => {
    const answer: ApiAnswer = {
      kind: 'answered',
      status: 200,
      reason: '',
      location: null,
      text: '{"__proto__":{"data":1}}',
    };
    assert.throws(
      () => readAnswer({ method: 'GET', path: '/x' }, answer),
      refusedWith('Unavailable', 'not one of Proxmox VE'),
    );
  });

  it('that never came leaves a change in doubt only when it may have been seen', () => {
    for (const [method, mayHaveArrived, inDoubt] of [
      ['GET', true, false],
      ['POST', false, false],
      ['POST', true, true],
    ] as const) {
      const answer: ApiAnswer = { kind: 'failed', code: 'Unavailable', message: 'gone', mayHaveArrived };
      assert.throws(
        () => readAnswer({ method, path: '/x' }, answer),
        (error) => error instanceof ProxmoxError && error.isOutcomeUnknown === inDoubt,
      );
    }
  });

  for (const [status, words, isChange, code] of [
    [500, "Configuration file 'nodes/pve1/lxc/9.conf' does not exist", false, 'NotFound'],
    [500, 'CT is locked (backup)', true, 'Busy'],
    [500, 'VM 100 not running', true, 'Conflict'],
    [500, "can't lock file '/run/lock/lxc/pve-config-100.lock' - got timeout", true, 'Busy'],
    [500, 'checksum missmatch (file change by other user?)', true, 'Conflict'],
    [500, 'start failed: exit code 1', true, 'NotApplied'],
    [500, 'start failed: exit code 1', false, 'Unavailable'],
    [501, "Method 'GET /x' not implemented", false, 'NotFound'],
    [596, 'tls_process_server_certificate: certificate verify failed', true, 'Unavailable'],
    [403, 'CT is locked (backup)', true, 'AccessDenied'],
    [400, 'Parameter verification failed.', true, 'InvalidArgument'],
  ] as const) {
    it(`of ${status} "${words}" is ${code}`, () => {
      assert.equal(codeOfRefusal(status, words, isChange), code);
    });
  }
});

describe('a path', () => {
  const literal = fc.constantFrom('nodes', 'lxc', 'config');

  it('has the segments that were given, each decoded as itself, or is refused', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(literal, fc.string({ unit: 'binary', maxLength: 12 })), { minLength: 1 }),
        (ids) => {
          // As proxmox-api joins them.
          const path = `/api2/json/${ids.map((id) => id.replaceAll('/', '%2F')).join('/')}`;
          const template = `/api2/json/${ids.map(() => '*').join('/')}`;
          try {
            const segments = encodePath(path, template).split('/').slice(3);
            assert.deepEqual(segments.map(decodeURIComponent), ids);
            for (const segment of segments) assert.match(segment, /^[A-Za-z0-9%._~!*'()-]+$/);
          } catch (error) {
            if (error instanceof URIError) return;
            refusedWith('InvalidArgument', 'cannot stand in a path')(error);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('parameters', () => {
  it('leave out what is not set, and say true as 1', () => {
    assert.equal(
      encodeForm({ a: true, b: false, c: undefined, d: null, e: 'x y&z=1', f: 5 }),
      'a=1&b=0&e=x+y%26z%3D1&f=5',
    );
    assert.throws(() => encodeForm({ a: { b: 1 } }), refusedWith('InvalidArgument', '"a"'));
  });
});

describe('the name of a task', () => {
  it('tells node, type and subject', () => {
    const upid = 'UPID:pve-1:0004D2A1:0099AABBC:68AE1234:vzstart:100:agent@pve!test:';
    assert.deepEqual(parseUpid(upid), { upid, node: 'pve-1', type: 'vzstart', id: '100' });
    assert.equal(parseUpid('UPID:pve1:0004D2A1:0099AABB:68AE1234:aptupdate::root@pam:').id, '');
  });

  for (const upid of [
    '',
    null,
    5,
    'UPID:pve1:0004D2A1:0099AABB:68AE1234:vzstart:100:root@pam',
    'UPID:../x:0004D2A1:0099AABB:68AE1234:vzstart:100:root@pam:',
    'UPID:pve1:0004D2A1:0099AABB:68AE1234:vz/start:100:root@pam:',
    'UPID:pve1:0004D2A1:0099AABB:68AE1234:vzstart:100:root@pam:\n',
    'UPID:pve1:xyz:0099AABB:68AE1234:vzstart:100:root@pam:',
  ]) {
    it(`is not ${JSON.stringify(upid)}`, () => {
      assert.throws(() => parseUpid(upid), refusedWith('InvalidArgument', 'not the name of a task'));
    });
  }
});
