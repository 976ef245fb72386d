/** Dials an OVSDB endpoint, spelled as Open vSwitch spells its connection methods (ovsdb(7)). */
import { createConnection } from 'node:net';
import { AgentError } from '../model/errors.ts';
import type { Channel, ChannelEvents, Dial } from '../ovsdb/channel.ts';

/** `unix:PATH`. Throws `InvalidArgument` for anything else. */
export function ovsdbDialer(endpoint: string): Dial {
  const path = /^unix:(.+)$/.exec(endpoint)?.[1];
  if (path === undefined) {
    throw new AgentError('InvalidArgument', `ovsdb = "${endpoint}" is not supported: expected "unix:PATH"`);
  }
  return (events, signal) => dialUnix(path, events, signal);
}

function dialUnix(path: string, events: ChannelEvents, signal: AbortSignal): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path, signal });
    let failure: Error | null = null;
    let connected = false;
    socket.on('connect', () => {
      connected = true;
      resolve({
        write: (text) => {
          socket.write(text);
        },
        destroy: () => {
          socket.destroy();
        },
      });
    });
    socket.on('data', (chunk: Buffer) => {
      events.onData(chunk);
    });
    socket.on('error', (error) => {
      failure = new AgentError('Unavailable', `cannot talk to ${path}: ${error.message}`, { cause: error });
    });
    socket.on('close', () => {
      if (connected) events.onClose(failure);
      else reject(failure ?? new AgentError('Unavailable', `connecting to ${path} was given up`));
    });
  });
}
