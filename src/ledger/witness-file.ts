/**
 * What a node says to the others of its cluster: one file, replaced as a whole, because it may be written seldom. It only
 * carries: what it carries has the formats of C2SP.
 */
import { AgentError } from '../model/errors.ts';
import { isJsonObject } from './block.ts';
import type { JsonObject, JsonValue } from './block.ts';
import { witnessFileBytesMax, witnessFileEntriesMax } from './limits.ts';

export interface WitnessFile {
  /** Of the last write, in milliseconds since 1970 by the node's clock. */
  readonly writtenMs: number;
  /** By the key ID of the witness that is asked: an `add-checkpoint` request (C2SP tlog-witness). */
  readonly requests: ReadonlyMap<string, string>;
  /** By origin: the largest checkpoint of a log that this node has cosigned (C2SP tlog-checkpoint), its cosignature included. */
  readonly cosigned: ReadonlyMap<string, string>;
  /** By origin: why this node does not cosign the tree that it was asked about last. */
  readonly refused: ReadonlyMap<string, string>;
}

export const emptyWitnessFile: WitnessFile = {
  writtenMs: 0,
  requests: new Map(),
  cosigned: new Map(),
  refused: new Map(),
};

/** Throws `InvalidArgument`, as for a file that another node is just writing. */
export function parseWitnessFile(bytes: Uint8Array): WitnessFile {
  if (bytes.length > witnessFileBytesMax) throw malformed(`${bytes.length} bytes, at most ${witnessFileBytesMax}`);
  let value: JsonValue;
  try {
    value = JSON.parse(Buffer.from(bytes).toString()) as JsonValue;
  } catch (cause) {
    throw malformed((cause as Error).message);
  }
  if (!isJsonObject(value)) throw malformed('it is no object');
  const { written, requests, cosigned, refused } = value;
  const writtenMs = typeof written === 'string' ? Date.parse(written) : NaN;
  if (Number.isNaN(writtenMs)) throw malformed('it does not say when it was written');
  return { writtenMs, requests: textsOf(requests), cosigned: textsOf(cosigned), refused: textsOf(refused) };
}

export function renderWitnessFile({ writtenMs, requests, cosigned, refused }: WitnessFile): Buffer {
  const content: JsonObject = {
    written: new Date(writtenMs).toISOString(),
    requests: Object.fromEntries(requests),
    cosigned: Object.fromEntries(cosigned),
    refused: Object.fromEntries(refused),
  };
  return Buffer.from(`${JSON.stringify(content, null, 1)}\n`);
}

/** Whether two say the same, whenever they were written. */
export function saysTheSame(one: WitnessFile, other: WitnessFile): boolean {
  return renderWitnessFile({ ...one, writtenMs: 0 }).equals(renderWitnessFile({ ...other, writtenMs: 0 }));
}

function textsOf(value: JsonValue | undefined): Map<string, string> {
  if (!isJsonObject(value)) throw malformed('a part of it is missing');
  const entries = Object.entries(value);
  if (entries.length > witnessFileEntriesMax) throw malformed(`more than ${witnessFileEntriesMax} entries`);
  return new Map(
    entries.map(([name, text]) => {
      if (typeof text !== 'string') throw malformed(`${JSON.stringify(name)} is no text`);
      return [name, text];
    }),
  );
}

function malformed(why: string): AgentError {
  return new AgentError('InvalidArgument', `not a node's file for witnesses: ${why}`);
}
