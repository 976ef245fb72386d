import assert from 'node:assert/strict';
import { execa } from 'execa';
import { AgentWorld } from '../support/agent-world.ts';
import { waitFor } from '../support/wait-for.ts';

const container = (bridge: string, tag: number): string =>
  `hostname: guest\nnet0: name=eth0,bridge=${bridge},tag=${tag}\n`;

describe('traffic', function () {
  this.timeout(30_000);
  let w: AgentWorld;
  let space: string;
  before(async () => {
    w = await AgentWorld.start();
    await w.addGuest(100, container('ovsbr0', 10));
    await w.addGuest(101, container('ovsbr0', 10));
    space = await w.addContainer('veth100i0', '192.0.2.100');
    await w.addContainer('veth101i0', '192.0.2.101');
    // One plugged as Proxmox VE does, one by the agent.
    await w.plug('ovsbr0', 'veth100i0', 'tag=10');
    await w.hook('100', 'post-start');
    await w.hook('101', 'post-start');
    await waitFor('the first packet', () => w.reaches(space, '192.0.2.101'));
  });
  after(() => w.stop());

  /** Sends a packet every 10 ms, 100 of them, and does `act` meanwhile; answers how many came back. */
  async function answeredDuring(act: () => Promise<unknown>): Promise<number> {
    const words = ['netns', 'exec', space, 'ping', '-c', '100', '-i', '0.01', '-W', '1', '-q', '192.0.2.101'];
    const ping = execa('ip', words, { reject: false });
    await act();
    const { stdout } = await ping;
    return Number(/, (\d+) received/.exec(stdout)?.[1] ?? Number.NaN);
  }

  /** What must not change: Open vSwitch would forget flows, counters and neighbours with it. */
  async function identities(): Promise<string> {
    return w.ovs.vsctl('--columns=_uuid,name,ofport', '--format=csv', '--no-headings', 'list', 'Interface');
  }

  for (const [what, act] of Object.entries<() => Promise<unknown>>({
    'a full reconcile': () => w.call('Reconcile'),
    'every hook of a guest that runs': async () => {
      for (const phase of ['pre-start', 'post-start', 'pre-stop', 'post-stop']) await w.hook('100', phase);
    },
    'wiped marks that are put back': async () => {
      await w.ovs.vsctl('clear', 'Port', 'veth100i0', 'external_ids');
      await w.waitForPorts('vi100', 'vi101');
    },
    'a restart of the service': async () => {
      await w.killService();
      await w.startService();
      await w.waitForPorts('vi100', 'vi101');
    },
    'the death of the service': async () => {
      await w.killService('SIGKILL');
      await w.startService();
      await w.waitForPorts('vi100', 'vi101');
    },
  })) {
    it(`goes on through ${what}, over the same rows and OpenFlow ports`, async () => {
      const before = await identities();
      assert.equal(await answeredDuring(act), 100, 'every packet is answered');
      assert.equal(await identities(), before);
    });
  }

  it('is told apart by VLANs, and goes on when a tag that somebody changed is put back', async () => {
    await w.ovs.vsctl('set', 'Port', 'veth101i0', 'tag=20');
    await waitFor('the repair', async () => (await w.ovs.vsctl('get', 'Port', 'veth101i0', 'tag')) === '10');
    assert.ok(await w.reaches(space, '192.0.2.101'));
    await w.ovs.vsctl('set', 'Port', 'veth100i0', 'tag=20');
    assert.equal(await w.reaches(space, '192.0.2.101'), false);
    await w.ovs.vsctl('set', 'Port', 'veth100i0', 'tag=10');
    assert.ok(await w.reaches(space, '192.0.2.101'));
  });
});
