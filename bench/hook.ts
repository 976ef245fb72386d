/** The hookscript on a port that is already adopted, against the least a hook in shell could do. */
import { resolve } from 'node:path';
import { busName, objectPath } from '../src/api/dbus/port-agent-interface.ts';
import { informationOf, resultOf } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import { commandSide } from './end-to-end.ts';
import { startNodeWithGuests } from './private-node.ts';
import { takeTurns } from './rounds.ts';

const rounds = 100;
const warmUpRounds = 10;
/** The service writes its ledger block after the answer; the next sample must not pay for that. */
const restMs = 30;
const ratioMax = 1.6;

export const hookBenchmark: Benchmark = {
  name: 'hook',
  about: 'hookscript on an adopted port against sh + timeout + `busctl call ping`',
  run: (context) =>
    withCleanup(async (later) => {
      const node = await startNodeWithGuests(later, [100]);
      const ping = `timeout 1 busctl --system call ${busName} ${objectPath} ${busName} ping`;
      const sides = [
        commandSide({
          name: 'hooks/ovs-port-agent 100 post-start',
          argv: [resolve('hooks/ovs-port-agent'), '100', 'post-start'],
          env: node.env,
          prints: /: net0 is vi100 on ovsbr0, tag 10\n$/,
        }),
        commandSide({
          name: `sh -c '${ping}'`,
          argv: ['sh', '-c', ping],
          env: node.env,
          prints: /^s "pong"\n$/,
        }),
        commandSide({ name: 'true', argv: ['true'], env: node.env, prints: /^$/ }),
      ] as const;
      const [hook = [], busctl = [], nothing = []] = await takeTurns(sides, { rounds, warmUpRounds, restMs }, context);
      return resultOf({
        name: 'hook',
        clock: 'end to end',
        unit: 'ms',
        warmUpRounds,
        subject: { what: '`hooks/ovs-port-agent 100 post-start`, port adopted', samples: hook },
        rival: { what: '`sh`, `timeout 1 busctl --system call ... ping`', samples: busctl },
        target: { kind: 'ratio', atMost: ratioMax },
        information: [informationOf('starting a process that does nothing (`true`)', 'end to end', 'ms', nothing)],
      });
    }),
};
