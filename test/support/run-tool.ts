/** Runs a command of the system as a user would, without a shell. */
import { execa } from 'execa';

export interface ToolResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const toolDeadlineMs = 8_000;

/** Waits for the command; throws, naming the Debian package to install, when there is no such command. */
export async function runTool(debianPackage: string, command: string, args: readonly string[]): Promise<ToolResult> {
  const result = await execa(command, args, { reject: false, timeout: toolDeadlineMs, stdin: 'ignore' });
  if (result.code === 'ENOENT') throw new Error(`${command} is missing: install the Debian package ${debianPackage}`);
  if (result.timedOut) throw new Error(`${command} ${args.join(' ')} did not end within ${toolDeadlineMs} ms`);
  return { exitCode: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
}

/** As `runTool`, and throws when the command fails. Gives its output. */
export async function runToolOk(debianPackage: string, command: string, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runTool(debianPackage, command, args);
  if (exitCode !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${exitCode}: ${stderr}${stdout}`);
  return stdout;
}
