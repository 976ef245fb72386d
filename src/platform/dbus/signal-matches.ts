/**
 * Signal handlers and the match rules they need at the daemon. Every signal is matched again here: the daemon does not
 * say for which rule it sent one, and it delivers signals that any peer addresses to us without asking any rule. So a
 * rule with a well-known sender follows that name's owner, or anybody could speak for systemd.
 */
import { AgentError } from '../../model/errors.ts';
import type { DecodedMessage } from './codec.ts';
import { matchRulesMax } from './limits.ts';
import type { BusSignal, MatchRule, SignalHandler } from './match-rule.ts';
import { matchesHeader, renderMatchRule } from './match-rule.ts';

export const busDriverName = 'org.freedesktop.DBus';

/** Calls a method of the bus itself. */
type CallDriver = (member: string, argument: string) => Promise<readonly unknown[]>;

/** A rule at the daemon with the number of its users. `ready` settles with the daemon's answer. */
interface RegisteredRule {
  users: number;
  readonly ready: Promise<unknown>;
}

interface FollowedName {
  users: number;
  /** null while nobody owns the name. */
  owner: string | null;
  /** A `NameOwnerChanged` arrived: a `GetNameOwner` reply that is handled later is older. */
  changed: boolean;
  readonly ready: Promise<unknown>;
}

interface Subscription {
  readonly rule: MatchRule;
  readonly handler: SignalHandler;
}

export class SignalMatches {
  readonly #callDriver: CallDriver;
  readonly #subscriptions = new Set<Subscription>();
  readonly #rules = new Map<string, RegisteredRule>();
  readonly #names = new Map<string, FollowedName>();

  constructor(callDriver: CallDriver) {
    this.#callDriver = callDriver;
  }

  /**
   * Resolves once the daemon has the rule, with the function that removes it. The handler must not throw and may be
   * called before this resolves. Rejects with `Busy` above `matchRulesMax`.
   */
  async add(rule: MatchRule, handler: SignalHandler): Promise<() => Promise<void>> {
    const followed = rule.sender !== undefined && isWellKnown(rule.sender) ? rule.sender : null;
    if (followed !== null) await this.#follow(followed);
    const subscription: Subscription = { rule, handler };
    this.#subscriptions.add(subscription);
    const remove = async () => {
      if (!this.#subscriptions.delete(subscription)) return;
      try {
        await this.#releaseRule(renderMatchRule(rule));
      } finally {
        if (followed !== null) await this.#unfollow(followed);
      }
    };
    try {
      await this.#acquireRule(renderMatchRule(rule));
    } catch (error) {
      this.#subscriptions.delete(subscription);
      if (followed !== null) await this.#unfollow(followed);
      throw error;
    }
    return remove;
  }

  /** Hands a signal to every handler whose rule it matches. */
  deliver({ header, readBody }: DecodedMessage): void {
    const { sender, path, interface: interfaceName, member, signature } = header;
    if (sender === undefined || path === undefined || interfaceName === undefined || member === undefined) return;
    let body: readonly unknown[] | null = null;
    const read = () => (body ??= readBody());
    const isOwnerChange = sender === busDriverName && member === 'NameOwnerChanged';
    if (isOwnerChange) this.#ownerChanged(read());
    for (const { rule, handler } of [...this.#subscriptions]) {
      if (!matchesHeader(rule, header) || !this.#isFrom(rule.sender, sender)) continue;
      if (rule.arg0 !== undefined && (!signature.startsWith('s') || read()[0] !== rule.arg0)) continue;
      const signal: BusSignal = { sender, path, interface: interfaceName, member, signature, body: read() };
      try {
        handler(signal);
      } catch (error) {
        // A handler's defect must surface, and must not stop the stream of messages.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #isFrom(wanted: string | undefined, sender: string): boolean {
    if (wanted === undefined || wanted === sender) return true;
    return isWellKnown(wanted) && this.#names.get(wanted)?.owner === sender;
  }

  async #acquireRule(text: string): Promise<void> {
    const known = this.#rules.get(text);
    if (known !== undefined) known.users += 1;
    const rule = known ?? this.#register(text);
    try {
      await rule.ready;
    } catch (error) {
      rule.users -= 1;
      if (this.#rules.get(text) === rule) this.#rules.delete(text);
      throw error;
    }
  }

  #register(text: string): RegisteredRule {
    if (this.#rules.size >= matchRulesMax) {
      throw new AgentError('Busy', `cannot listen to D-Bus signals ${text}: ${matchRulesMax} rules are in use`);
    }
    const rule = { users: 1, ready: this.#callDriver('AddMatch', text) };
    this.#rules.set(text, rule);
    return rule;
  }

  /** The daemon handles a connection's calls in order, so a new `AddMatch` need not wait for this. */
  async #releaseRule(text: string): Promise<void> {
    const rule = this.#rules.get(text);
    if (rule === undefined) return;
    rule.users -= 1;
    if (rule.users > 0) return;
    this.#rules.delete(text);
    await this.#callDriver('RemoveMatch', text);
  }

  async #follow(name: string): Promise<void> {
    const known = this.#names.get(name);
    if (known !== undefined) known.users += 1;
    const entry = known ?? this.#startFollowing(name);
    try {
      await entry.ready;
    } catch (error) {
      entry.users -= 1;
      if (this.#names.get(name) === entry) this.#names.delete(name);
      throw error;
    }
  }

  #startFollowing(name: string): FollowedName {
    const start = async () => {
      await this.#acquireRule(ownerRule(name));
      try {
        const owner = await this.#queryOwner(name);
        if (!entry.changed) entry.owner = owner;
      } catch (error) {
        await this.#releaseRule(ownerRule(name));
        throw error;
      }
    };
    const entry: FollowedName = { users: 1, owner: null, changed: false, ready: start() };
    this.#names.set(name, entry);
    return entry;
  }

  async #queryOwner(name: string): Promise<string | null> {
    try {
      const [owner] = await this.#callDriver('GetNameOwner', name);
      return typeof owner === 'string' ? owner : null;
    } catch (error) {
      const nobody = 'org.freedesktop.DBus.Error.NameHasNoOwner';
      if (error instanceof Error && 'errorName' in error && error.errorName === nobody) return null;
      throw error;
    }
  }

  async #unfollow(name: string): Promise<void> {
    const entry = this.#names.get(name);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#names.delete(name);
    await this.#releaseRule(ownerRule(name));
  }

  #ownerChanged(body: readonly unknown[]): void {
    const [name, , newOwner] = body;
    const entry = typeof name === 'string' ? this.#names.get(name) : undefined;
    if (entry === undefined) return;
    entry.changed = true;
    entry.owner = typeof newOwner === 'string' && newOwner !== '' ? newOwner : null;
  }
}

function ownerRule(name: string): string {
  return renderMatchRule({
    sender: busDriverName,
    path: '/org/freedesktop/DBus',
    interface: busDriverName,
    member: 'NameOwnerChanged',
    arg0: name,
  });
}

function isWellKnown(name: string): boolean {
  return !name.startsWith(':') && name !== busDriverName;
}
