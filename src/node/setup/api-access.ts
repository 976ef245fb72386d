/** A user of Proxmox VE's API with a role of its own, and a token of this node. Made and removed by `pveum`, as root. */
import { AgentError } from '../../model/errors.ts';
import type { ProgramResult, Programs } from '../contracts.ts';
import { managePrivileges, neededPrivileges } from '../doctor/proxmox-checks.ts';
import { describeCommand, lastWords } from '../hooks/guest-hooks.ts';
import { apiRole, apiUser } from './step.ts';
import type { ApiRights } from './step.ts';

const pveum = '/usr/sbin/pveum';
const deadlineMs = 30_000;

/** The line of the token's file. One that is there under this name is replaced: its secret cannot be read again. */
export async function makeToken(programs: Programs, tokenId: string, rights: ApiRights): Promise<string> {
  const privileges = [...neededPrivileges, ...(rights === 'manage' ? managePrivileges : [])].join(',');
  const roles = await list(programs, ['role', 'list']);
  const verb = roles.some(({ roleid }) => roleid === apiRole) ? 'modify' : 'add';
  await call(programs, ['role', verb, apiRole, '--privs', privileges]);
  const users = await list(programs, ['user', 'list']);
  if (!users.some(({ userid }) => userid === apiUser)) {
    await call(programs, ['user', 'add', apiUser, '--comment', 'ovs-port-agent']);
  }
  await call(programs, ['acl', 'modify', '/', '--users', apiUser, '--roles', apiRole]);
  if (await hasToken(programs, tokenId)) await call(programs, ['user', 'token', 'remove', apiUser, tokenId]);
  const { output } = await call(programs, [
    ...['user', 'token', 'add', apiUser, tokenId, '--privsep', '0', '--output-format', 'json'],
  ]);
  const { value } = (parse(output) ?? {}) as { value?: unknown };
  if (typeof value !== 'string' || !/^[0-9a-f-]{8,64}$/i.test(value)) {
    throw new AgentError('Internal', `\`pveum user token add\` answered no secret`);
  }
  return `${apiUser}!${tokenId}=${value}\n`;
}

/** User and role go with the last token: other nodes may have theirs. */
export async function removeToken(programs: Programs, tokenId: string): Promise<void> {
  const users = await list(programs, ['user', 'list']);
  if (!users.some(({ userid }) => userid === apiUser)) return;
  if (await hasToken(programs, tokenId)) await call(programs, ['user', 'token', 'remove', apiUser, tokenId]);
  if ((await list(programs, ['user', 'token', 'list', apiUser])).length > 0) return;
  await call(programs, ['user', 'delete', apiUser]);
  const roles = await list(programs, ['role', 'list']);
  if (roles.some(({ roleid }) => roleid === apiRole)) await call(programs, ['role', 'delete', apiRole]);
}

async function hasToken(programs: Programs, tokenId: string): Promise<boolean> {
  const tokens = await list(programs, ['user', 'token', 'list', apiUser]);
  return tokens.some(({ tokenid }) => tokenid === tokenId);
}

async function list(programs: Programs, words: readonly string[]): Promise<Readonly<Record<string, unknown>>[]> {
  const { output } = await call(programs, [...words, '--output-format', 'json']);
  const parsed = parse(output);
  return Array.isArray(parsed) ? (parsed as Record<string, unknown>[]) : [];
}

/** What it answers may be a secret: only what it complains about is told. */
async function call(programs: Programs, words: readonly string[]): Promise<ProgramResult> {
  const result = await programs.run([pveum, ...words], { deadlineMs });
  if (result.exitStatus === 0) return result;
  const why = lastWords({ ...result, output: '' });
  throw new AgentError('NotApplied', `\`${describeCommand([pveum, ...words])}\`: ${why}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
