/** A D-Bus peer that sends what it is told, also what no library would, and keeps everything that comes back. */
import type { Socket } from 'node:net';
import { openBusSocket } from '../../src/platform/dbus/bus-socket.ts';
import type { DecodedMessage, MessageHeader } from '../../src/platform/dbus/codec.ts';
import { decodeMessage, encodeMessage, messageTypes } from '../../src/platform/dbus/codec.ts';
import { MessageSplitter } from '../../src/platform/dbus/message-splitter.ts';
import { waitFor } from './wait-for.ts';

const helloSerial = 1;

export class RawPeer {
  readonly #socket: Socket;
  readonly received: DecodedMessage[] = [];
  #serial = helloSerial;
  uniqueName = '';

  static async connect(address: string): Promise<RawPeer> {
    const peer = new RawPeer(await openBusSocket(address, { deadlineMs: 5000 }));
    const driver = 'org.freedesktop.DBus';
    peer.#write({ path: '/org/freedesktop/DBus', interface: driver, member: 'Hello', destination: driver }, []);
    const reply = await peer.replyTo(helloSerial);
    peer.uniqueName = String(reply.readBody()[0]);
    return peer;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    const splitter = new MessageSplitter();
    socket.on('data', (chunk: Buffer) => {
      for (const frame of splitter.push(chunk)) this.received.push(decodeMessage(frame.bytes));
    });
    socket.resume();
  }

  /** Sends a message, a method call when not told otherwise; gives its serial. */
  send(header: Partial<MessageHeader>, body: readonly unknown[] = []): number {
    this.#serial += 1;
    return this.#write(header, body);
  }

  /** Sends what `change` makes of the message's bytes; gives its serial. */
  sendChanged(header: Partial<MessageHeader>, body: readonly unknown[], change: (bytes: Buffer) => Buffer): number {
    this.#serial += 1;
    this.#socket.write(change(this.#encode(header, body)));
    return this.#serial;
  }

  /** Sends a message whose body is one byte array of `bodyBytes`, longer than the codec would write. */
  sendLarge(header: Partial<MessageHeader>, bodyBytes: number): number {
    return this.sendChanged({ ...header, signature: 'ay' }, [Buffer.alloc(0)], (bytes) => {
      const array = Buffer.alloc(bodyBytes);
      array.writeUInt32LE(bodyBytes - 4, 0);
      bytes.writeUInt32LE(bodyBytes, 4);
      return Buffer.concat([bytes.subarray(0, -4), array]);
    });
  }

  async replyTo(serial: number): Promise<DecodedMessage> {
    await waitFor(`a reply to message ${serial}`, () => this.repliesTo(serial).length > 0);
    return this.repliesTo(serial)[0]!;
  }

  repliesTo(serial: number): DecodedMessage[] {
    return this.received.filter((message) => message.header.replySerial === serial);
  }

  close(): void {
    this.#socket.destroy();
  }

  #write(header: Partial<MessageHeader>, body: readonly unknown[]): number {
    this.#socket.write(this.#encode(header, body));
    return this.#serial;
  }

  #encode(header: Partial<MessageHeader>, body: readonly unknown[]): Buffer {
    return encodeMessage(
      { type: messageTypes.methodCall, flags: 0, signature: '', ...header, serial: this.#serial },
      body,
    );
  }
}
