/** The three ways to control a guest, and which of them is right for one. Pure. */
import type { GuestAction } from './contracts.ts';
import type { GuestFacts } from './guest-facts.ts';

/** Our own hookscript: what it reports is done here anyway. One that chains others has another name. */
const ownHookscript = /^[A-Za-z][A-Za-z0-9_.-]*:snippets\/ovs-port-agent$/;

/**
 * Why `StartUnit` would not do what Proxmox VE does; empty when it is equivalent. It skips what `pct start` does before and
 * after: pending changes, writing the LXC configuration (the only place where nics and memory reach LXC), the hookscript,
 * high availability. What the container's own LXC hooks do (quorum, `lock:`, activating and mounting volumes) happens either way.
 */
export function whyNotByUnit(facts: GuestFacts, action: GuestAction): string[] {
  if (facts.kind === 'qemu') return ["systemd cannot run a machine's scope by its name"];
  switch (action) {
    case 'start':
      return facts.manager === 'lxc' ? [] : whyNotStartUnit(facts);
    case 'stop':
      return ['systemd asks a container to shut down before it ends it'];
    case 'shutdown':
      return ['systemd ends a container that does not shut down in time'];
    case 'reboot':
      return [
        'systemd would end a container that does not shut down in time, and start it without its pending changes',
      ];
    default:
      return action satisfies never;
  }
}

function whyNotStartUnit({ vmid, settings, isHaManaged, configuredAtMs, lxcConfiguredAtMs }: GuestFacts): string[] {
  const reasons: string[] = [];
  if (lxcConfiguredAtMs === null) reasons.push('it has no LXC configuration yet');
  // The cluster file system keeps whole seconds: within the same second nobody knows which came first.
  else if (Math.floor(lxcConfiguredAtMs / 1000) <= Math.floor(configuredAtMs / 1000)) {
    reasons.push('its configuration was changed after LXC got it');
  }
  if (settings.hasPending) reasons.push('it has pending changes');
  if (isHaManaged) reasons.push('high availability manages it');
  if (settings.hookscript !== null && !ownHookscript.test(settings.hookscript)) {
    reasons.push(`its hookscript ${settings.hookscript} has to be called`);
  }
  if (settings.isDebug) reasons.push(`debug is set, and that runs pve-container-debug@${vmid}.service`);
  return reasons;
}

/** The tool that does it, with absolute path: of Proxmox VE, or of LXC where there is none. */
export function toolCommand(facts: GuestFacts, action: GuestAction, timeoutS: number): [string, ...string[]] {
  const vmid = String(facts.vmid);
  if (facts.manager === 'lxc') {
    const name = ['--name', vmid];
    if (action === 'start') return ['/usr/bin/lxc-start', ...name];
    if (action === 'stop') return ['/usr/bin/lxc-stop', ...name, '--kill'];
    const patience = ['--timeout', String(timeoutS)];
    return ['/usr/bin/lxc-stop', ...name, ...(action === 'reboot' ? ['--reboot'] : ['--nokill']), ...patience];
  }
  const tool = facts.kind === 'lxc' ? '/usr/sbin/pct' : '/usr/sbin/qm';
  const patience = action === 'shutdown' || action === 'reboot' ? ['--timeout', String(timeoutS)] : [];
  return [tool, action, vmid, ...patience];
}
