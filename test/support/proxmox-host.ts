/**
 * A node of Proxmox VE in memory: its files, its snippets, and stand-ins for the programs that change guests' configurations.
 * They refuse what the real ones refuse.
 */
import type { ProgramResult, Programs, SnippetFile, SnippetFiles } from '../../src/node/contracts.ts';
import {
  deleteSetting,
  parseGuestDocument,
  renderGuestDocument,
  setSetting,
} from '../../src/proxmox/guest-document.ts';
import { MemoryHost } from './memory-host.ts';

const good: ProgramResult = { exitStatus: 0, output: '', complaint: '' };

export class ProxmoxHost implements Programs {
  readonly files = new MemoryHost();
  /** What was run, as a person would type it. */
  readonly ran: string[] = [];
  /** Snippets by path. */
  readonly scripts = new Map<string, SnippetFile>();
  /** Volumes on other nodes, by node. */
  readonly elsewhere = new Map<string, readonly string[]>();
  /** Answers of other programs, by how their command line begins. */
  readonly answers = new Map<string, ProgramResult>();

  constructor() {
    this.files.write('/etc/pve/storage.cfg', 'dir: local\n\tpath /var/lib/vz\n\tcontent iso,snippets\n');
  }

  readonly snippets: SnippetFiles = {
    look: (path) => Promise.resolve(this.scripts.get(path) ?? null),
    put: (path) => {
      this.scripts.set(path, current);
      return Promise.resolve();
    },
    remove: (path) => {
      this.scripts.delete(path);
      return Promise.resolve();
    },
  };

  guest(vmid: number, text: string, folder = 'lxc'): void {
    this.files.write(`/etc/pve/${folder}/${vmid}.conf`, text);
  }

  async guestText(vmid: number, folder = 'lxc'): Promise<string> {
    return (await this.files.read(`/etc/pve/${folder}/${vmid}.conf`))?.text ?? '';
  }

  async run(command: readonly [string, ...string[]]): Promise<ProgramResult> {
    const line = command.join(' ').replace(/^\/usr\/s?bin\//, '');
    this.ran.push(line);
    for (const [beginning, answer] of this.answers) if (line.startsWith(beginning)) return answer;
    const [, verb, vmid = ''] = command;
    if (/\/(?:pct|qm)$/.test(command[0]) && verb === 'set') {
      return this.#set(command[0].endsWith('pct') ? 'lxc' : 'qemu-server', vmid, command.slice(3));
    }
    const node = /^pvesh get \/nodes\/([^/]+)\/storage\//.exec(line)?.[1];
    if (node !== undefined) {
      const volumes = (this.elsewhere.get(node) ?? []).map((volid) => ({ volid, format: 'snippet' }));
      return { ...good, output: JSON.stringify(volumes) };
    }
    return { ...good, exitStatus: 127, complaint: `the test has no program for ${line}` };
  }

  async #set(folder: string, vmid: string, [option, value = '']: readonly string[]): Promise<ProgramResult> {
    const document = parseGuestDocument('lxc', await this.guestText(Number(vmid), folder));
    if (option === '--delete') {
      this.guest(Number(vmid), renderGuestDocument(deleteSetting(document, value)), folder);
      return good;
    }
    const path = value
      .replace('local:snippets/', '/var/lib/vz/snippets/')
      .replace('nas:snippets/', '/mnt/nas/snippets/');
    if (this.scripts.get(path)?.isRunnable !== true) {
      return { ...good, exitStatus: 255, complaint: `script '${value}' does not exist\n` };
    }
    this.guest(Number(vmid), renderGuestDocument(setSetting(document, 'hookscript', value)), folder);
    return good;
  }
}

export const current: SnippetFile = { isRunnable: true, isOurs: true, isCurrent: true };
export const foreign: SnippetFile = { isRunnable: true, isOurs: false, isCurrent: false };
