/** Who may do what, by uid. */
import { AgentError } from '../../model/errors.ts';
import type { Caller } from './contract.ts';
import type { Privilege } from './interface-spec.ts';

/** Resolves when the caller may; rejects with `AccessDenied` when not. */
export type Authorise = (caller: Caller, privilege: Privilege) => Promise<void>;

/** root and the service's own user may do all, everybody else nothing. */
export function authoriseByUid(serviceUid: number): Authorise {
  return (caller, privilege) => {
    if (caller.uid === 0 || caller.uid === serviceUid) return Promise.resolve();
    return Promise.reject(
      new AgentError(
        'AccessDenied',
        `uid ${caller.uid} does not have the privilege "${privilege}": only root and the service's own user do. Run the command as root`,
      ),
    );
  };
}
