/** All checks over one observation. Pure. */
import type { Check, Finding } from './check.ts';
import type { NodeFacts } from './facts.ts';
import { proxmoxChecks } from './proxmox-checks.ts';
import { serviceChecks } from './service-checks.ts';
import { switchChecks } from './switch-checks.ts';

/** In the order in which they are reported. */
export const checks: readonly Check[] = [...switchChecks, ...serviceChecks, ...proxmoxChecks];

export interface CheckReport {
  readonly id: string;
  readonly looks_at: string;
  /** The worst of its findings; `skipped` when it does not apply to this host. */
  readonly result: 'ok' | 'note' | 'warning' | 'error' | 'skipped';
  readonly findings: readonly Finding[];
}

export interface Report {
  readonly errors: number;
  readonly warnings: number;
  readonly notes: number;
  readonly checks: readonly CheckReport[];
}

export function examine(facts: NodeFacts): Report {
  const reports = checks.map((check) => reportOf(check, facts));
  const count = (severity: Finding['severity']): number =>
    reports.reduce((sum, { findings }) => sum + findings.filter((finding) => finding.severity === severity).length, 0);
  return { errors: count('error'), warnings: count('warning'), notes: count('note'), checks: reports };
}

function reportOf({ id, looksAt, run }: Check, facts: NodeFacts): CheckReport {
  const findings = run(facts);
  const worst = (['error', 'warning', 'note'] as const).find((severity) =>
    findings?.some((finding) => finding.severity === severity),
  );
  const result = findings === null ? 'skipped' : (worst ?? 'ok');
  return { id, looks_at: looksAt, result, findings: findings ?? [] };
}
