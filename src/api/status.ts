/** The one answer to "does it work?". */
import type { Service } from './service.ts';

export interface Status {
  readonly state: 'running' | 'degraded' | 'tampered';
  readonly version: string;
  readonly switch: string;
  readonly ports: number;
  readonly ledger: string;
  readonly interfaces: string;
  readonly problems: readonly string[];
}

const listingText = { unknown: 'not written yet', present: 'in step', absent: 'no such file' } as const;

export function statusOf(service: Pick<Service, 'version' | 'engine' | 'ledger' | 'notices'>): Status {
  const { engine, ledger, version } = service;
  const status = engine.status();
  const stats = ledger.stats();
  const ports = engine.ports();
  const problems = [
    ...(status.switchProblem === null ? [] : [status.switchProblem.message]),
    ...(status.trouble === null ? [] : [status.trouble.message]),
    ...(status.ledgerGap === null ? [] : [status.ledgerGap]),
    ...(ledger.tampered ? ['the ledger was altered from outside: it is read-only until `ledger acknowledge`'] : []),
    ...(ledger.segmentProblem === null ? [] : [`no new segment: ${ledger.segmentProblem.message}`]),
    ...(ledger.checkpointProblem === null ? [] : [`no checkpoint: ${ledger.checkpointProblem.message}`]),
    ...(status.listing.error === null ? [] : [`managed block: ${status.listing.error.message}`]),
    ...status.listing.foreign.map(
      ({ name, line }) => `interfaces line ${line}: ${name} is not ours and was left alone`,
    ),
    ...status.unreadable.map(([vmid, reason]) => `guest ${vmid}: ${reason}`),
    ...status.policies,
    ...status.problems.map(([port, problem]) => `${port}: ${problem}`),
    ...ports.flatMap(({ port, row }) => (row.error === null ? [] : [`${port}: Open vSwitch says: ${row.error}`])),
    ...service.notices(),
  ];
  return {
    state: ledger.tampered ? 'tampered' : problems.length === 0 ? 'running' : 'degraded',
    version,
    switch:
      status.switchProblem === null
        ? `connected, Open vSwitch ${status.ovsVersion ?? 'of unknown version'}`
        : 'not connected',
    ports: ports.length,
    ledger: `${stats.total_blocks} blocks${ledger.tampered ? ', TAMPERED' : ''}`,
    interfaces: status.listing.error === null ? listingText[status.listing.state] : 'not written',
    problems,
  };
}
