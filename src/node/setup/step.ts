/** The steps of `setup`, and what has to be known to take one back. Pure. */
import type { Vmid } from '../../model/names.ts';
import { allowSnippetsCommand, describeCommand } from '../hooks/guest-hooks.ts';

export type Step =
  /** Puts what the older tool left out of the way; a unit is disabled and stopped before. */
  | { readonly kind: 'move-aside'; readonly path: string; readonly to: string; readonly unit: string | null }
  /** The one line of a bridge's stanza that `ifreload` reads; `before` is the value it had. */
  | { readonly kind: 'condone'; readonly bridge: string; readonly path: string; readonly before: string | null }
  /** A bridge: its stanza where interfaces(5) is in use, and the bridge itself when it is missing. */
  | {
      readonly kind: 'bridge';
      readonly bridge: string;
      readonly path: string | null;
      readonly isMissing: boolean;
      readonly hasIfup: boolean;
    }
  /** A file of the package put back; `before` is its text, null when it was missing. */
  | { readonly kind: 'file'; readonly path: string; readonly source: string; readonly before: string | null }
  | { readonly kind: 'allow-snippets'; readonly storage: string; readonly content: readonly string[] }
  | { readonly kind: 'snippet'; readonly path: string; readonly wasMissing: boolean }
  | { readonly kind: 'hookscript'; readonly vmid: Vmid }
  | { readonly kind: 'enable'; readonly unit: string; readonly wasActive: boolean }
  /** A user, its role and a token of it; the configuration names the token's file. */
  | {
      readonly kind: 'api';
      readonly tokenFile: string;
      readonly tokenId: string;
      readonly configFile: string | null;
      readonly rights: ApiRights;
    };

/** `control`: see, start and end guests; `manage`: change their network cards and create containers as well. */
export type ApiRights = 'control' | 'manage';

/** One line, before it is done. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'move-aside':
      return `move ${step.path} of the older tool to ${step.to}${step.unit === null ? '' : `, its unit disabled and stopped`}`;
    case 'condone':
      return `let an ifreload spare our ports on ${step.bridge}, one line in ${step.path}`;
    case 'bridge': {
      const parts = [
        ...(step.path === null ? [] : [`a stanza in ${step.path}`]),
        ...(step.isMissing ? [step.hasIfup && step.path !== null ? `ifup ${step.bridge}` : `ovs-vsctl add-br`] : []),
      ];
      return `make the bridge ${step.bridge}: ${parts.join(', then ')}`;
    }
    case 'file':
      return `put ${step.path} as the package has it`;
    case 'allow-snippets':
      return `allow snippets on the storage ${step.storage}: ${describeCommand(allowSnippetsCommand(step))}`;
    case 'snippet':
      return `put the snippet to ${step.path}`;
    case 'hookscript':
      return `give guest ${step.vmid} our hookscript: ovs-port-agent hook attach ${step.vmid}`;
    case 'enable':
      return `enable ${step.unit}${step.wasActive ? '' : ' and start it'}`;
    case 'api':
      return `make the API's user ${apiUser} with the role ${apiRole}${step.rights === 'manage' ? ', which may change network cards and create containers,' : ''} and a token in ${step.tokenFile}${step.configFile === null ? '' : `, and name it in ${step.configFile}`}`;
  }
}

/** One line, before it is taken back. */
export function describeUndo(step: Step): string {
  switch (step.kind) {
    case 'move-aside':
      return `move ${step.to} back to ${step.path}`;
    case 'condone':
      return `take that line for ${step.bridge} out of ${step.path}`;
    case 'bridge':
      return `take the bridge ${step.bridge} away, unless it has ports`;
    case 'file':
      return step.before === null ? `remove ${step.path}` : `put ${step.path} back as it was`;
    case 'allow-snippets':
      return `let the storage ${step.storage} have the content ${step.content.join(',')} again`;
    case 'snippet':
      return `remove ${step.path}, unless a guest names it`;
    case 'hookscript':
      return `take our hookscript off guest ${step.vmid}`;
    case 'enable':
      return `disable ${step.unit}${step.wasActive ? '' : ' and stop it'}`;
    case 'api':
      return `remove the token in ${step.tokenFile}${step.configFile === null ? '' : `, and its section in ${step.configFile}`}`;
  }
}

export const apiUser = 'ovs-port-agent@pve';
export const apiRole = 'OvsPortAgent';
