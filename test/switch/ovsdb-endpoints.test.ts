import assert from 'node:assert/strict';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { OvsdbClientOptions } from '../../src/ovsdb/client.ts';
import type { Operation } from '../../src/ovsdb/wire.ts';
import { ovsdbRemotes } from '../../src/platform/ovsdb-socket.ts';
import type { TlsFiles } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { Authority } from '../support/certificates.ts';
import { thingSchema, thingTables } from '../support/fake-ovsdb-server.ts';
import type { ThingTables } from '../support/fake-ovsdb-server.ts';
import { hastyTimers } from '../support/hasty-timers.ts';
import { inStep } from '../support/ovsdb-suite.ts';
import type { ThingClient } from '../support/ovsdb-suite.ts';
import { startPrivateCluster } from '../support/private-cluster.ts';
import type { PrivateCluster } from '../support/private-cluster.ts';
import { portOf, startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const insert = (name: string): Operation => ({ op: 'insert', table: 'Thing', row: { name } });
const names = (client: ThingClient): string[] =>
  [...client.replica.table('Thing').values()].map(({ name }) => name).sort();

function clients(): (
  endpoints: string,
  options?: Partial<OvsdbClientOptions<ThingTables>> & { tls?: TlsFiles },
) => ThingClient {
  // prettier-ignore
  const open: ThingClient[] = [];
  afterEach(() => {
    for (const client of open.splice(0)) client.stop();
  });
  return (endpoints, { tls, ...options } = {}) => {
    const remotes = ovsdbRemotes(endpoints, tls);
    const client = new OvsdbClient({ remotes, timers: systemTimers, database: 'Things', tables: thingTables, ...options }); // prettier-ignore
    open.push(client);
    client.start();
    return client;
  };
}

describe('the OVSDB client over TCP', () => {
  const open = clients();
  let ovs: PrivateSwitch;
  afterEach(() => ovs.stop());

  for (const host of ['127.0.0.1', '[::1]']) {
    it(`talks to ovsdb-server at ${host}, and says who is not there`, async () => {
      ovs = await startPrivateSwitch({ schema: thingSchema, serverArguments: [`--remote=ptcp:0:${host}`] });
      const port = await portOf(ovs);
      const client = open(`tcp:${host}:${port}`);
      await inStep(client);
      await client.transact([insert('a')]);
      assert.deepEqual(names(client), ['a']);
      await ovs.killServer();
      await waitFor(
        'the reason',
        () => client.problem?.message.includes(`tcp:${host}:${port}: nobody listens`) === true,
      );
    });
  }
});

describe('the OVSDB client over TLS', () => {
  const folder = temporaryFolder();
  const open = clients();
  let ovs: PrivateSwitch;
  let port: number;
  let authority: Authority;
  afterEach(() => ovs.stop());

  async function serve(subjects: string, ...more: string[]): Promise<void> {
    authority = await Authority.create(folder(), 'authority');
    const server = await authority.sign('server', subjects);
    const files = [`--private-key=${server.key}`, `--certificate=${server.certificate}`, `--ca-cert=${server.ca}`];
    ovs = await startPrivateSwitch({
      schema: thingSchema,
      serverArguments: ['--remote=pssl:0:127.0.0.1', ...files, ...more],
    });
    port = await portOf(ovs);
  }

  async function refusal(endpoint: string, tls: TlsFiles): Promise<string> {
    const client = open(endpoint, { tls });
    await waitFor('a refusal', () => client.problem?.message.includes('not connected yet') === false);
    return client.problem?.message ?? 'none';
  }

  it('knows the server by name and by address, and lets the server know it', async () => {
    await serve('DNS:localhost,IP:127.0.0.1');
    const tls = await authority.sign('agent', 'DNS:agent');
    for (const host of ['localhost', '127.0.0.1']) {
      const client = open(`ssl:${host}:${port}`, { tls });
      await inStep(client);
      await client.transact([insert(host)]);
      assert.ok(names(client).includes(host));
    }
  });

  it('refuses a server whose certificate is for another name', async () => {
    await serve('DNS:elsewhere.example');
    const tls = await authority.sign('agent', 'DNS:agent');
    assert.match(await refusal(`ssl:localhost:${port}`, tls), /certificate of this server is not for this host name/);
    assert.match(await refusal(`ssl:127.0.0.1:${port}`, tls), /certificate of this server is not for this host name/);
  });

  it('refuses a server that another authority signed', async () => {
    await serve('DNS:localhost');
    const other = await Authority.create(folder(), 'other');
    const tls = await other.sign('agent', 'DNS:agent');
    assert.match(await refusal(`ssl:localhost:${port}`, tls), /signed by no authority that is trusted here/);
  });

  it('is refused by a server that does not trust it, and says so', async () => {
    await serve('DNS:localhost');
    const other = await Authority.create(folder(), 'other');
    const tls = { ...(await other.sign('agent', 'DNS:agent')), ca: (await authority.sign('x', 'DNS:x')).ca };
    const client = open(`ssl:localhost:${port}`, { tls });
    await waitFor('a refusal', () => /alert|closed the connection|reset/i.test(client.problem?.message ?? ''));
  });

  it('speaks TLS 1.2 and nothing older', async () => {
    await serve('DNS:localhost', '--ssl-protocols=TLSv1.2');
    const tls = await authority.sign('agent', 'DNS:agent');
    await inStep(open(`ssl:localhost:${port}`, { tls }));
    await ovs.stop();
    await serve('DNS:localhost', '--ssl-protocols=TLSv1.1', '--ssl-ciphers=ALL:@SECLEVEL=0');
    const again = await authority.sign('agent', 'DNS:agent');
    assert.match(await refusal(`ssl:localhost:${port}`, again), /protocol|alert|version|closed|reset|disconnected/i);
  });
});

describe('the OVSDB client and a cluster', function () {
  this.timeout(60_000);
  const open = clients();
  let cluster: PrivateCluster;

  before(async () => {
    cluster = await startPrivateCluster(thingSchema, 3);
  });
  after(() => cluster.stop());

  it('reads from any member, and only from the leader when told to', async () => {
    const leader = await cluster.leader();
    const follower = cluster.members.find((member) => member !== leader);
    assert.ok(follower);
    await inStep(open(follower.endpoint));
    const strict = open(follower.endpoint, { leaderOnly: true });
    await waitFor('the refusal', () => /does not lead the cluster of Things/.test(strict.problem?.message ?? ''));
    const all = open(cluster.endpoints, { leaderOnly: true });
    await inStep(all);
    await all.transact([insert('first')]);
    await waitFor('the row', () => names(all).includes('first'));
  });

  it('goes to the next leader when its leader dies, with exact events', async () => {
    const client = open(cluster.endpoints, { leaderOnly: true, timers: hastyTimers(5) });
    await inStep(client);
    const heard: string[] = [];
    client.listen({
      onState: (problem) => heard.push(problem === null ? 'in step' : 'out of step'),
      onChanges: (changes) => heard.push(...changes.map(({ kind, row }) => `${kind} ${row.name}`)),
    });
    const old = await cluster.leader();
    await client.transact([insert('second')]);
    await old.kill();
    await waitFor('the loss', () => client.problem !== null);
    await waitFor('the next leader', () => client.problem === null, 20_000);
    await client.transact([insert('third')], { deadlineMs: 60_000 });
    await waitFor('the rows', () => names(client).includes('third'));
    assert.deepEqual(heard, ['insert second', 'out of step', 'in step', 'insert third']);
    assert.notEqual(await cluster.leader(), old);
  });
});
