/** The simulator finds faults: each of these is put into a copy of the sources, and has to break a rule. */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { play } from './play.ts';

interface Mutant {
  readonly what: string;
  readonly file: string;
  /** Stands there exactly once. */
  readonly text: string;
  readonly instead: string;
  /** What the simulator says of it. */
  readonly found: RegExp;
}

const mutants: readonly Mutant[] = [
  {
    what: 'a transaction whose reply was lost is sent again blindly',
    file: 'src/ports/committer.ts',
    text: 'await this.#lookForLost(seeded, txn, error, giveUp);',
    instead: 'await this.#send(operations);',
    found: /is failed, and was carried out/,
  },
  {
    what: 'the replica is believed before the server is done with the old connection',
    file: 'src/ports/lost-replies.ts',
    text: "[{ op: 'assert', lock: switchLock }]",
    instead: "[{ op: 'comment', comment: 'ovs-port-agent' }]",
    found: /is failed, and was carried out/,
  },
  {
    what: 'nothing waits for the bridge',
    file: 'src/ports/transaction.ts',
    text: "waitForRow('Bridge', 'name', wanted.bridge),",
    instead: '',
    found: /says that it made a Port that is not there/,
  },
  {
    what: 'there is no patience',
    file: 'src/ports/patience.ts',
    text: 'this.#since.set(key, nowMs);\n      return false;',
    instead: 'return true;',
    found: /Proxmox VE could not plug/,
  },
  {
    what: 'the lock of a guest is not looked at',
    file: 'src/ports/reconciler.ts',
    text: 'return this.#options.guestLocks.isLocked(',
    instead: 'return false && this.#options.guestLocks.isLocked(',
    found: /Proxmox VE could not plug/,
  },
  {
    what: 'a block of a change that failed gets no second one',
    file: 'src/ledger/ledger.ts',
    text: 'await this.#recordFailed(blocks, error);',
    instead: '',
    found: /says what never happened/,
  },
  {
    what: 'what the last run left in doubt is not looked for',
    file: 'src/ports/committer.ts',
    text: "await recorder.abandon(block, 'the switch does not have this change');",
    instead: '',
    found: /says what never happened/,
  },
  {
    what: 'nobody hears what changed while a connection was lost',
    file: 'src/ovsdb/client.ts',
    text: 'const changes = this.#replica.differenceTo(next);',
    instead: 'const changes = [];',
    found: /is not on the switch|is not marked|is stale|the managed block lists/,
  },
  {
    what: 'a device with a master is attached',
    file: 'src/ports/desired.ts',
    text: 'if (master !== null && master !== datapathMaster && master !== firewallBridge)',
    instead: 'if (false)',
    found: /which br-other holds/,
  },
  {
    what: 'any row without a device is stale',
    file: 'src/ports/plan.ts',
    text: 'if (!isOurs(row) && parseGuestNetdev(row.rowName) === null) return false;',
    instead: '',
    found: /which is not its business/,
  },
  {
    what: 'handed-over devices are kept in memory alone',
    file: 'src/ports/bindings.ts',
    text: 'await this.#store.save(',
    instead: 'void (',
    found: /is forgotten/,
  },
];

/** Histories that a mutant may survive. */
const historiesMax = 600;
const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the simulator', () => {
  const folder = temporaryFolder();

  for (const { what, file, text, instead, found } of mutants) {
    it(`finds out when ${what}`, async () => {
      const copy = join(folder(), 'mutant');
      for (const part of ['src', 'test/sim', 'test/support', 'package.json', 'tsconfig.json']) {
        await mkdir(dirname(join(copy, part)), { recursive: true });
        await cp(join(root, part), join(copy, part), { recursive: true });
      }
      await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
      const source = await readFile(join(copy, file), 'utf8');
      const [before, after, ...more] = source.split(text);
      assert.ok(after !== undefined && more.length === 0, `${file} does not have this once any more: ${text}`);
      await writeFile(join(copy, file), `${before}${instead}${after}`);
      let caught = 0;
      let played = 0;
      const said = new Set<string>();
      while (caught === 0 && played < historiesMax) {
        const histories = 50 * availableParallelism();
        const { broken } = await play({ firstSeed: 1 + played, histories, processes: availableParallelism(), folder: copy }); // prettier-ignore
        played += histories;
        for (const { violations } of broken) {
          for (const violation of violations) said.add(violation);
          if (violations.some((violation) => found.test(violation))) caught++;
        }
      }
      console.log(`        in ${caught} of ${played} histories`);
      assert.ok(caught > 0, `nothing was found in ${played} histories, but: ${[...said].join('; ')}`);
    }).timeout(180_000);
  }
});
