/** Who plugs the ports of guests that start together: the agent's engine, Open vSwitch's command, its Python library. */
import { parseVmid } from '../src/model/names.ts';
import type { Later } from './cleanup.ts';
import { GuestDevices, removeConfigurations, writeConfigurations } from './guests.ts';
import { newNetworkNamespace } from './network-namespace.ts';
import { startObservedSwitch } from './observed-switch.ts';
import { plugByForks, plugInOneBatch, startPythonIdl } from './plugging.ts';
import { benchCause, startPrivateEngine } from './private-engine.ts';
import { plug } from './private-node.ts';
import { childrenNaming, runningMsOf, untilQuiet, waitedForMsOf } from './process-figures.ts';
import { startShell } from './shell.ts';
import type { Shell } from './shell.ts';
import type { Plugger } from './storm-sides.ts';

export const pluggerNames = {
  agent: 'agent',
  forks: 'three forks a port',
  batch: 'one `ovs-vsctl`',
  idlTogether: 'Python IDL, one transaction',
  idlEach: 'Python IDL, one a port',
} as const;
/** Longer than the engine lets pass between two looks at everything. */
export const quietMs = 600;

/** The engine in this process; `vmids` are the guests of its storms. */
export async function agentPlugger(later: Later, vmids: readonly number[]): Promise<Plugger> {
  const observed = await startObservedSwitch(later);
  const devices = new GuestDevices(later, null, await newNetworkNamespace(later));
  await devices.addBridge();
  await devices.add(vmids);
  const { engine, pveDir } = await startPrivateEngine(later, observed.ovs.endpoint);
  return {
    name: pluggerNames.agent,
    observed,
    // Of helpers that have ended too: one whose devices went is replaced.
    cpuMs: () =>
      childrenNaming('-batch').reduce(
        (sum, pid) => sum + runningMsOf(pid),
        runningMsOf(process.pid) + waitedForMsOf(process.pid),
      ),
    settle: () => untilQuiet(process.pid, quietMs),
    // A guest whose configuration is on another node wants no port here, whatever devices there are.
    prepare: (chosen) => writeConfigurations(pveDir, chosen),
    async plug(vmids) {
      const startedMs = performance.now();
      const answers = await Promise.all(
        vmids.map((vmid) => engine.notifyLifecycle(parseVmid(vmid), 'post-start', benchCause)),
      );
      if (!answers.every((answer) => isPlugged.test(answer))) {
        const isLate = answers.every((answer) => isPlugged.test(answer) || / under way|did not apply/.test(answer));
        if (!isLate)
          throw new Error(`a port was not plugged: ${answers.find((answer) => !isPlugged.test(answer)) ?? ''}`);
        await observed.untilApplied();
      }
      return performance.now() - startedMs;
    },
    async addPresent(vmids) {
      await writeConfigurations(pveDir, vmids);
      await devices.add(vmids);
      await plug(observed.ovs, vmids, true);
      await engine.reconcile(benchCause);
      await observed.untilApplied();
      await untilQuiet(process.pid, quietMs);
    },
    async tidy(vmids) {
      await devices.forgetAltnames(vmids);
      await removeConfigurations(pveDir, vmids);
    },
  };
}

const isPlugged = /: net0 is vi\d+ on ovsbr0, tag 10$/;

/** Open vSwitch's command, as Proxmox VE uses it and as well as it can be used; one switch for both. */
export async function commandPluggers(later: Later): Promise<{ forks: Plugger; batch: Plugger; shell: Shell }> {
  const observed = await startObservedSwitch(later, { apart: true });
  const shell = startShell(later, { ...process.env, OVSDB: observed.ovs.endpoint });
  const common = rivalOf(observed, () => runningMsOf(shell.pid) + waitedForMsOf(shell.pid));
  return {
    shell,
    forks: { ...common, name: pluggerNames.forks, plug: (vmids) => plugByForks(shell, vmids) },
    batch: { ...common, name: pluggerNames.batch, plug: (vmids) => plugInOneBatch(shell, vmids), addPresent: nothing },
  };
}

/** Open vSwitch's Python library in one process, used in two ways. */
export async function idlPluggers(later: Later): Promise<{ together: Plugger; each: Plugger }> {
  const observed = await startObservedSwitch(later, { apart: true });
  const idl = await startPythonIdl(later, observed.ovs.endpoint);
  const common = rivalOf(observed, () => runningMsOf(idl.pid));
  return {
    together: { ...common, name: pluggerNames.idlTogether, plug: (vmids) => idl.plug(vmids, true) },
    each: { ...common, name: pluggerNames.idlEach, plug: (vmids) => idl.plug(vmids, false), addPresent: nothing },
  };
}

function rivalOf(observed: Plugger['observed'], cpuMs: () => number): Omit<Plugger, 'name' | 'plug'> {
  return {
    observed,
    cpuMs,
    settle: nothing,
    prepare: nothing,
    tidy: nothing,
    async addPresent(vmids) {
      await plug(observed.ovs, vmids, true);
    },
  };
}

function nothing(): Promise<void> {
  return Promise.resolve();
}
