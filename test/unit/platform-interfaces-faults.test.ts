import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planManagedBlock } from '../../src/interfaces/managed-block.ts';
import { AgentError } from '../../src/model/errors.ts';
import { parseBridgeName, parsePortName } from '../../src/model/names.ts';
import { InterfacesFile } from '../../src/platform/interfaces-file.ts';
import { injectFault } from '../support/faulty-files.ts';
import { cause } from '../support/ports-fixtures.ts';
import { unrecorded } from '../support/unrecorded.ts';

/** Far more calls than an update has. */
const callsMax = 500;
const current = 'auto lo\niface lo inet loopback\n\n# caf\xc3\xa9 \xff\nauto ovsbr0\niface ovsbr0 inet manual\n';
const changes = `${current}\nauto bond0\niface bond0 inet manual\n`;
const ports = [
  {
    port: parsePortName('vi100'),
    bridge: parseBridgeName('ovsbr0'),
    tag: null,
    trunks: [],
    vlanMode: null,
    owner: 'CT 100',
  },
];
const plan = (text: string): string => planManagedBlock(text, ports, 'ovs-port-agent').text;

/** `interfaces` and Proxmox VE's pending changes, in a folder of their own. */
class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'ovs-port-agent-test-'));
  readonly path = join(this.folder, 'network/interfaces');
  readonly stateDir = join(this.folder, 'state');

  constructor() {
    for (const name of ['network', 'state']) mkdirSync(join(this.folder, name));
    writeFileSync(this.path, current, 'latin1');
    writeFileSync(`${this.path}.new`, changes, 'latin1');
  }

  async update(): Promise<{ written: boolean }> {
    const file = new InterfacesFile({
      path: this.path,
      stateDir: this.stateDir,
      plan: (text, listed) => planManagedBlock(text, listed, 'ovs-port-agent'),
    });
    return file.update(ports, unrecorded, cause);
  }

  /** Old or new, and never new before the original was kept. */
  checkNow(when: string): { isDone: boolean } {
    const [now, pending] = [this.#read(this.path), this.#read(`${this.path}.new`)];
    assert.ok([current, plan(current)].includes(now), `${when}: interfaces is neither old nor new`);
    assert.ok([changes, plan(changes)].includes(pending), `${when}: interfaces.new is neither old nor new`);
    const isTouched = now !== current || pending !== changes;
    if (isTouched) assert.equal(this.#kept(), current, when);
    return { isDone: now === plan(current) && pending === plan(changes) };
  }

  /** The next update finds nothing in its way and leaves nothing behind. */
  async checkNext(when: string): Promise<void> {
    await this.update();
    assert.ok(this.checkNow(`${when}, the next update`).isDone, when);
    assert.equal(this.#kept(), current, when);
    assert.deepEqual(
      readdirSync(join(this.folder, 'network')).sort(),
      ['.pve-interfaces.lock', 'interfaces', 'interfaces.new'],
      when,
    );
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #read(path: string): string {
    return readFileSync(path, 'latin1');
  }

  #kept(): string {
    return this.#read(join(this.stateDir, 'interfaces.ovs-port-agent.orig'));
  }
}

describe('the interfaces files on a disk that fails', function () {
  this.timeout(60_000);

  for (const fault of ['lost', 'landed'] as const) {
    it(`once, at every call, which is ${fault}: are old or new, and new the next time`, async () => {
      const seen = new Set<string>();
      for (let call = 1; ; call++) {
        assert.ok(call < callsMax);
        const place = new Place();
        const injection = await injectFault(call, fault);
        const outcome = await place.update().then(
          ({ written }) => written,
          (error: unknown) => error,
        );
        injection.restore();
        const when = `call ${call}, ${injection.firedAt ?? 'none'}`;
        const { isDone } = place.checkNow(when);
        if (outcome === true) assert.ok(isDone, when);
        else assert.ok(outcome instanceof AgentError && outcome.code !== 'Internal', `${when}: ${String(outcome)}`);
        await place.checkNext(when);
        place.remove();
        if (injection.firedAt === null) break;
        seen.add(injection.firedAt);
      }
      for (const name of ['open', 'readFile', 'writeFile', 'sync', 'rename']) assert.ok(seen.has(name), name);
    });
  }
});
