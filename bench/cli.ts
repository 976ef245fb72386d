/** `ovs-port-agent list` against a Node.js that does nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { resultOf } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import { commandSide } from './end-to-end.ts';
import { interleave } from './measure.ts';
import { command, startPrivateNode } from './private-node.ts';

const rounds = 40;
const warmUpRounds = 3;
const restMs = 20;
const ratioMax = 2.5;

export const cliBenchmark: Benchmark = {
  name: 'cli',
  about: '`ovs-port-agent list` against `node -e 0`',
  run: ({ signal, progress }) =>
    withCleanup(async (later) => {
      const node = await startPrivateNode({ later, devices: 'shared' });
      await node.startService();
      await node.addGuests([100, 101, 102]);
      await node.untilListed(3);

      const [list = [], nothing = []] = await interleave(
        [
          commandSide({
            name: 'ovs-port-agent list',
            argv: [process.execPath, command, 'list'],
            env: node.env,
            prints: /^vi100\nvi101\nvi102\n$/,
          }),
          commandSide({ name: 'node -e 0', argv: [process.execPath, '-e', '0'], env: node.env, prints: /^$/ }),
        ],
        {
          rounds,
          warmUpRounds,
          rest: () => sleep(restMs),
          onRound: (round) => {
            progress(`round ${round + 1} of ${rounds}`);
          },
          signal,
        },
      );
      return resultOf({
        name: 'cli',
        clock: 'end to end',
        unit: 'ms',
        warmUpRounds,
        subject: { what: '`node dist/ovs-port-agent.mjs list`, 3 ports', samples: list },
        rival: { what: '`node -e 0`', samples: nothing },
        target: { kind: 'ratio', atMost: ratioMax },
        information: [],
      });
    }),
};
