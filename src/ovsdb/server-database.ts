/** What a server says of itself in its database `_Server` (ovsdb-server(5)): whether it is of use for another database. */
import { AgentError } from '../model/errors.ts';
import type { ReplicaReader } from './replica.ts';

/** A server older than a column has no clusters: it is as good as a leader. */
export const serverTables = {
  Database: { name: '', model: 'standalone', connected: true, leader: true },
};

/** Throws `Unavailable` when a client should go to another server of the cluster. */
export function checkServer(
  replica: ReplicaReader<typeof serverTables>,
  { database, leaderOnly }: { database: string; leaderOnly: boolean },
): void {
  // A database that is not listed is refused by get_schema, in the server's own words.
  const row = [...replica.table('Database').values()].find(({ name }) => name === database);
  if (row?.model !== 'clustered') return;
  if (!row.connected) throw new AgentError('Unavailable', `this server has lost the cluster of ${database}`);
  if (leaderOnly && !row.leader) {
    throw new AgentError('Unavailable', `this server does not lead the cluster of ${database}`);
  }
}
