/** `ovs-port-agent list` against a Node.js that does nothing. */
import { resultOf } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import { commandSide } from './end-to-end.ts';
import { command, startNodeWithGuests } from './private-node.ts';
import { takeTurns } from './rounds.ts';

const rounds = 40;
const warmUpRounds = 3;
const restMs = 20;
const ratioMax = 2.5;

export const cliBenchmark: Benchmark = {
  name: 'cli',
  about: '`ovs-port-agent list` against `node -e 0`',
  run: (context) =>
    withCleanup(async (later) => {
      const node = await startNodeWithGuests(later, [100, 101, 102]);
      const [list = [], nothing = []] = await takeTurns(
        [
          commandSide({
            name: 'ovs-port-agent list',
            argv: [process.execPath, command, 'list'],
            env: node.env,
            prints: /^vi100\nvi101\nvi102\n$/,
          }),
          commandSide({ name: 'node -e 0', argv: [process.execPath, '-e', '0'], env: node.env, prints: /^$/ }),
        ],
        { rounds, warmUpRounds, restMs },
        context,
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
