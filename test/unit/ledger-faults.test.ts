import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { execa } from 'execa';
import { injectFault } from '../support/faulty-files.ts';
import { checkNextStart } from '../support/ledger-aftermath.ts';
import { ledgerIn, prepare, scenarios, work } from '../support/ledger-scenarios.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Far more calls than any scenario has. */
const callsMax = 1000;
/** Programs that run at a time. */
const together = 4;

async function inFolder(use: (path: string) => Promise<boolean>): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'ovs-port-agent-test-'));
  try {
    return await use(ledgerIn(folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('a ledger whose disk fails', function () {
  this.timeout(120_000);

  for (const scenario of scenarios) {
    for (const fault of ['lost', 'landed', 'full'] as const) {
      it(`once, in ${scenario}, at every call, which is ${fault}: keeps what it acknowledged, and goes on`, async () => {
        const seen = new Set<string>();
        for (let call = 1; call <= callsMax; call++) {
          const went = await inFolder(async (path) => {
            await prepare(scenario, path);
            const acknowledged: string[] = [];
            const injection = await injectFault(call, fault);
            try {
              await work(scenario, path, ({ height, hash }) => acknowledged.push(`${height} ${hash}`)).catch(
                () => undefined,
              );
            } finally {
              injection.restore();
            }
            if (injection.firedAt === null) return false;
            seen.add(injection.firedAt);
            await checkNextStart(scenario, path, acknowledged).catch((error: unknown) => {
              throw new Error(`call ${call}, ${injection.firedAt ?? ''}: ${String(error)}`, { cause: error });
            });
            return true;
          });
          if (!went) break;
          assert.notEqual(call, callsMax);
        }
        const isAtOnce = scenario === 'a file on a disk that is waited for at once';
        const appends = isAtOnce ? ['writeSync', 'fdatasyncSync'] : ['write', 'datasync'];
        for (const name of ['open', ...appends, 'sync', 'rename']) assert.ok(seen.has(name), name);
        if (scenario === 'a file that is full, time and again') assert.ok(seen.has('link'), [...seen].join());
      });
    }
  }
});

describe('a ledger whose service is killed', function () {
  this.timeout(300_000);
  const folder = temporaryFolder();
  let program: string;

  beforeEach(async () => {
    program = join(folder(), 'program.mjs');
    const entry = join(import.meta.dirname, '../support/ledger-until-call.ts');
    await build({ entryPoints: [entry], outfile: program, bundle: true, platform: 'node', format: 'esm', logLevel: 'error' }); // prettier-ignore
  });

  // What the first start does, the last does as well, after it has moved the older ledger aside.
  for (const scenario of scenarios.filter((scenario) => scenario !== 'a first start')) {
    it(`in ${scenario}, before every call: keeps what it acknowledged, and goes on`, async () => {
      assert.ok(existsSync(program));
      let kills = 0;
      const killAt = (call: number): Promise<boolean> =>
        inFolder(async (path) => {
          await prepare(scenario, path);
          const { stdout, signal, exitCode, stderr } = await execa(
            process.execPath,
            [program, path, String(call), scenario],
            {
              reject: false,
              timeout: 20_000,
            },
          );
          if (signal !== 'SIGKILL') {
            assert.equal(exitCode, 0, stderr);
            return false;
          }
          kills++;
          const acknowledged = stdout.split('\n').filter((line) => line !== '');
          await checkNextStart(scenario, path, acknowledged).catch((error: unknown) => {
            throw new Error(`killed before call ${call}: ${String(error)}`, { cause: error });
          });
          return true;
        });
      for (let call = 1; call <= callsMax; call += together) {
        const went = await Promise.all(Array.from({ length: together }, (_, more) => killAt(call + more)));
        if (went.includes(false)) break;
      }
      assert.ok(kills > 30, `${kills} kills`);
    });
  }
});
