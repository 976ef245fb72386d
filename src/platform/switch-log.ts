/**
 * The log of a standalone OVSDB database (ovsdb(5), "Standalone Database File Format"): records of a line
 * `OVSDB JSON <length> <sha1>` and as many bytes of JSON. The first holds the schema, each other one a transaction with its
 * time and its comment.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { OwnTransaction, SwitchLog } from '../ledger/switch-check.ts';
import { AgentError } from '../model/errors.ts';

/** Bytes of one record: after a compaction the first holds the whole database. */
const recordBytesMax = 256 * 1024 * 1024;
const headerBytesMax = 128;
/** Transactions of the agent that are kept. ovsdb-server compacts its log long before. */
const ownTransactionsMax = 1_000_000;

/**
 * Reads the log as it is now; a last record that is still being written is left out. `parse` picks out the agent's
 * comments. Rejects with `NotFound`, and with `Unavailable` when the file is no such log, is damaged, or is that of a member
 * of a cluster, whose comments are kept elsewhere.
 */
export async function readSwitchLog(
  path: string,
  parse: (comment: string) => Omit<OwnTransaction, 'dateMs'> | null,
): Promise<SwitchLog> {
  const own: OwnTransaction[] = [];
  let [transactions, fromMs, toMs, isCompacted] = [0, null as number | null, null as number | null, false];
  for await (const { index, json } of readRecords(path)) {
    // The schema.
    if (index === 0) continue;
    const { _date: dateMs, _comment: comment } = json;
    transactions++;
    if (typeof dateMs === 'number') {
      fromMs ??= dateMs;
      toMs = dateMs;
    }
    if (typeof comment !== 'string') continue;
    if (index === 1 && /^compact/.test(comment)) isCompacted = true;
    const found = parse(comment);
    if (found === null) continue;
    if (own.length === ownTransactionsMax) throw cannotRead(path, `more than ${ownTransactionsMax} transactions`);
    own.push({ ...found, dateMs: typeof dateMs === 'number' ? dateMs : 0 });
  }
  return { fromMs, toMs, isCompacted, transactions, own };
}

interface LogRecord {
  readonly index: number;
  readonly json: Readonly<Record<string, unknown>>;
}

async function* readRecords(path: string): AsyncGenerator<LogRecord, void, undefined> {
  const file = await openLog(path);
  try {
    let offset = 0;
    for (let index = 0; ; index++) {
      const head = await readAt(file, offset, headerBytesMax);
      if (head.length === 0) return;
      const end = head.indexOf('\n');
      const header = head.toString('latin1', 0, end === -1 ? head.length : end);
      if (end === -1 && head.length < headerBytesMax && 'OVSDB JSON '.startsWith(header.slice(0, 11))) return;
      const [, magic, length = '', sha1] = /^OVSDB ([A-Z]+) ([0-9]{1,10}) ([0-9a-f]{40})$/.exec(header) ?? [];
      if (magic === 'CLUSTER') throw cannotRead(path, 'it is a member of a cluster, not a database of its own');
      if (magic !== 'JSON' || Number(length) > recordBytesMax) throw damaged(path, offset, 'no record begins there');
      const body = await readAt(file, offset + end + 1, Number(length));
      // Still being written, or cut off by a crash: ovsdb-server drops it as well.
      if (body.length < Number(length)) return;
      if (createHash('sha1').update(body).digest('hex') !== sha1) throw damaged(path, offset, 'its SHA-1 is another');
      yield { index, json: parseRecord(path, offset, body) };
      offset += end + 1 + body.length;
    }
  } finally {
    await file.close();
  }
}

async function openLog(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'NotFound' : 'Unavailable';
    throw new AgentError(code, `cannot read the switch's database ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Fewer bytes than asked for where the file ends. */
async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

function parseRecord(path: string, offset: number, body: Buffer): LogRecord['json'] {
  try {
    return JSON.parse(body.toString()) as LogRecord['json'];
  } catch {
    throw damaged(path, offset, 'it is not JSON');
  }
}

function damaged(path: string, offset: number, why: string): AgentError {
  return cannotRead(path, `the record at byte ${offset} is damaged: ${why}`);
}

function cannotRead(path: string, why: string): AgentError {
  return new AgentError('Unavailable', `cannot read the switch's database ${path}: ${why}`);
}
