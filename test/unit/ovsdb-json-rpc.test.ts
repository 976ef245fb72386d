import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { JsonRpc } from '../../src/ovsdb/json-rpc.ts';
import { pendingRequestsMax } from '../../src/ovsdb/limits.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { refusedWith } from '../support/refused.ts';

const deadlineMs = 1000;
const asItIs = (result: unknown): unknown => result;

function connect(onNotification: (method: string, params: unknown[]) => void = () => undefined) {
  const clock = new FakeClock();
  const sent: unknown[] = [];
  let activities = 0;
  const rpc = new JsonRpc({ write: (bytes) => sent.push(JSON.parse(bytes)) }, clock, {
    onNotification,
    onActivity: () => activities++,
  });
  return {
    clock,
    rpc,
    sent,
    activities: () => activities,
    request: (method: string, params: unknown[] = [], signal?: AbortSignal) =>
      rpc.request(method, params, { read: asItIs, deadlineMs, signal }),
    receive: (...messages: unknown[]) => {
      rpc.receive(Buffer.from(messages.map((message) => JSON.stringify(message)).join('')));
    },
  };
}

/** Attaches the expectation before anything can reject. */
function rejects(promise: Promise<unknown>, check: (thrown: unknown) => true): Promise<void> {
  return assert.rejects(promise, check);
}

describe('JSON-RPC with an OVSDB server', () => {
  it('sends a request as RFC 7047 spells it', () => {
    const { request, sent } = connect();
    void request('get_schema', ['Open_vSwitch']);
    void request('echo');
    assert.deepEqual(sent, [
      { method: 'get_schema', params: ['Open_vSwitch'], id: 0 },
      { method: 'echo', params: [], id: 1 },
    ]);
  });

  it('matches replies with requests in whatever order they come', async () => {
    const { request, receive } = connect();
    const answers = Promise.all([request('a'), request('b'), request('c')]);
    receive({ id: 2, result: 'C', error: null }, { id: 0, result: 'A', error: null });
    receive({ id: 1, result: 'B' });
    assert.deepEqual(await answers, ['A', 'B', 'C']);
  });

  it('reads a result before anything that came after it', async () => {
    const seen: unknown[] = [];
    const { rpc, receive } = connect((method) => seen.push(method));
    const answer = rpc.request('lock', [], { read: (result) => seen.push(result), deadlineMs });
    receive({ id: 0, result: 'granted', error: null }, { id: null, method: 'stolen', params: [] });
    await answer;
    assert.deepEqual(seen, ['granted', 'stolen']);
  });

  it('ignores replies that nobody waits for', async () => {
    const { request, receive } = connect();
    const answer = request('a');
    for (const id of [7, -1, '0', null, [0], { id: 0 }, true]) receive({ id, result: 'wrong', error: null });
    receive({ id: 0, result: 'right', error: null }, { id: 0, result: 'again', error: null });
    assert.equal(await answer, 'right');
  });

  it('answers an echo with its own parameters and id', () => {
    const { receive, sent } = connect();
    receive({ method: 'echo', params: [1, 'x'], id: 'echo' }, { method: 'echo', params: [], id: null });
    assert.deepEqual(sent, [
      { result: [1, 'x'], error: null, id: 'echo' },
      { result: [], error: null, id: null },
    ]);
  });

  it('hands on notifications and tells of activity', () => {
    const seen: unknown[] = [];
    const { receive, activities } = connect((method, params) => seen.push([method, params]));
    receive({ method: 'update3', params: ['m', 't', {}], id: null });
    assert.deepEqual(seen, [['update3', ['m', 't', {}]]]);
    assert.equal(activities(), 1);
  });

  for (const [title, error, words] of [
    ['a string', 'unknown database', 'unknown database'],
    ['an <error> object', { error: 'syntax error', details: 'no such op' }, 'syntax error: no such op'],
    ['an <error> object without details', { error: 'canceled' }, 'failed: canceled'],
    ['details that are no text', { error: 'oops', details: { toString: 1 } }, 'failed: oops'],
    ['an error that is no text', { error: { toString: 1, valueOf: 1 } }, 'failed: {"toString":1,"valueOf":1}'],
    ['an object of another kind', { code: -32601 }, 'failed: {"code":-32601}'],
    ['a number', 7, 'failed: 7'],
    ['a very long text', 'x'.repeat(1_000_000), /^.{1,150}$/],
  ] as const) {
    it(`makes an error of a reply whose error is ${title}`, async () => {
      const { request, receive } = connect();
      const refused = rejects(request('monitor'), refusedWith('SwitchError', 'OVSDB monitor', words));
      receive({ id: 0, result: null, error });
      await refused;
    });
  }

  it('takes an error reply without a result, as ovsdb-server sends it', async () => {
    const { request, receive } = connect();
    const refused = rejects(
      request('get_schema'),
      refusedWith('SwitchError', 'OVSDB get_schema failed: unknown database'),
    );
    receive({ id: 0, error: { error: 'unknown database', syntax: '["x"]', details: 'no such' } });
    await refused;
  });

  it('gives up at the deadline, and takes a late reply for nobody’s', async () => {
    const { clock, request, receive } = connect();
    const refused = rejects(request('transact'), refusedWith('Timeout', 'OVSDB transact', '1000 ms'));
    await clock.advance(deadlineMs);
    await refused;
    receive({ id: 0, result: 'late', error: null });
    const next = request('echo');
    receive({ id: 1, result: 'in time', error: null });
    assert.equal(await next, 'in time');
    assert.deepEqual(clock.pendingMs, []);
  });

  it('gives up when its caller does', async () => {
    const { clock, request, receive } = connect();
    const controller = new AbortController();
    const refused = rejects(request('transact', [], controller.signal), refusedWith('Timeout', 'given up'));
    controller.abort(new Error('changed my mind'));
    await refused;
    receive({ id: 0, result: 'late', error: null });
    assert.deepEqual(clock.pendingMs, []);
  });

  it('sends nothing for a caller who has given up already', async () => {
    const { request, sent } = connect();
    await rejects(request('transact', [], AbortSignal.abort()), refusedWith('Timeout', 'given up'));
    assert.deepEqual(sent, []);
  });

  it('leaves no timer, and no listener on the signal, behind a reply', async () => {
    const { clock, request, receive } = connect();
    const controller = new AbortController();
    const answer = request('a', [], controller.signal);
    receive({ id: 0, result: 1, error: null });
    controller.abort();
    assert.equal(await answer, 1);
    assert.deepEqual(clock.pendingMs, []);
  });

  it('refuses a request above the maximum, and takes the next when one was answered', async () => {
    const { request, receive, sent } = connect();
    const first = request('a');
    for (let i = 1; i < pendingRequestsMax; i++) request('a').catch(() => undefined);
    await rejects(request('a'), refusedWith('Busy', 'not sent', String(pendingRequestsMax)));
    assert.equal(sent.length, pendingRequestsMax);
    receive({ id: 0, result: null, error: null });
    await first;
    void request('a');
    assert.equal(sent.length, pendingRequestsMax + 1);
  });

  it('rejects what is pending when closed, and what comes later', async () => {
    const { clock, rpc, request } = connect();
    const reason = new AgentError('Unavailable', 'the server closed the connection');
    const pending = ['a', 'b'].map((method) =>
      rejects(request(method), refusedWith('Unavailable', `OVSDB ${method} was sent`, reason.message)),
    );
    rpc.close(reason);
    rpc.close(new AgentError('Internal', 'a second time'));
    await Promise.all(pending);
    await rejects(request('c'), (thrown) => {
      assert.equal(thrown, reason);
      return true;
    });
    assert.deepEqual(clock.pendingMs, []);
  });

  it('tells a request whose reply is lost from one that was never sent', async () => {
    const { rpc, request } = connect();
    const reason = new AgentError('Unavailable', 'gone');
    const lost = request('transact').catch((error: unknown) => error);
    rpc.close(reason);
    assert.notEqual(await lost, reason);
    assert.equal(((await lost) as Error).cause, reason);
  });

  it('dispatches nothing more once a listener has closed it', () => {
    const seen: string[] = [];
    const { rpc, receive } = connect((method) => {
      seen.push(method);
      rpc.close(new AgentError('Unavailable', 'stopped'));
    });
    receive({ method: 'a', params: [], id: null }, { method: 'b', params: [], id: null });
    assert.deepEqual(seen, ['a']);
  });

  it('keeps nothing of parameters that cannot be sent', async () => {
    const { clock, request, sent } = connect();
    await assert.rejects(request('transact', [1n]), TypeError);
    assert.deepEqual([sent, clock.pendingMs], [[], []]);
  });

  it('throws what a reader throws, so that the connection is dropped, and leaves the request to `close`', async () => {
    const { rpc, receive } = connect();
    const read = (): never => {
      throw new AgentError('SwitchError', 'no schema');
    };
    const answer = rejects(rpc.request('get_schema', [], { read, deadlineMs }), refusedWith('Unavailable', 'bad peer'));
    assert.throws(
      () => {
        receive({ id: 0, result: 7, error: null });
      },
      refusedWith('SwitchError', 'no schema'),
    );
    rpc.close(new AgentError('Unavailable', 'bad peer'));
    await answer;
  });

  for (const value of [
    [],
    {},
    { id: 1 },
    { id: 1, error: null },
    { id: 1, error: 7 },
    { result: 1, error: null },
    { method: 'update3', params: [] },
    { id: null, method: 'update3' },
    { id: null, method: 'update3', params: {} },
    { id: null, method: 'update3', params: null },
    { id: null, method: 7, params: [] },
    { id: null, method: null, params: [] },
    JSON.parse('{"__proto__":{"id":0,"result":1}}') as unknown,
  ]) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      const { receive } = connect();
      assert.throws(
        () => {
          receive(value);
        },
        refusedWith('SwitchError', 'neither request, reply nor notification'),
      );
    });
  }
});
