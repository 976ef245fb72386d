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
    if (line.startsWith('pveum ')) return this.#pveum(command.slice(1));
    if (line.startsWith('pvesm set ')) return this.#allow(command[2] ?? '', command[4] ?? '');
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

  readonly access = { roles: new Map<string, string>(), users: new Set<string>(), tokens: new Set<string>() };

  #pveum(words: readonly string[]): ProgramResult {
    const { roles, users, tokens } = this.access;
    const [what, ...rest] = words[0] === 'user' && words[1] === 'token' ? ['token', ...words.slice(2)] : words;
    const [verb, name = '', token = ''] = rest;
    const failed = (complaint: string): ProgramResult => ({ exitStatus: 255, output: '', complaint });
    const listed = (rows: readonly object[]): ProgramResult => ({ ...good, output: JSON.stringify(rows) });
    switch (`${what ?? ''} ${verb ?? ''}`) {
      case 'role list':
        return listed([...roles.keys()].map((roleid) => ({ roleid })));
      case 'role add':
      case 'role modify':
        if (roles.has(name) === (verb === 'add')) return failed(`role '${name}' is wrong for ${verb ?? ''}`);
        roles.set(name, words[words.indexOf('--privs') + 1] ?? '');
        return good;
      case 'role delete':
        return roles.delete(name) ? good : failed('no such role');
      case 'user list':
        return listed([...users].map((userid) => ({ userid })));
      case 'user add':
        if (users.has(name)) return failed('user exists');
        users.add(name);
        return good;
      case 'user delete':
        return users.delete(name) ? good : failed('no such user');
      case 'acl modify':
        return good;
      case 'token list':
        return users.has(name) ? listed([...tokens].map((tokenid) => ({ tokenid }))) : failed('no such user');
      case 'token add':
        if (tokens.has(token)) return failed('Token already exists.');
        tokens.add(token);
        return { ...good, output: JSON.stringify({ value: '01234567-89ab-cdef-0123-456789abcdef' }) };
      case 'token remove':
        return tokens.delete(token) ? good : failed('no such token');
    }
    return failed(`unknown command ${words.join(' ')}`);
  }

  async #allow(storage: string, content: string): Promise<ProgramResult> {
    const text = (await this.files.read('/etc/pve/storage.cfg'))?.text ?? '';
    const sections = text
      .split('\n\n')
      .map((section) =>
        section.startsWith(`dir: ${storage}\n`) ? section.replace(/^\tcontent .*$/m, `\tcontent ${content}`) : section,
      );
    this.files.write('/etc/pve/storage.cfg', sections.join('\n\n'));
    return good;
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
