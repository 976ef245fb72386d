import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeMessage, encodeMessage, messageTypes } from '../../src/platform/dbus/codec.ts';
import { messageBytesMax } from '../../src/platform/dbus/limits.ts';
import { MessageSplitter } from '../../src/platform/dbus/message-splitter.ts';

function message(serial: number, text: string): Buffer {
  return encodeMessage({ type: messageTypes.methodCall, flags: 0, serial, path: '/a', member: 'M', signature: 's' }, [
    text,
  ]);
}

function serials(splitter: MessageSplitter, chunk: Buffer): number[] {
  return splitter.push(chunk).map((frame) => decodeMessage(frame.bytes).header.serial);
}

describe('splitting a D-Bus stream', () => {
  const stream = Buffer.concat([message(1, 'a'), message(2, 'bcdefgh'), message(3, '')]);

  it('finds the messages wherever the stream is cut in two', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const splitter = new MessageSplitter();
      const found = [...serials(splitter, stream.subarray(0, cut)), ...serials(splitter, stream.subarray(cut))];
      assert.deepEqual(found, [1, 2, 3], `cut at ${cut}`);
    }
  });

  it('finds them byte by byte', () => {
    const splitter = new MessageSplitter();
    assert.deepEqual(
      [...stream].flatMap((byte) => serials(splitter, Buffer.of(byte))),
      [1, 2, 3],
    );
  });

  it('finds them in any chunks', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: stream.length })), (cuts) => {
        const splitter = new MessageSplitter();
        const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const found = edges.flatMap((edge, index) => serials(splitter, stream.subarray(edges[index - 1] ?? 0, edge)));
        assert.deepEqual(found, [1, 2, 3]);
      }),
    );
  });

  it('skips the body of a message above the maximum without keeping it, and goes on', () => {
    const header = Buffer.from(message(9, 'x'));
    const headerBytes = header.length - 6;
    header.writeUInt32LE(messageBytesMax, 4);
    const splitter = new MessageSplitter();
    const [frame] = splitter.push(header.subarray(0, headerBytes));
    assert.equal(frame?.oversized, messageBytesMax + headerBytes);
    assert.equal(decodeMessage(frame.bytes).header.serial, 9);
    const piece = Buffer.alloc(1024 * 1024);
    for (let sent = 0; sent < messageBytesMax; sent += piece.length) assert.deepEqual(splitter.push(piece), []);
    assert.deepEqual(serials(splitter, message(10, 'after')), [10]);
  });

  it('stops at bytes that are no D-Bus message', () => {
    assert.throws(() => new MessageSplitter().push(Buffer.from('HTTP/1.1 200 OK\r\n')), { code: 'Unavailable' });
  });

  it('stops at a header of absurd length', () => {
    const bytes = message(1, 'a');
    bytes.writeUInt32LE(0x7fff_ffff, 12);
    assert.throws(() => new MessageSplitter().push(bytes), { code: 'Unavailable', message: /header of/ });
  });
});
