/** The request by which a log asks a witness for a cosignature (C2SP tlog-witness, "add-checkpoint"). */
import { AgentError } from '../../model/errors.ts';
import { asBuffer } from '../block.ts';
import { addCheckpointBytesMax, proofHashesMax } from '../limits.ts';
import { parseDecimal, parseHash, renderHash } from './fields.ts';

export interface AddCheckpoint {
  /** Size of the tree that the witness is thought to have cosigned last; 0 for none. */
  readonly old: number;
  /** From that tree to the checkpoint's. */
  readonly consistency: readonly Uint8Array[];
  /** A signed note, byte for byte. */
  readonly checkpoint: Uint8Array;
}

/** Throws `InvalidArgument` for anything but a request; the checkpoint in it is not looked at. */
export function parseAddCheckpoint(bytes: Uint8Array): AddCheckpoint {
  if (bytes.length > addCheckpointBytesMax) throw malformed(`${bytes.length} bytes, at most ${addCheckpointBytesMax}`);
  const body = asBuffer(bytes);
  const end = body.indexOf('\n\n');
  if (end === -1) throw malformed('no empty line stands before its checkpoint');
  const [old = '', ...hashes] = body.toString('latin1', 0, end).split('\n', proofHashesMax + 2);
  if (!old.startsWith(oldPrefix)) throw malformed('its first line is not "old <size>"');
  if (hashes.length > proofHashesMax) throw malformed(`more than ${proofHashesMax} hashes`);
  return {
    old: parseDecimal(old.slice(oldPrefix.length), 'the old size of a request'),
    consistency: hashes.map((line) => parseHash(line, 'a hash of the consistency proof')),
    checkpoint: body.subarray(end + 2),
  };
}

export function renderAddCheckpoint({ old, consistency, checkpoint }: AddCheckpoint): Buffer {
  const lines = [`${oldPrefix}${old}`, ...consistency.map(renderHash)];
  return Buffer.concat([Buffer.from(`${lines.join('\n')}\n\n`), checkpoint]);
}

const oldPrefix = 'old ';

function malformed(why: string): AgentError {
  return new AgentError('InvalidArgument', `not an add-checkpoint request: ${why}`);
}
