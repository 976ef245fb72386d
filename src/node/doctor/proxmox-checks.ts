/** Proxmox VE: this node in its cluster, hookscripts of guests, the API's token. */
import { guestLabel } from '../../model/guest.ts';
import type { GuestHook } from '../hooks/survey.ts';
import { error, note, setUp, warning } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { ApiFacts } from './facts.ts';

/** What the service asks the API for: guests of the cluster, and to start and end them. */
export const neededPrivileges: readonly string[] = ['VM.Audit', 'VM.PowerMgmt'];
/** Beyond those, of an administrator who has the service change network cards and create containers. */
export const managePrivileges: readonly string[] = [
  'VM.Config.Network',
  'SDN.Use',
  'VM.Allocate',
  'VM.Config.Disk',
  'VM.Config.Memory',
  'VM.Config.Options',
  'Datastore.AllocateSpace',
];
/** Vmids in one sentence; the rest is counted. */
const namedMax = 10;

export const proxmoxChecks: readonly Check[] = [
  {
    id: 'node-name',
    looksAt: 'whether this host has the name of its node',
    run: ({ proxmox, node }) => {
      if (proxmox === null) return null;
      const { nodeName } = proxmox;
      return nodeName === null || nodeName === node
        ? []
        : [
            error(
              `the host is called ${node}, its node in the cluster ${nodeName}: guests are looked for under the wrong name`,
              `hostnamectl set-hostname ${nodeName}`,
            ),
          ];
    },
  },
  {
    id: 'quorum',
    looksAt: 'whether the cluster takes changes',
    run: ({ proxmox }) =>
      proxmox === null
        ? null
        : proxmox.quorate
          ? []
          : [warning('the cluster has no quorum: Proxmox VE starts no guest and takes no change', 'pvecm status')],
  },
  {
    id: 'snippet',
    looksAt: 'the snippet on its storage',
    run: ({ proxmox }) => {
      if (proxmox === null) return null;
      const { snippet } = proxmox;
      if (snippet.kind === 'none')
        return [warning(`${snippet.problem}: no guest can get our hookscript`, snippet.remedy)];
      const { path, state } = snippet;
      switch (state) {
        case 'current':
          return [];
        case 'missing':
          return [warning(`${path} does not exist`, setUp)];
        case 'outdated':
          return [warning(`${path} is of another version, is a link, or may not be executed`, setUp)];
        case 'foreign':
          return [warning(`${path} is not ours: no guest can get our hookscript`, `mv ${path} ${path}.other`)];
      }
    },
  },
  {
    id: 'hookscripts',
    looksAt: "every guest's hookscript",
    run: ({ proxmox }) => {
      if (proxmox === null) return null;
      const { hooks, hooksProblem } = proxmox;
      const problem =
        hooksProblem === null ? [] : [warning(`guests cannot be looked at: ${hooksProblem}`, 'pvecm status')];
      return [...problem, ...hooks.flatMap(checkHook), ...checkWithout(hooks)];
    },
  },
  {
    id: 'hookscripts-elsewhere',
    looksAt: "hookscripts of ours that other nodes' guests name",
    run: ({ proxmox }) =>
      proxmox === null
        ? null
        : proxmox.missingForOthers.map(({ volume, path }) =>
            warning(
              `a guest of another node names ${volume}, and ${path} does not exist here: moved to this node it would not start`,
              setUp,
            ),
          ),
  },
  { id: 'api', looksAt: "the API's token and its rights", run: ({ api }) => (api === null ? null : checkApi(api)) },
];

function checkHook(hook: GuestHook): Finding[] {
  const label = guestLabel(hook);
  const tool = hook.kind === 'lxc' ? 'pct' : 'qm';
  const findings: Finding[] = [];
  if (hook.state === 'dangling') {
    const isOurs = hook.other === null;
    findings.push(
      error(
        `${label} does not start: its hookscript ${hook.hookscript ?? ''} cannot be called, ${hook.problem ?? ''}`,
        isOurs ? `ovs-port-agent hook attach ${hook.vmid}` : `${tool} set ${hook.vmid} --delete hookscript`,
      ),
    );
  }
  for (const [snapshot, problem] of hook.danglingSnapshots) {
    findings.push(
      warning(
        `${label} would not start after a rollback to ${snapshot}: ${problem}`,
        `${tool} listsnapshot ${hook.vmid}`,
      ),
    );
  }
  return findings;
}

/** Without ours a port is adopted all the same, so that this is no fault. */
function checkWithout(hooks: readonly GuestHook[]): Finding[] {
  const without = hooks.filter(({ state, isTemplate }) => !isTemplate && (state === 'none' || state === 'other'));
  if (without.length === 0) return [];
  const named = without.slice(0, namedMax).map(({ vmid }) => vmid);
  const more = without.length > namedMax ? ` and ${without.length - namedMax} more` : '';
  const what = without.every(({ state }) => state === 'none') ? 'no hookscript' : 'no hookscript, or another one alone';
  const who = without.length === hooks.length ? '--all' : named.join(' ');
  return [
    note(
      `${without.length === 1 ? 'guest' : 'guests'} ${named.join(', ')}${more}: ${what}; ports are adopted all the same`,
      `ovs-port-agent hook attach ${more === '' ? who : '--all'}`,
    ),
  ];
}

function checkApi({ tokenFile, tokenMode, privileges, problem, rights }: ApiFacts): Finding[] {
  // All nodes share the role: a remedy must not take back what somebody gave it.
  const isManaging = rights === 'manage' || managePrivileges.some((name) => privileges?.includes(name));
  const makeToken = isManaging ? `${setUp} --api manage` : `${setUp} --api`;
  if (tokenMode === null) return [error(`${tokenFile} does not exist: the API is not reached`, makeToken)];
  const findings: Finding[] = [];
  if ((tokenMode & 0o077) !== 0) {
    findings.push(error(`${tokenFile} can be read by others than root`, `chmod 600 ${tokenFile}`));
  }
  if (problem !== null)
    findings.push(warning(`the API does not answer: ${problem}`, 'systemctl status pveproxy.service'));
  if (privileges === null) return findings;
  const missingOf = (wanted: readonly string[]): string =>
    wanted.filter((name) => !privileges.includes(name)).join(', ');
  const missing = missingOf(isManaging ? [...neededPrivileges, ...managePrivileges] : neededPrivileges);
  if (missing !== '') {
    findings.push(warning(`the token may not do everything that it is for: ${missing} is missing`, makeToken));
  }
  if (!isManaging) {
    findings.push(
      note(
        `the token may neither change network cards (\`guest net\`) nor create containers (\`guest create\`): ${missingOf(managePrivileges)} is missing`,
        `${setUp} --api manage`,
      ),
    );
  }
  return findings;
}
