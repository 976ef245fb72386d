/** `[[policy]]` of the configuration file, strict. */
import * as z from 'zod';
import { AgentError } from './errors.ts';
import { parsePortName, parseVlanTag, parseVmid, quote } from './names.ts';
import { policyKinds } from './policy.ts';
import type { Policy, PolicyMatch } from './policy.ts';
import { bridge, parsed } from './schema-parts.ts';

/** Of one word in a policy; a host name has at most 253. */
const wordCharsMax = 253;

const word = z.string().min(1).max(wordCharsMax);
const tag = parsed(z.number(), parseVlanTag);
const vmids = parsed(
  z.union([z.number(), z.string()], 'expected a vmid, or a range such as "200-299"'),
  parseVmidRange,
);

const match = z
  .strictObject({
    kind: z.enum(policyKinds).optional(),
    tag: word.optional(),
    vmid: vmids.optional(),
    name: word.optional(),
    pool: word.optional(),
    bridge: bridge.optional(),
  })
  .transform((given): PolicyMatch => ({
    kind: given.kind ?? null,
    tag: given.tag ?? null,
    vmid: given.vmid ?? null,
    name: given.name ?? null,
    pool: given.pool ?? null,
    bridge: given.bridge ?? null,
  }));

export const policySchema = z
  .strictObject({
    match,
    bridge: bridge.optional(),
    tag: tag.optional(),
    trunks: z.array(tag).default([]),
    mirror_to: parsed(z.string(), parsePortName).optional(),
  })
  .transform((given): Policy => ({
    match: given.match,
    bridge: given.bridge ?? null,
    tag: given.tag ?? null,
    trunks: [...new Set(given.trunks)].sort((a, b) => a - b),
    mirrorTo: given.mirror_to ?? null,
  }));

function parseVmidRange(input: string | number): NonNullable<PolicyMatch['vmid']> {
  const [first = '', last = first, more] = String(input).split('-');
  const range = { first: parseVmid(first), last: parseVmid(last) };
  if (more !== undefined || range.last < range.first) {
    throw new AgentError(
      'InvalidArgument',
      `${quote(input)} is not valid: expected a vmid, or a range such as "200-299"`,
    );
  }
  return range;
}
