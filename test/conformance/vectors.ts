/** What the drivers for vectors share: JSON objects on standard input, one line of verdict for each. */
import { readFileSync } from 'node:fs';
import { JsonStream } from '../../src/ovsdb/json-stream.ts';

/** A vector as it came: whatever its author wrote. */
export type Vector = Readonly<Record<string, unknown>>;

/** Throws with the reason when the code disagrees with the vector; returns its description. */
export type Judge = (vector: Vector) => string;

/** Judges every object in `bytes`: objects one after the other, or arrays of them. Returns the exit code. */
export function runVectors(bytes: Uint8Array, judge: Judge, print: (line: string) => void): number {
  let [passed, failed] = [0, 0];
  for (const value of new JsonStream().push(bytes)) {
    for (const vector of (Array.isArray(value) ? value : [value]) as Vector[]) {
      try {
        print(`ok ${judge(vector)}`);
        passed++;
      } catch (thrown) {
        print(`not ok ${JSON.stringify(vector).slice(0, 200)}: ${reasonOf(thrown)}`);
        failed++;
      }
    }
  }
  print(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Carries out `check`; a vector's `wantErr` says whether it must throw. */
export function expectError(wantErr: unknown, check: () => void): void {
  let refusal: string | null = null;
  try {
    check();
  } catch (thrown) {
    refusal = reasonOf(thrown);
  }
  if (refusal === null && wantErr === true) throw new Error('taken, but must be refused');
  if (refusal !== null && wantErr !== true) throw new Error(`refused, but must be taken: ${refusal}`);
}

/** Base64 of a vector, `null` for none; Go writes an empty list as `null` as well. */
export function bytesOf(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : '', 'base64');
}

export function listOf(value: unknown): Buffer[] {
  return Array.isArray(value) ? value.map(bytesOf) : [];
}

export function standardInput(): Uint8Array {
  return readFileSync(0);
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
