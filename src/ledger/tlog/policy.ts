/** Which logs and how many of which witnesses make a checkpoint valid (C2SP tlog-policy). */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { asBuffer } from '../block.ts';
import { policyBytesMax, policyGroupsMax, policyLogsMax, policyWitnessesMax } from '../limits.ts';
import { parseDecimal } from './fields.ts';
import { signatureTypes, VerifierKey } from './key.ts';

export interface Policy {
  /** Empty: which log is meant is known from elsewhere. */
  readonly logs: readonly VerifierKey[];
  /** By their names in the file, which mean nothing outside it. */
  readonly witnesses: ReadonlyMap<string, VerifierKey>;
  /** In the order of the file: members stand before their group. */
  readonly groups: readonly Group[];
  /** A witness, a group, or `none`. */
  readonly quorum: string;
}

interface Group {
  readonly name: string;
  /** How many of its members make it count. */
  readonly threshold: number;
  readonly members: readonly string[];
}

/** Throws `InvalidArgument` with the line and what is wrong with it. */
export function parsePolicy(bytes: Uint8Array): Policy {
  if (bytes.length > policyBytesMax) throw invalid(`it has ${bytes.length} bytes, at most ${policyBytesMax}`);
  // Octets, not characters: two spellings of one character are two names.
  const lines = asBuffer(bytes).toString('latin1').split('\n');
  const reader = new PolicyReader();
  for (const [index, line] of lines.entries()) {
    try {
      reader.take(line);
    } catch (thrown) {
      if (!(thrown instanceof AgentError)) throw thrown;
      throw invalid(`line ${index + 1}: ${thrown.message}`);
    }
  }
  return reader.end();
}

/** Whether the witnesses that cosigned a checkpoint are enough. */
export function hasQuorum(policy: Policy, cosigners: readonly VerifierKey[]): boolean {
  if (policy.quorum === noQuorum) return true;
  const counting = new Set([...policy.witnesses].flatMap(([name, key]) => (cosigners.includes(key) ? [name] : [])));
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => counting.has(member)).length >= threshold) counting.add(name);
  }
  return counting.has(policy.quorum);
}

const noQuorum = 'none';

class PolicyReader {
  readonly #logs: VerifierKey[] = [];
  readonly #witnesses = new Map<string, VerifierKey>();
  readonly #groups: Group[] = [];
  readonly #names = new Set<string>();
  readonly #members = new Set<string>();
  #quorum: string | null = null;

  take(line: string): void {
    // eslint-disable-next-line no-control-regex -- all that a policy must not hold
    if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(line)) throw invalid('it holds a control character');
    const [keyword = '', ...words] = line.split(/[ \t]+/).filter((word) => word !== '');
    if (keyword === '' || keyword.startsWith('#')) return;
    switch (keyword) {
      case 'log':
        this.#log(words);
        break;
      case 'witness':
        this.#witness(words);
        break;
      case 'group':
        this.#group(words);
        break;
      case 'quorum':
        this.#takeQuorum(words);
        break;
      default:
        throw invalid(`${quote(keyword)} is none of log, witness, group and quorum`);
    }
  }

  end(): Policy {
    if (this.#quorum === null) throw invalid('it has no quorum: add "quorum none" when no witness is needed');
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum };
  }

  #log(words: readonly string[]): void {
    const [vkey] = words;
    if (vkey === undefined || words.length > 2) throw invalid('expected log <vkey> [<url>]');
    if (this.#logs.length === policyLogsMax) throw invalid(`more than ${policyLogsMax} logs`);
    const key = VerifierKey.parse(utf8Of(vkey), signatureTypes.ed25519);
    if (this.#logs.some((other) => other.hasKeyOf(key)))
      throw invalid(`the key of log ${quote(key.name)} stands twice`);
    this.#logs.push(key);
  }

  #witness(words: readonly string[]): void {
    const [name, vkey] = words;
    if (name === undefined || vkey === undefined || words.length > 3) {
      throw invalid('expected witness <name> <vkey> [<url>]');
    }
    if (this.#witnesses.size === policyWitnessesMax) throw invalid(`more than ${policyWitnessesMax} witnesses`);
    const key = VerifierKey.parse(utf8Of(vkey), signatureTypes.cosignature);
    if ([...this.#witnesses.values()].some((other) => other.hasKeyOf(key))) {
      throw invalid(`the key of witness ${quote(name)} stands twice`);
    }
    this.#define(name);
    this.#witnesses.set(name, key);
  }

  #group(words: readonly string[]): void {
    const [name, count, ...members] = words;
    if (name === undefined || count === undefined || members.length === 0) {
      throw invalid('expected group <name> all|any|<number> <name>...');
    }
    if (this.#groups.length === policyGroupsMax) throw invalid(`more than ${policyGroupsMax} groups`);
    for (const member of members) {
      if (!this.#names.has(member)) throw invalid(`${quote(member)} is not defined before it`);
      if (this.#members.has(member)) throw invalid(`${quote(member)} is a member twice`);
      this.#members.add(member);
    }
    const threshold = thresholdOf(count, members.length);
    this.#define(name);
    this.#groups.push({ name, threshold, members });
  }

  #takeQuorum(words: readonly string[]): void {
    const [name] = words;
    if (name === undefined || words.length > 1) throw invalid('expected quorum <name>');
    if (this.#quorum !== null) throw invalid('there is a quorum already');
    if (name !== noQuorum && !this.#names.has(name)) throw invalid(`${quote(name)} is not defined before it`);
    this.#quorum = name;
  }

  #define(name: string): void {
    if (name === noQuorum) throw invalid(`the name ${noQuorum} has a meaning of its own`);
    if (this.#names.has(name)) throw invalid(`${quote(name)} is defined already`);
    this.#names.add(name);
  }
}

function thresholdOf(count: string, members: number): number {
  if (count === 'all') return members;
  if (count === 'any') return 1;
  const threshold = parseDecimal(count, 'the number of members');
  if (threshold < 1 || threshold > members) throw invalid(`${threshold} of ${members} members can never be asked for`);
  return threshold;
}

/** Back from octets: key names are text. */
function utf8Of(word: string): string {
  return Buffer.from(word, 'latin1').toString();
}

function invalid(why: string): AgentError {
  return new AgentError('InvalidArgument', why);
}
