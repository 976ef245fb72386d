import assert from 'node:assert/strict';
import { execa } from 'execa';
import { AgentWorld } from '../support/agent-world.ts';
import { waitFor } from '../support/wait-for.ts';

const policies = 'policy = [{ match = { vmid = "100-199" }, mirror_to = "vi900" }]';

/** Prints a line for each packet of ping that comes in: who asks or answers whom. Says \`ready\` when it listens. */
const listener = `
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('eth0', 0))
print('ready', flush=True)
while True:
    packet, address = s.recvfrom(2048)
    kind, payload = packet[12:14], packet[14:]
    if kind == b'\\x81\\x00': kind, payload = packet[16:18], packet[18:]
    if address[2] == 4 or kind != b'\\x08\\x00' or payload[9] != 1: continue
    what = {8: 'asks', 0: 'answers'}.get(payload[20])
    if what: print(socket.inet_ntoa(payload[12:16]), what, socket.inet_ntoa(payload[16:20]), flush=True)
`;

describe('mirrors on real devices', function () {
  this.timeout(30_000);
  let w: AgentWorld;
  let web: string;
  let tap: string;

  before(async () => {
    w = await AgentWorld.start({ config: policies });
    for (const [vmid, address] of [
      [100, '192.0.2.100'],
      [101, '192.0.2.101'],
      [900, '192.0.2.90'],
    ] as const) {
      await w.addGuest(vmid, `hostname: guest\nnet0: name=eth0,bridge=ovsbr0${vmid === 900 ? '' : ',tag=10'}\n`);
      const space = await w.addContainer(`veth${vmid}i0`, address);
      if (vmid === 100) web = space;
      if (vmid === 900) tap = space;
      await w.plug('ovsbr0', `veth${vmid}i0`, ...(vmid === 900 ? [] : ['tag=10']));
      await w.hook(String(vmid), 'post-start');
    }
    await waitFor('the first packet', () => w.reaches(web, '192.0.2.101'));
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(w.log.replaceAll(/^/gm, '      | '));
  });
  after(() => w.stop());

  /**
   * What arrives at the container of vi900 while `act` is done, until something of it is what `until` waits for. `act` is
   * done again where the row of a mirror is there and Open vSwitch has perhaps not applied it yet.
   */
  async function heard(
    act: () => Promise<unknown>,
    until: string,
    repeated: 'once' | 'again' = 'once',
  ): Promise<string[]> {
    const child = execa('ip', ['netns', 'exec', tap, 'python3', '-c', listener], { reject: false, buffer: false });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    try {
      await waitFor('the listener', () => Promise.resolve(said.startsWith('ready')));
      await act();
      await waitFor(until, async () => {
        if (repeated === 'again' && !said.includes(until)) await act();
        return said.includes(until);
      });
      return said
        .split('\n')
        .slice(1)
        .filter((line) => line !== '');
    } finally {
      child.kill('SIGKILL');
      await child;
    }
  }

  const pinged = async (): Promise<void> => {
    assert.ok(await w.reaches(web, '192.0.2.101'));
  };

  it('bring both directions of what two containers say to each other to a third, which neither of them reaches', async () => {
    const lines = await heard(pinged, '192.0.2.101 answers 192.0.2.100');
    // Each packet comes once: into the switch from the one and out of it to the other is one packet.
    assert.deepEqual(lines, ['192.0.2.100 asks 192.0.2.101', '192.0.2.101 answers 192.0.2.100']);
    assert.equal(await w.reaches(tap, '192.0.2.100'), false, 'a target takes no other part in the switching');
    assert.equal((await w.status()).state, 'running');
  });

  it('go on after ifreload has cleared them, and after the service was killed meanwhile', async () => {
    await w.ovs.vsctl('clear', 'Bridge', 'ovsbr0', 'mirrors');
    const isBack = async (): Promise<boolean> => (await w.ovs.vsctl('get', 'Bridge', 'ovsbr0', 'mirrors')) !== '[]';
    await waitFor('the mirror', isBack, 2000);
    await heard(pinged, '192.0.2.101 answers 192.0.2.100', 'again');
    await w.killService('SIGKILL');
    await w.ovs.vsctl('clear', 'Bridge', 'ovsbr0', 'mirrors');
    await w.startService();
    await waitFor('the mirror', isBack);
    await heard(pinged, '192.0.2.101 answers 192.0.2.100', 'again');
    assert.match(await w.ledgerVerdict(), /^VALID/);
  });

  it('end when the policy does, and the target takes part in the switching again', async () => {
    await w.reconfigure('policy', '[]');
    await waitFor('no mirror', async () => (await w.ovs.vsctl('get', 'Bridge', 'ovsbr0', 'mirrors')) === '[]');
    await w.ovs.vsctl('set', 'Port', 'veth900i0', 'tag=10');
    await waitFor('an answer', () => w.reaches(tap, '192.0.2.100'));
  });
});
