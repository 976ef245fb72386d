/** A proof as one text file (C2SP tlog-proof). */
import { AgentError } from '../../model/errors.ts';
import { asBuffer } from '../block.ts';
import { proofBytesMax, proofHashesMax } from '../limits.ts';
import { parseBase64, parseDecimal, parseHash, renderHash } from './fields.ts';
import type { Hash } from './hash.ts';

export interface TlogProof {
  readonly leaf_index: number;
  readonly audit_path: readonly Hash[];
  /** Not covered by the proof. A ledger's is the line that is proven (docs/decisions/0021). */
  readonly extra: Buffer | null;
  /** A signed note, byte for byte. */
  readonly checkpoint: Buffer;
}

/** Throws `InvalidArgument` for anything but a proof file; the checkpoint in it is not looked at. */
export function parseTlogProof(bytes: Uint8Array): TlogProof {
  if (bytes.length > proofBytesMax) throw malformed(`${bytes.length} bytes, at most ${proofBytesMax}`);
  const file = asBuffer(bytes);
  const end = file.indexOf('\n\n');
  if (end === -1) throw malformed('no empty line stands before its checkpoint');
  const lines = file.toString('latin1', 0, end).split('\n', proofHashesMax + 4);
  if (lines.shift() !== header) throw malformed(`its first line is not ${header}`);
  const extra = lines[0]?.startsWith(extraPrefix) === true ? (lines.shift() ?? '').slice(extraPrefix.length) : null;
  const index = lines.shift();
  if (index?.startsWith(indexPrefix) !== true) throw malformed('it has no index');
  if (lines.length > proofHashesMax) throw malformed(`more than ${proofHashesMax} hashes`);
  return {
    leaf_index: parseDecimal(index.slice(indexPrefix.length), 'the index of a proof'),
    audit_path: lines.map((line) => parseHash(line, 'a hash of the audit path')),
    extra: extra === null ? null : parseBase64(extra, 'the extra data of a proof'),
    checkpoint: file.subarray(end + 2),
  };
}

export function renderTlogProof({ leaf_index, audit_path, extra, checkpoint }: TlogProof): Buffer {
  const lines = [
    header,
    ...(extra === null ? [] : [extraPrefix + extra.toString('base64')]),
    `${indexPrefix}${leaf_index}`,
    ...audit_path.map(renderHash),
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\n')}\n\n`), checkpoint]);
}

const header = 'c2sp.org/tlog-proof@v1';
const extraPrefix = 'extra ';
const indexPrefix = 'index ';

function malformed(why: string): AgentError {
  return new AgentError('InvalidArgument', `not a proof file: ${why}`);
}
