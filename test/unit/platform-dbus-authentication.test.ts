import assert from 'node:assert/strict';
import { authRequest, parseAuthReply } from '../../src/platform/dbus/authentication.ts';

describe('D-Bus authentication', () => {
  it('sends the uid as hexadecimal digits of its decimal form, after a NUL', () => {
    assert.equal(authRequest(1000), '\0AUTH EXTERNAL 31303030\r\n');
  });

  it('waits for the whole line, wherever it is cut', () => {
    const line = Buffer.from('OK 00112233445566778899aabbccddeeff\r\nrest');
    for (let cut = 0; cut < line.indexOf('\n') + 1; cut++) assert.equal(parseAuthReply(line.subarray(0, cut)), null);
    assert.equal(parseAuthReply(line)?.toString(), 'rest');
  });

  it('says so when the server refuses', () => {
    assert.throws(() => parseAuthReply(Buffer.from('REJECTED EXTERNAL\r\n')), { code: 'AccessDenied' });
  });

  it('says so when the other side is no bus', () => {
    assert.throws(() => parseAuthReply(Buffer.from('HTTP/1.1 400 Bad Request\r\n')), { code: 'Unavailable' });
    assert.throws(() => parseAuthReply(Buffer.alloc(5000, 'x')), { code: 'Unavailable' });
  });
});
