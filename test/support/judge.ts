/** Open vSwitch's own Python library as a judge: a line of JSON in, a line of JSON out. */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** `script` lies in test/conformance. It imports Debian's python3-openvswitch. */
export function pythonJudge(script: string): (question: unknown) => Promise<unknown> {
  let child: ChildProcessWithoutNullStreams;
  let answers: AsyncIterator<string>;
  before(() => {
    child = spawn('/usr/bin/python3', [fileURLToPath(new URL(`../conformance/${script}`, import.meta.url))]);
    child.stderr.pipe(process.stderr);
    answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  });
  after(() => {
    child.stdin.end();
    child.kill();
  });
  return async (question) => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    const answer = await answers.next();
    if (answer.done === true) throw new Error(`${script} has ended; is python3-openvswitch installed?`);
    return JSON.parse(answer.value) as unknown;
  };
}
