/** Makes containers from templates, through the Proxmox API, on any node of the cluster. */
import type { BlockDraft } from '../ledger/block.ts';
import { AgentError } from '../model/errors.ts';
import { guestLabel } from '../model/guest.ts';
import { nicNameOf, quote } from '../model/names.ts';
import type { Vmid } from '../model/names.ts';
import type { Cause, Recorder } from '../ports/contracts.ts';
import { parseVmlist } from '../proxmox/cluster-state.ts';
import { containerParameters } from '../proxmox/cluster-guests.ts';
import type { NewContainer } from '../proxmox/cluster-guests.ts';
import { newNic } from '../proxmox/new-nic.ts';
import type { ContainerApi, HostFiles, ProgramWait } from './contracts.ts';

export interface ContainerCreationOptions {
  readonly files: HostFiles;
  /** `/etc/pve` on a node. */
  readonly pveDir: string;
  /** null while the configuration has no `[proxmox]`. */
  readonly api: ContainerApi | null;
  readonly recorder: Pick<Recorder, 'writeAheadAll'>;
  /** Name of this node. */
  readonly node: string;
  /** First the name of the task, then its log. */
  readonly onProgress: (vmid: Vmid, line: string) => void;
}

/** What is not given is as `pct create` has it. */
export interface ContainerWishes {
  /** Volume: `local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst`. */
  readonly template: string;
  readonly hostname?: string | undefined;
  readonly storage?: string | undefined;
  readonly sizeGib?: number | undefined;
  readonly memoryMib?: number | undefined;
  readonly cores?: number | undefined;
  /** Separated by commas, semicolons or spaces. */
  readonly tags?: string | undefined;
  readonly pool?: string | undefined;
  /** `bridge=ovsbr0,tag=10`; without a name the card is `eth0`. */
  readonly net0?: string | undefined;
  readonly node?: string | undefined;
  readonly start: boolean;
}

export interface CreationRequest {
  readonly wishes: ContainerWishes;
  /** Only says what would be asked. */
  readonly isDryRun: boolean;
  readonly wait: ProgramWait & { readonly signal: AbortSignal };
  readonly cause: Cause;
}

export interface Creation {
  /** `CT 102` */
  readonly guest: string;
  readonly node: string;
  /** False for a dry run. */
  readonly changed: boolean;
  /** What was asked of Proxmox VE, as `pvesh` would. */
  readonly call: string;
}

const storageDefault = 'local';
const sizeGibDefault = 4;
const memoryMibDefault = 512;

export class ContainerCreation {
  readonly #options: ContainerCreationOptions;

  constructor(options: ContainerCreationOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the task of Proxmox VE ended well. Throws `Conflict` when the vmid is taken, `InvalidArgument`, `Unavailable`
   * without the API, `Timeout` while the task goes on, and what Proxmox VE says when it refuses or fails.
   */
  async create(vmid: Vmid, { wishes, isDryRun, wait, cause }: CreationRequest): Promise<Creation> {
    const { api, recorder, node: here, onProgress } = this.#options;
    const container = containerOf(vmid, wishes, here);
    const { node } = container;
    const parameters = containerParameters({ ...container, vmid });
    const guest = guestLabel({ kind: 'lxc', vmid });
    const creation = { guest, node, call: describeCall(node, parameters) };
    await this.#refuseTaken(vmid);
    if (isDryRun) return { ...creation, changed: false };
    if (api === null) {
      throw new AgentError(
        'Unavailable',
        `${guest} cannot be created: the configuration has no [proxmox]; \`ovs-port-agent setup --api manage\` makes a token`,
      );
    }
    const draft: BlockDraft = {
      category: 'guest',
      action: 'create',
      metadata: { ...cause, host: here, plugin: 'node' },
      data: { vmid, node, way: 'api', parameters },
    };
    await recorder.writeAheadAll([draft], () =>
      api.create(container, {
        ...wait,
        onTask: (upid) => {
          onProgress(vmid, `task ${upid}`);
        },
        onLine: (line) => {
          onProgress(vmid, line);
        },
      }),
    );
    return { ...creation, changed: true };
  }

  /** Proxmox VE refuses it too; here nothing is written down or asked for. */
  async #refuseTaken(vmid: Vmid): Promise<void> {
    const { files, pveDir } = this.#options;
    const vmlist = await files.read(`${pveDir}/.vmlist`);
    const taken = parseVmlist(vmlist?.text ?? '')?.find((guest) => guest.vmid === vmid);
    if (taken === undefined) return;
    throw new AgentError('Conflict', `vmid ${vmid} is taken: ${guestLabel(taken)} is on node ${taken.node}`);
  }
}

function containerOf(vmid: Vmid, wishes: ContainerWishes, here: string): NewContainer {
  const { template, hostname, storage = storageDefault, sizeGib = sizeGibDefault, net0, pool, node = here } = wishes;
  const tags = wishes.tags?.split(/[;, ]+/).filter((tag) => tag !== '');
  refuseUnless(/^[A-Za-z][A-Za-z0-9_.-]*:vztmpl\/[^\s/]+$/.test(template), 'template', template, 'STORAGE:vztmpl/NAME');
  refuseUnless(/^[A-Za-z][A-Za-z0-9_.-]*$/.test(storage), 'storage', storage, 'the name of a storage');
  refuseUnless(/^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/.test(node), 'node', node, 'the name of a node');
  for (const tag of tags ?? []) refuseUnless(/^[A-Za-z0-9_][A-Za-z0-9_.+-]*$/.test(tag), 'tag', tag, 'letters, digits and _ . + -'); // prettier-ignore
  refuseUnless(pool === undefined || /^[A-Za-z0-9._/-]+$/.test(pool), 'pool', pool ?? '', 'the name of a pool');
  return {
    node,
    vmid,
    template,
    hostname,
    rootfs: `${storage}:${sizeGib}`,
    memoryMib: wishes.memoryMib ?? memoryMibDefault,
    cores: wishes.cores,
    tags,
    pool,
    nics: net0 === undefined ? [] : [newNic('lxc', nicNameOf(0), net0)],
    start: wishes.start,
  };
}

function refuseUnless(isGood: boolean, what: string, text: string, expected: string): void {
  if (!isGood) throw new AgentError('InvalidArgument', `${what} ${quote(text)} is not valid: expected ${expected}`);
}

function describeCall(node: string, parameters: ReturnType<typeof containerParameters>): string {
  const words = Object.entries(parameters).map(
    ([key, value]) => `--${key} ${quoted(String(typeof value === 'boolean' ? Number(value) : value))}`,
  );
  return `pvesh create /nodes/${node}/lxc ${words.join(' ')}`;
}

/** For a shell to which somebody copies the line. */
function quoted(word: string): string {
  return /^[\w=:,.@/+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
