import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PrivateBus } from '../support/private-bus.ts';
import { startTestService } from '../support/test-service.ts';
import type { TestService } from '../support/test-service.ts';
import { waitFor } from '../support/wait-for.ts';

const root = join(import.meta.dirname, '../..');
describe('a command that waits for a task of Proxmox VE', function () {
  this.timeout(30_000);
  let bus: PrivateBus;
  let service: TestService;
  let isAsked = false;

  before(async () => {
    bus = await PrivateBus.start();
    service = await startTestService(bus.address, {
      handlers: {
        Call: () => {
          isAsked = true;
          return new Promise<never>(() => undefined);
        },
      },
    });
  });
  after(async () => {
    service.connection.close();
    await bus.stop();
  });

  it('says what goes on when Ctrl-C ends it, and exits as a shell expects', async () => {
    const words = ['guest', 'create', '102', '--template', 'local:vztmpl/d.tar.zst'];
    const command = spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...words], {
      cwd: root,
      env: { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: bus.address },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      let said = '';
      command.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const ended = once(command, 'close');
      await waitFor('the call', () => isAsked);
      command.kill('SIGINT');
      const [code] = (await ended) as [number | null];
      assert.equal(code, 130);
      // Whether the task's name has arrived by then is the bus's affair; what is said in either case is a unit test's.
      assert.match(said, /^no longer waiting; .+$/m);
    } finally {
      command.kill('SIGKILL');
    }
  });
});
