/** The sources of events of a node, each with the switch that an administrator has for it, and what it cannot see. */
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import type { TestNode } from './test-node.ts';

export type GuestEvent =
  | 'start'
  | 'start through systemd'
  | 'stop'
  | 'shutdown that times out'
  | 'poweroff from inside'
  | 'reboot from inside'
  | 'reboot'
  | 'crash'
  | 'hotplug'
  | 'hot unplug'
  | 'change of VLAN'
  | 'change of bridge'
  | 'change of the firewall flag'
  | 'migration out'
  | 'migration in'
  | 'backup in stop mode'
  | 'suspend'
  | 'resume';

/** After these Proxmox VE itself leaves nothing to do, whoever hears of them. */
export const withoutConsequence: ReadonlySet<GuestEvent> = new Set([
  'stop',
  'shutdown that times out',
  'poweroff from inside',
  'hot unplug',
  'migration out',
  'suspend',
]);

const edits: readonly GuestEvent[] = ['hotplug', 'change of VLAN', 'change of bridge', 'change of the firewall flag'];
const starts: readonly GuestEvent[] = ['start', 'reboot', 'migration in', 'backup in stop mode', 'resume'];

/** Events of which a source cannot tell by its nature; another source does, the timer at the latest. */
export interface Blindness {
  readonly containers: readonly GuestEvent[];
  readonly machines: readonly GuestEvent[];
}

export interface Source {
  readonly name: string;
  readonly blindTo: Blindness;
}

export const sources = {
  hookscript: {
    name: 'the hookscript',
    blindTo: {
      containers: [...edits, 'start through systemd', 'reboot from inside', 'crash'],
      // The configuration comes here when the memory is here, long after post-start.
      machines: [...edits, 'crash', 'migration in'],
    },
  },
  systemd: {
    name: 'the drop-in for pve-container@.service',
    blindTo: { containers: [...edits, 'reboot from inside'], machines: [...edits, ...starts, 'crash'] },
  },
  lxc: {
    name: 'the drop-in for LXC',
    blindTo: { containers: [...edits, 'crash'], machines: [...edits, ...starts, 'crash'] },
  },
  switch: {
    name: 'the monitor of the switch',
    blindTo: { containers: [], machines: ['migration in'] },
  },
  links: {
    name: 'changes of network devices',
    blindTo: { containers: [], machines: ['migration in'] },
  },
  units: {
    name: 'signals of units',
    blindTo: { containers: [...edits, 'reboot from inside'], machines: [...edits, 'migration in'] },
  },
  cluster: {
    name: '/etc/pve/.version',
    // Nothing is written to a configuration.
    blindTo: {
      containers: ['start', 'start through systemd', 'reboot', 'reboot from inside', 'crash'],
      machines: ['start', 'reboot', 'crash'],
    },
  },
  timer: { name: 'the timer', blindTo: { containers: [], machines: [] } },
} as const satisfies Record<string, Source>;

export type SourceKey = keyof typeof sources;
export const sourceKeys = Object.keys(sources) as SourceKey[];

const systemdDropIn = '/etc/systemd/system/pve-container@.service.d/50-ovs-port-agent.conf';
const lxcDropIn = '/usr/share/lxc/config/common.conf.d/50-ovs-port-agent.conf';
const configFile = '/etc/ovs-port-agent/config.toml';

/** Leaves only these on. The service looks at everything once, as it does at each start. */
export async function hearOnly(node: TestNode, on: ReadonlySet<SourceKey>): Promise<void> {
  await switchHookscripts(node, on.has('hookscript'));
  await switchSystemdDropIn(node, on.has('systemd'));
  await switchLxcDropIn(node, on.has('lxc'));
  const flags = (['switch', 'links', 'units', 'cluster'] as const).map((key) => `${key} = ${on.has(key)}\n`);
  const timer = `timer_seconds = ${on.has('timer') ? 1 : 3600}\n`;
  await node.write(configFile, `debounce_ms = 100\n[sources]\n${flags.join('')}${timer}`);
  await node.run('systemctl', 'restart', 'ovs-port-agent');
}

async function switchHookscripts(node: TestNode, isOn: boolean): Promise<void> {
  await node.run(
    ...['sh', '-c', 'sed -i "$1" /etc/pve/lxc/*.conf /etc/pve/qemu-server/*.conf && pmxcfs', 'sh'],
    isOn ? '/^hookscript:/d; 1i hookscript: local:snippets/ovs-port-agent' : '/^hookscript:/d',
  );
}

/** A link to /dev/null under a drop-in's name masks it (systemd.unit(5)). */
async function switchSystemdDropIn(node: TestNode, isOn: boolean): Promise<void> {
  const isMasked = (await node.try('test', '-h', systemdDropIn)).exitCode === 0;
  if (isMasked !== isOn) return;
  if (isOn) await rm(join(node.root, systemdDropIn));
  else {
    await node.run('mkdir', '--parents', systemdDropIn.slice(0, systemdDropIn.lastIndexOf('/')));
    await node.run('ln', '--symbolic', '/dev/null', systemdDropIn);
  }
  await node.run('systemctl', 'daemon-reload');
}

/** LXC reads every file of that folder whose name ends in `.conf`, when a container starts. */
async function switchLxcDropIn(node: TestNode, isOn: boolean): Promise<void> {
  const [from, to] = isOn ? [`${lxcDropIn}.off`, lxcDropIn] : [lxcDropIn, `${lxcDropIn}.off`];
  await node.try('mv', from, to);
}
