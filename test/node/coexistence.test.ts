/** What else a node of Proxmox VE has: none of it is changed, and none of it costs a guest its port. */
import assert from 'node:assert/strict';
import { waitFor } from '../support/wait-for.ts';
import { installPackage } from './package.ts';
import { portProblems } from './port-state.ts';
import { makeContainer, makeMachine, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

const nic = (vmid: number, options: string): string =>
  `name=eth0,${options},hwaddr=BC:24:11:00:01:${String(vmid - 100).padStart(2, '0')},type=veth`;

const interfacesFile = '/etc/network/interfaces';
/** Pinned names, a bond, a bridge of Linux, a port's name that is somebody's, and a line that brings SDN's file in. */
const foreignText = `auto lo
iface lo inet loopback

iface nic0 inet manual

iface nic1 inet manual

auto bond0
iface bond0 inet manual
	bond-slaves nic0 nic1
	bond-mode active-backup

auto vmbr0
iface vmbr0 inet static
	address 192.0.2.10/24
	bridge-ports bond0
	bridge-stp off
	bridge-fd 0

iface vi100 inet manual
	ovs_type OVSPort
	ovs_bridge ovsbr0

source /etc/network/interfaces.d/*
`;
const sdnText = `#version:3

auto vnet1
iface vnet1
	bridge_ports ln_vnet1
	bridge_stp off
	bridge_fd 0
	alias SDN zone1

auto ln_vnet1
iface ln_vnet1
	link-type veth
	veth-peer-name pr_vnet1

auto pr_vnet1
iface pr_vnet1
	link-type veth
	veth-peer-name ln_vnet1
`;

describe('what else is on a node', function () {
  this.timeout(60_000);
  let node: TestNode;
  let untouched: string;

  before(async function () {
    this.timeout(16 * 60_000);
    node = await TestNode.boot();
    await makeProxmox(node);
    await makeForeignNetwork();
    await makeContainer(node, { vmid: 100, hostname: 'web01', nets: [nic(100, 'bridge=ovsbr0,tag=10')] });
    await makeContainer(node, { vmid: 101, hostname: 'vnet', nets: [nic(101, 'bridge=vnet1')] });
    await makeContainer(node, { vmid: 102, hostname: 'fw01', nets: [nic(102, 'bridge=ovsbr0,firewall=1')] });
    await makeContainer(node, { vmid: 103, hostname: 'db01', nets: [nic(103, 'bridge=ovsbr0')] });
    await installPackage(node);
    untouched = await foreignState();
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  const agent = (...args: readonly string[]) => node.try('ovs-port-agent', ...args);
  const status = async (): Promise<string> => (await agent('status')).stdout;
  const ports = async (): Promise<string> => (await agent('list')).stdout;
  const shell = (script: string): Promise<string> => node.run('sh', '-ec', script);

  /** An SDN vnet and a bridge of Linux, an uplink, a bond and a port by the name of a guest's on the switch. */
  async function makeForeignNetwork(): Promise<void> {
    await node.write('/etc/network/interfaces.d/sdn', sdnText);
    await node.write(interfacesFile, foreignText);
    await shell(`
      for name in nic0 nic1 nic2 nic3 nic4; do ip link add $name type veth peer name far-$name; ip link set $name up; done
      ip link add vmbr0 type bridge
      ip link set nic0 master vmbr0
      ip address add 192.0.2.10/24 dev vmbr0
      ip link add ln_vnet1 type veth peer name pr_vnet1
      ip link add vnet1 type bridge
      ip link set ln_vnet1 master vnet1
      ip link set vnet1 up
      ovs-vsctl add-port ovsbr0 pr_vnet1 tag=100
      ovs-vsctl add-port ovsbr0 nic2 -- set port nic2 external_ids:uplink=yes
      ovs-vsctl add-bond ovsbr1 bond1 nic3 nic4 bond_mode=active-backup
      ovs-vsctl add-port ovsbr0 vi100 tag=99 -- set interface vi100 type=internal`);
  }

  /** Everything of theirs, as text. */
  async function foreignState(): Promise<string> {
    return shell(`
      for port in pr_vnet1 nic2 bond1 vi100; do
          ovs-vsctl --columns=_uuid,name,tag,trunks,vlan_mode,external_ids,interfaces,bond_mode find port name=$port
      done
      for name in pr_vnet1 nic2 nic3 nic4 vi100; do
          ovs-vsctl --columns=_uuid,name,type,external_ids,mtu_request find interface name=$name
      done
      for name in nic0 nic1 nic2 nic3 nic4 vmbr0 vnet1 ln_vnet1 pr_vnet1; do
          ip -json link show dev $name | grep -oE '"(ifname|master|altnames)":[^,]*'
      done
      cat /etc/network/interfaces.d/sdn`);
  }

  const nothingChanged = async (): Promise<void> => {
    assert.equal(await foreignState(), untouched);
    const text = await node.read(interfacesFile);
    assert.ok(text.startsWith(foreignText), text);
  };

  /** No stanza, row or name of ours is wrong, but of those guests. */
  const served = (except: readonly number[]): Promise<void> =>
    waitFor('the ports', async () => [...(await portProblems(node)).keys()].every((vmid) => except.includes(vmid)));

  it('keeps a port, a device and a stanza by the name of a guest’s port; the guest starts, and status says what is in its way', async () => {
    const log = await node.run('pct', 'start', '100');
    assert.match(log, /CT 100: net0.*vi100/);
    assert.equal(await node.run('ovs-vsctl', 'get', 'port', 'veth100i0', 'tag'), '10');
    const said = await status();
    assert.match(said, /vi100: the name vi100 is taken by a Port row that is not ours/);
    await nothingChanged();
  });

  it('keeps the stanza when the port is gone, and says whose the line is', async () => {
    await node.run('ovs-vsctl', 'del-port', 'vi100');
    await waitFor('the port', async () => (await ports()) === 'vi100');
    await waitFor('the report', async () => / vi100 is not ours and was left alone/.test(await status()));
    untouched = await foreignState();
    await nothingChanged();
  });

  it('leaves a guest to SDN whose card is on a vnet', async () => {
    assert.match(await node.run('pct', 'start', '101'), /^CT 101: net0 is on vnet1, which is not a managed bridge$/m);
    assert.match(await node.run('ip', 'link', 'show', 'dev', 'veth101i0'), / master vnet1 /);
    await nothingChanged();
  });

  it('never attaches a device behind its firewall bridge, whoever asks', async () => {
    await node.run('pct', 'start', '102');
    await served([100]);
    for (const request of [
      ['add-port', 'veth102i0'],
      ['add-port', 'ovsbr1', 'veth102i0'],
      ['create-interface', 'veth102i0', 'fw01', '102'],
      ['create', '/ports', '--netdev', 'veth102i0'],
    ]) {
      const { exitCode, stdout } = await agent(...request);
      assert.notEqual(exitCode, 0, `${request.join(' ')}: ${stdout}`);
    }
    await node.run('ovs-vsctl', 'del-port', 'fwln102o0');
    await served([100]);
    assert.equal(
      await shell('ovs-vsctl list-ifaces ovsbr0; ovs-vsctl list-ifaces ovsbr1').then((all) => /veth102i0/.test(all)),
      false,
    );
    assert.match(await node.run('ip', 'link', 'show', 'dev', 'veth102i0'), / master fwbr102i0 /);
  });

  it('takes a vmid that is both kinds for the container, and says so', async () => {
    await makeMachine(node, { vmid: 103, hostname: 'double', nets: ['virtio=BC:24:11:00:02:03,bridge=ovsbr1,tag=30'] });
    assert.match(await node.run('pct', 'start', '103'), /^CT 103: net0 is vi103 on ovsbr0$/m);
    await agent('reconcile');
    assert.match(await status(), /qemu-server\/103\.conf: passed over, because \S+lxc\/103\.conf has the same vmid/);
    await node.run('rm', '/etc/pve/qemu-server/103.conf');
    await served([100]);
  });

  it('gives a name to the first who claims it, tells the second, and lets both run', async () => {
    await shell('ip link add ve104 type veth peer name far-ve104; ip link set ve104 up');
    assert.equal((await agent('create-interface', 've104', 'other', '104')).stdout, 'vi104');
    await makeContainer(node, { vmid: 104, hostname: 'late', nets: [nic(104, 'bridge=ovsbr0')] });
    await node.run('pct', 'start', '104');
    await waitFor('the report', async () => /vi104: the name vi104 is wanted twice/.test(await status()));
    assert.equal(await node.run('ovs-vsctl', 'port-to-br', 'veth104i0'), 'ovsbr0');
    assert.equal(await node.run('ovs-vsctl', 'iface-to-br', 've104'), 'ovsbr0');
    await node.run('ovs-port-agent', 'del-port', 've104');
    await served([100]);
  });

  it('goes on with what it knows while the cluster has no quorum', async () => {
    await node.run('pmxcfs');
    await waitFor('the list', async () => !/no quorum/.test(await status()));
    await node.write('/etc/pve/.members', '{"nodename":"pve1","version":2,"cluster":{"quorate":0},"nodelist":{}}');
    await shell(`sed -i 's/"clinfo":1/"clinfo":2/' /etc/pve/.version`);
    await waitFor('the report', async () => /the cluster has no quorum/.test(await status()));
    await node.run('ovs-vsctl', 'del-port', 'veth103i0');
    await served([100]);
    await node.run('pmxcfs');
  });

  it('never stands in the way of Proxmox VE’s own plug, a hundred times over', async () => {
    // The three commands of PVE::Network; errors of the first are ignored there too. Without the guest's lock, under which
    // Proxmox VE has as much time as it needs.
    await shell(`
      for round in $(seq 100); do
          ovs-vsctl del-port veth103i0 2>/dev/null || :
          ovs-vsctl br-exists ovsbr0
          ovs-vsctl -- add-port ovsbr0 veth103i0 tag=$((round % 2 + 10)) -- set Interface veth103i0 mtu_request=1500
      done
      ovs-vsctl clear port veth103i0 tag`);
    await served([100]);
    await nothingChanged();
    assert.match((await agent('ledger', 'verify')).stdout, /^VALID\b/);
  });
});
