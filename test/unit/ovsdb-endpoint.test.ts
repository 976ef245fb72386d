import assert from 'node:assert/strict';
import { parseEndpoint, splitEndpoints } from '../../src/platform/ovsdb-endpoint.ts';
import { ovsdbDialer, ovsdbRemotes, ovsdbTlsFiles } from '../../src/platform/ovsdb-socket.ts';
import { refusedWith } from '../support/refused.ts';

describe('an OVSDB endpoint', () => {
  for (const [text, endpoint] of [
    ['unix:/run/db.sock', { kind: 'unix', path: '/run/db.sock' }],
    ['tcp:127.0.0.1:6641', { kind: 'tcp', host: '127.0.0.1', port: 6641 }],
    ['tcp:db-1.example', { kind: 'tcp', host: 'db-1.example', port: 6640 }],
    ['ssl:[fe80::1%eth0]:1', { kind: 'ssl', host: 'fe80::1%eth0', port: 1 }],
    ['ssl:[::1]', { kind: 'ssl', host: '::1', port: 6640 }],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.deepEqual(parseEndpoint(text), endpoint);
    });
  }

  for (const text of [
    '',
    'unix:',
    '/run/db.sock',
    'punix:/run/db.sock',
    'tcp:',
    'tcp::6640',
    'tcp:a:0',
    'tcp:a:65536',
    'tcp:::1:6640',
    'tcp:[::1',
    'ssl:a b:1',
    'udp:a:1',
  ]) {
    it(`refuses "${text}"`, () => {
      assert.throws(() => parseEndpoint(text), refusedWith('InvalidArgument', `"${text}"`, 'unix:PATH'));
      assert.throws(() => ovsdbDialer(text), refusedWith('InvalidArgument'));
      assert.throws(() => splitEndpoints(`unix:/a,${text}`), refusedWith('InvalidArgument'));
    });
  }

  it('may be one of several', () => {
    assert.deepEqual(
      ovsdbRemotes('tcp:a:1, tcp:b:1,unix:/c').map(({ endpoint }) => endpoint),
      ['tcp:a:1', 'tcp:b:1', 'unix:/c'],
    );
  });

  it('needs all three files for ssl', () => {
    assert.throws(() => ovsdbRemotes('ssl:a:1'), refusedWith('InvalidArgument', 'ovsdb_key', 'ovsdb_ca'));
    assert.throws(() => ovsdbTlsFiles({ ovsdb_key: '/k' }), refusedWith('InvalidArgument', 'set all three'));
    assert.equal(ovsdbTlsFiles({}), undefined);
    const files = ovsdbTlsFiles({ ovsdb_key: '/k', ovsdb_certificate: '/c', ovsdb_ca: '/a' });
    assert.equal(ovsdbRemotes('ssl:a:1', files).length, 1);
  });

  it('does not connect when it was given up before', async () => {
    const events = { onData: () => undefined, onClose: () => undefined };
    await assert.rejects(ovsdbDialer('unix:/nowhere')(events, AbortSignal.abort()), refusedWith('Unavailable'));
  });

  it('says which file of a certificate cannot be read', async () => {
    const events = { onData: () => undefined, onClose: () => undefined };
    const tls = { key: '/nowhere/key', certificate: '/nowhere/key', ca: '/nowhere/key' };
    await assert.rejects(
      ovsdbDialer('ssl:a:1', tls)(events, new AbortController().signal),
      refusedWith('Unavailable', 'cannot read /nowhere/key'),
    );
  });
});
