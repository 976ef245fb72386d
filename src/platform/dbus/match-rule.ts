/** Match rules ("Match Rules" of the D-Bus specification) for signals. */
import type { MessageHeader } from './codec.ts';

/** What is left out matches anything. */
export interface MatchRule {
  /** A unique or a well-known name. With a well-known name only its present owner's signals match. */
  readonly sender?: string;
  readonly path?: string;
  /** The path itself and all below it. */
  readonly pathNamespace?: string;
  readonly interface?: string;
  readonly member?: string;
  /** The first argument, a string. */
  readonly arg0?: string;
}

/** A signal as handlers see it; values as in values.ts. */
export interface BusSignal {
  readonly sender: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

export type SignalHandler = (signal: BusSignal) => void;

/** The text for `AddMatch`; equal rules give equal texts. */
export function renderMatchRule(rule: MatchRule): string {
  const keys: [string, string | undefined][] = [
    ['type', 'signal'],
    ['sender', rule.sender],
    ['path', rule.path],
    ['path_namespace', rule.pathNamespace],
    ['interface', rule.interface],
    ['member', rule.member],
    ['arg0', rule.arg0],
  ];
  return keys
    .filter((pair): pair is [string, string] => pair[1] !== undefined)
    .map(([key, value]) => `${key}='${value.replaceAll("'", `'\\''`)}'`)
    .join(',');
}

/** Everything but sender and `arg0`, which the header alone does not decide. */
export function matchesHeader(rule: MatchRule, header: MessageHeader): boolean {
  const { path = '' } = header;
  return (
    (rule.path === undefined || rule.path === path) &&
    (rule.pathNamespace === undefined ||
      rule.pathNamespace === '/' ||
      path === rule.pathNamespace ||
      path.startsWith(`${rule.pathNamespace}/`)) &&
    (rule.interface === undefined || rule.interface === header.interface) &&
    (rule.member === undefined || rule.member === header.member)
  );
}
