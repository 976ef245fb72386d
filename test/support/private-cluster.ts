/** A private cluster of `ovsdb-server`s (RAFT, ovsdb(7)) on the loopback device, for one database of one schema. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Daemon, runTool } from './private-switch.ts';
import { waitFor } from './wait-for.ts';

export interface ClusterMember {
  readonly endpoint: string;
  isLeader(): Promise<boolean>;
  kill(): Promise<void>;
}

export interface PrivateCluster {
  readonly members: readonly ClusterMember[];
  /** Comma-separated. */
  readonly endpoints: string;
  leader(): Promise<ClusterMember>;
  stop(): Promise<void>;
}

export async function startPrivateCluster(schema: { name: string }, size: number): Promise<PrivateCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'ovs-cluster-'));
  const schemaPath = join(folder, 'schema');
  await writeFile(schemaPath, JSON.stringify(schema));
  const daemons: Daemon[] = [];
  const addresses = (await freePorts(size)).map((port) => `tcp:127.0.0.1:${port}`);

  async function startMember(address: string, index: number): Promise<ClusterMember> {
    const home = join(folder, String(index));
    const [database, socket] = [join(home, 'db'), join(home, 'db.sock')];
    await mkdir(home);
    const first = addresses[0] ?? '';
    if (index === 0) await runTool(home, 'ovsdb-tool', 'create-cluster', database, schemaPath, address);
    else await runTool(home, 'ovsdb-tool', 'join-cluster', database, schema.name, address, first);
    const daemon = new Daemon('ovsdb-server', home);
    daemons.push(daemon);
    daemon.start(database, `--remote=punix:${socket}`);
    await daemon.waitUntil('its socket', () => existsSync(socket));
    // Members join one after another, each once the one before is in.
    await runTool(home, 'ovsdb-client', '--timeout=10', 'wait', `unix:${socket}`, schema.name, 'connected');
    return {
      endpoint: `unix:${socket}`,
      isLeader: async () => /Role: leader/.test(await status(home, schema.name)),
      kill: () => daemon.end('SIGKILL'),
    };
  }

  const members: ClusterMember[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.end('SIGKILL')));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const [index, address] of addresses.entries()) members.push(await startMember(address, index));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    members,
    endpoints: members.map(({ endpoint }) => endpoint).join(','),
    stop,
    async leader() {
      let found: ClusterMember | undefined;
      await waitFor('a leader', async () => {
        for (const member of members) if (await member.isLeader().catch(() => false)) found = member;
        return found !== undefined;
      });
      return found as ClusterMember;
    },
  };
}

function status(home: string, database: string): Promise<string> {
  return runTool(home, 'ovs-appctl', `--target=${join(home, 'ovsdb-server.ctl')}`, 'cluster/status', database);
}

/** Ports that nobody uses now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const listeners = Array.from({ length: count }, () => createServer());
  await Promise.all(
    listeners.map((listener) => new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))),
  );
  const ports = listeners.map((listener) => (listener.address() as AddressInfo).port);
  await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  return ports;
}
