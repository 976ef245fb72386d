import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import fc from 'fast-check';
import { drainSpool } from '../../src/platform/spool.ts';
import type { SpooledEvent } from '../../src/platform/spool.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Bytes of a reason that the hook keeps. */
const reasonBytesMax = 200;

describe('an event that the hookscript leaves behind', () => {
  const folder = temporaryFolder();

  /** A call of the hook while the bus answers `words`, and what the service reads later. */
  async function left(words: string): Promise<SpooledEvent[]> {
    const [bin, spool] = [join(folder(), 'bin'), join(folder(), 'spool')];
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'words'), words);
    writeFileSync(join(bin, 'busctl'), '#!/bin/sh\ncat "${0%/*}/words" >&2\nexit 1\n');
    chmodSync(join(bin, 'busctl'), 0o755);
    const { exitCode } = await execa('sh', ['hooks/ovs-port-agent', '100', 'post-start'], {
      env: {
        PATH: `${bin}:${process.env['PATH'] ?? ''}`,
        // A run folder that cannot be made: every call asks the bus.
        OVS_PORT_AGENT_RUN: '/dev/null/run',
        OVS_PORT_AGENT_SPOOL: spool,
      },
      reject: false,
    });
    assert.equal(exitCode, 0);
    const events: SpooledEvent[] = [];
    const refused = await drainSpool(spool, (event) => {
      events.push(event);
      return Promise.resolve();
    });
    assert.deepEqual([refused, readdirSync(spool)], [[], []]);
    return events;
  }

  it('is read as it was written, whatever the bus said', async function () {
    this.timeout(60_000);
    const piece = fc.oneof(
      fc.constantFrom(
        ';',
        '#',
        '"',
        "'",
        '[',
        ']',
        '=',
        '\\',
        ' ',
        '\t',
        '\r',
        '%s',
        '$x',
        '`',
        'reason=',
        'vmid=7',
        'é',
        '網',
        '🦊',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }).map((text) => text.replaceAll(/[\0\n]/g, '')),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 70 }), async (pieces) => {
        const said = pieces.join('');
        const [event, another] = await left(`${said}\nand more\n`);
        assert.equal(another, undefined);
        const kept = Buffer.from(said).subarray(0, reasonBytesMax).toString();
        const { time, ...others } = event!;
        assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        assert.deepEqual(others, { vmid: '100', phase: 'post-start', reason: kept });
      }),
      {
        numRuns: 25,
        examples: [[['Call was refused; see log #7', ' "quoted" [x] ']], [['"all; of it"']], [['[section]']]],
      },
    );
  });
});
