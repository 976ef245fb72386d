import assert from 'node:assert/strict';
import { reconnectTranscript } from '../conformance/reconnect.ts';

const sessions: [title: string, transcript: string][] = [
  ['a disabled machine', '### t=1000 ###\nrun\ntimeout\n  no timeout\nadvance 5\n\n### t=1005 ###\n  in VOID for 5 ms (0 ms backoff)\n'], // prettier-ignore
  [
    'a connection, a probe, its end and the wait',
    `### t=1000 ###
# what begins so is only repeated
enable
  in BACKOFF for 0 ms (0 ms backoff)
run
  should connect
connecting
  in CONNECTING for 0 ms (0 ms backoff)
run 300

### t=1300 ###
  in CONNECTING for 300 ms (0 ms backoff)
connected
  in ACTIVE for 0 ms (0 ms backoff)
  created 1000, last activity 1000, last connected 1300
  1 successful connections out of 1 attempts, seqno 1
  connected
  last connected 0 ms ago, connected 0 ms total
advance 200

### t=1500 ###
  in ACTIVE for 200 ms (0 ms backoff)
activity
  created 1000, last activity 1500, last connected 1300
timeout
  advance 5000 ms

### t=6500 ###
  in ACTIVE for 5200 ms (0 ms backoff)
run
  should send probe
  in IDLE for 0 ms (0 ms backoff)
disconnected
  in BACKOFF for 0 ms (1000 ms backoff)
  1 successful connections out of 1 attempts, seqno 2
  disconnected
  disconnected at 6500 ms (0 ms ago)
`,
  ],
  [
    'tries that run out',
    `### t=1000 ###
set-max-tries 1
  1 tries left
enable
  in BACKOFF for 0 ms (0 ms backoff)
  0 tries left
run
  should connect
connect-failed ECONNREFUSED
  in VOID for 0 ms (0 ms backoff)
  0 successful connections out of 1 attempts, seqno 0
`,
  ],
  [
    'a stall of our own',
    `### t=1000 ###
receive-attempted now
enable
  in BACKOFF for 0 ms (0 ms backoff)
connected
  in ACTIVE for 0 ms (0 ms backoff)
  created 1000, last activity 1000, last connected 1000
  1 successful connections out of 1 attempts, seqno 1
  connected
  last connected 0 ms ago, connected 0 ms total
run 9000

### t=10000 ###
  in ACTIVE for 9000 ms (0 ms backoff)
timeout
  advance 1 ms

### t=10001 ###
  in ACTIVE for 9001 ms (0 ms backoff)
receive-attempted now
run
  should send probe
  in IDLE for 0 ms (0 ms backoff)
`,
  ],
];

describe('the driver for test-reconnect', () => {
  for (const [title, transcript] of sessions) {
    it(`prints ${title}`, () => {
      const commands = transcript.split('\n').filter((line) => /^[a-z#]/.test(line) && !line.startsWith('###'));
      assert.equal(reconnectTranscript(`${commands.join('\n')}\n`), transcript);
    });
  }

  it('refuses a command that it does not have', () => {
    assert.throws(() => reconnectTranscript('listening\n'), /no such command: listening/);
  });
});
