/** Configuration, unit, bus name, what the service says of itself, ledger, files of the package. */
import { error, note, setUp, warning } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { NodeFacts } from './facts.ts';

const unitName = 'ovs-port-agent.service';
const spaceWantedBytes = 256 * 1024 * 1024;
const spaceNeededBytes = 16 * 1024 * 1024;
/** A clock may be a little ahead on another start. */
const clockSlackMs = 5_000;

export const serviceChecks: readonly Check[] = [
  {
    id: 'config',
    looksAt: 'the configuration file',
    run: ({ config: { problem, warnings } }) => [
      ...(problem === null
        ? []
        : [error(`the service does not start with it: ${problem}`, 'sensible-editor /etc/ovs-port-agent/config.toml')]),
      ...warnings.map((text) => warning(text, 'sensible-editor /etc/ovs-port-agent/config.toml')),
    ],
  },
  {
    id: 'naming-mode',
    looksAt: 'whether rows are named as Proxmox VE looks them up',
    run: ({ config: { config }, proxmox }) =>
      proxmox === null || config.naming_mode !== 'port'
        ? []
        : [
            warning(
              'naming_mode = "port": rows are named vi<vmid>, so that `pct set -netN` on a running guest fails, and after an unclean stop a guest only starts once its row is gone',
              `sed -i 's/^naming_mode = "port"/naming_mode = "auto"/' /etc/ovs-port-agent/config.toml`,
            ),
          ],
  },
  { id: 'unit', looksAt: 'the unit of the service: loaded, enabled, running', run: checkUnit },
  {
    id: 'bus',
    looksAt: 'the name of the service on the bus',
    run: ({ service: { unit, hasName } }) => {
      if (hasName === null) {
        return [error('the bus cannot be asked: hooks find no service', 'systemctl status dbus.service')];
      }
      if (hasName || unit?.activeState !== 'active') return [];
      return [
        error(
          'the service is active, but has no name on the bus: hooks do not reach it',
          `systemctl restart ${unitName}`,
        ),
      ];
    },
  },
  {
    id: 'service',
    looksAt: 'what the service says of itself',
    run: ({ service: { status } }) =>
      status === null ? null : status.problems.map((problem) => warning(problem, 'ovs-port-agent status')),
  },
  {
    id: 'ledger',
    looksAt: 'the whole chain of the ledger',
    run: ({ ledger: { path, problem, unknown } }) => {
      if (problem !== null) {
        return [
          error(
            `${path} was altered: ${problem}. Nothing is recorded any more`,
            `ovs-port-agent ledger verify ${path}`,
          ),
        ];
      }
      return unknown === null ? [] : [warning(`${path} could not be verified: ${unknown}`, `ls -l ${path}`)];
    },
  },
  {
    id: 'disk',
    looksAt: 'room for the ledger and for interfaces',
    run: ({ disks }) =>
      disks.flatMap(({ path, freeBytes, isReadOnly }) => {
        const look = `df --human-readable ${path}`;
        if (isReadOnly) return [error(`${path} is on a file system that takes no writes`, `findmnt --target ${path}`)];
        if (freeBytes < spaceNeededBytes) return [error(`${path} has ${mebibytes(freeBytes)} MiB left`, look)];
        return freeBytes < spaceWantedBytes ? [warning(`${path} has ${mebibytes(freeBytes)} MiB left`, look)] : [];
      }),
  },
  {
    id: 'clock',
    looksAt: 'the clock, which dates the ledger',
    run: ({ clockSynchronized, ledger: { lastBlockMs }, nowMs }) => {
      const findings: Finding[] = [];
      if (clockSynchronized === false) {
        findings.push(warning('the clock follows no other: blocks may be dated wrongly', 'timedatectl set-ntp true'));
      }
      if (lastBlockMs !== null && lastBlockMs > nowMs + clockSlackMs) {
        const text = new Date(lastBlockMs).toISOString();
        findings.push(error(`the last block of the ledger is dated ${text}, which is yet to come`, 'timedatectl'));
      }
      return findings;
    },
  },
  {
    id: 'drop-ins',
    looksAt: "the package's drop-ins for systemd and LXC",
    run: ({ shipped }) =>
      shipped.flatMap(({ path, state }) => {
        const tells = 'a container that reboots from inside, or is killed, is told late';
        if (state === 'missing') return [warning(`${path} is missing: ${tells}`, setUp)];
        if (state === 'altered') return [warning(`${path} is not as the package brought it`, setUp)];
        if (state !== 'overridden') return [];
        const override = path.replace('/usr/lib/', '/etc/');
        return [
          note(`${override} counts instead of the package's: ${tells}, unless it calls the hook`, `rm ${override}`),
        ];
      }),
  },
  {
    id: 'older-tool',
    looksAt: 'what the older tool of this name left',
    run: ({ leftovers }) =>
      leftovers.map((path) =>
        path.endsWith('state.json')
          ? note(`${path} is the older tool's: nothing reads it any more`, setUp)
          : error(`${path} is the older tool's: it shadows or fights this one`, setUp),
      ),
  },
];

function checkUnit({ service: { unit, hasName } }: NodeFacts): readonly Finding[] | null {
  if (unit === null) return null;
  const { loadState, unitFileState, activeState, fragmentPath, needsReload } = unit;
  if (loadState === 'masked' || unitFileState === 'masked') {
    return [warning('the service is masked: ports of new guests get no names', `systemctl unmask ${unitName}`)];
  }
  if (loadState === 'not-found') {
    // Somebody may run it by hand, from a checkout.
    return [
      hasName === true
        ? note(
            `the service runs, but there is no ${unitName}: nothing starts it at the next boot`,
            'scripts/install.sh',
          )
        : error(`there is no ${unitName}`, 'scripts/install.sh'),
    ];
  }
  const findings: Finding[] = [];
  if (loadState !== 'loaded') {
    findings.push(error(`systemd cannot read ${fragmentPath || unitName} (${loadState})`, `systemctl cat ${unitName}`));
  }
  if (needsReload) {
    findings.push(warning(`${unitName} has changed since systemd has read it`, 'systemctl daemon-reload'));
  }
  if (unitFileState === 'disabled') {
    findings.push(warning('the service is disabled: it is not there when the node boots', setUp));
  }
  if (activeState === 'failed') {
    findings.push(
      error('the service has failed: guests start without names', `journalctl --unit ${unitName} --lines 20`),
    );
  } else if (activeState === 'inactive') {
    findings.push(warning('the service does not run: ports of new guests get no names', `systemctl start ${unitName}`));
  }
  return findings;
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / (1024 * 1024));
}
