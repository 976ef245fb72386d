/** A ledger and an edit of `interfaces`, killed and failed at their system calls: at all of them, or at a selection. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { checkInterfaces, interfacesEdit, prepareInterfaces } from './interfaces-scenario.ts';
import { checkNextStart } from './ledger-aftermath.ts';
import { ledgerIn, prepare, scenarios } from './ledger-scenarios.ts';
import { callsOn, runToCall } from './system-calls.ts';
import type { Call, CallFault, CallRun, CallThread } from './system-calls.ts';
import { temporaryFolder } from './temporary-folder.ts';

interface Work {
  readonly name: string;
  readonly prepare: (folder: string) => Promise<void>;
  /** Throws unless what is left is old or new, and goes on from there. */
  readonly check: (folder: string, acknowledged: readonly string[]) => Promise<void>;
}

export interface SystemCallSuiteOptions {
  /** At which of the calls of each work a fault comes; all of them when it is not given. */
  readonly choose?: (call: Call, index: number) => boolean;
  readonly works?: readonly string[];
  /** Told of each work with its fault, since when it ran, and at how many calls the fault came. */
  readonly onDone?: (work: string, startedMs: number, calls: number) => void;
}

const works: readonly Work[] = [
  ...scenarios.map((scenario): Work => ({
    name: scenario,
    prepare: (folder) => prepare(scenario, ledgerIn(folder)),
    check: (folder, acknowledged) => checkNextStart(scenario, ledgerIn(folder), acknowledged),
  })),
  { name: interfacesEdit, prepare: prepareInterfaces, check: checkInterfaces },
];

const faults: readonly (readonly [fault: CallFault, thread: CallThread, what: string])[] = [
  ['killed', 'worker', 'is killed before a system call'],
  ['failed', 'worker', 'is told EIO by a system call'],
  ['killed', 'main', 'is killed before a system call of its main thread'],
  ['failed', 'main', 'is told EIO by a system call of its main thread'],
];

/** Processes that are under strace at a time. */
const together = availableParallelism();
/** `execa` brings modules that are not ESM. */
const needsRequire = "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);";

export function systemCallSuite({ choose = () => true, works: names, onDone }: SystemCallSuiteOptions): void {
  const scratch = temporaryFolder();
  let program: string;

  beforeEach(async () => {
    program = join(scratch(), 'program.mjs');
    const entry = join(import.meta.dirname, 'behind-gate.ts');
    await build({ entryPoints: [entry], outfile: program, bundle: true, platform: 'node', format: 'esm', banner: { js: needsRequire }, logLevel: 'error' }); // prettier-ignore
  });

  async function run(
    { name, prepare, check }: Work,
    thread: CallThread,
    fault: { readonly call: Call; readonly kind: CallFault } | null,
  ): Promise<{ run: CallRun; folder: string }> {
    const own = await mkdtemp(join(tmpdir(), 'ovs-port-agent-calls-'));
    const folder = join(own, 'state');
    try {
      await mkdir(folder);
      await prepare(folder);
      const run = await runToCall({ program, scenario: name, folder, scratch: own, thread, fault });
      const where = fault?.kind === 'killed' ? run.calls.at(-1) : run.failedAt;
      await check(
        folder,
        run.lines.filter((line) => line !== ''),
      ).catch((error: unknown) => {
        throw new Error(`${fault?.call.name ?? ''} ${fault?.call.nth ?? 0}, ${where ?? ''}: ${String(error)}\n${run.stderr}`, { cause: error }); // prettier-ignore
      });
      return { run, folder };
    } finally {
      await rm(own, { recursive: true, force: true });
    }
  }

  for (const work of works.filter(({ name }) => names?.includes(name) ?? true)) {
    for (const [kind, thread, what] of faults) {
      it(`${work.name}, which ${what}: old or new, never between`, async () => {
        const startedMs = performance.now();
        const { run: whole, folder } = await run(work, thread, null);
        assert.equal(whole.exitCode, 0, whole.stderr);
        const calls = callsOn(folder, whole.calls, { reports: kind === 'killed' });
        assert.ok(calls.length >= (thread === 'main' ? 1 : 30), `${calls.length} calls`);
        const chosen = calls.filter(choose);
        let came = 0;
        for (let first = 0; first < chosen.length; first += together) {
          const batch = chosen.slice(first, first + together);
          for (const { run: broken } of await Promise.all(batch.map((call) => run(work, thread, { call, kind })))) {
            if (kind === 'killed' ? broken.signal === 'SIGKILL' : broken.failedAt !== null) came++;
          }
        }
        onDone?.(`${work.name}, which ${what}`, startedMs, came);
        assert.ok(came >= 0.9 * chosen.length, `${came} of ${chosen.length}`);
      });
    }
  }
}
