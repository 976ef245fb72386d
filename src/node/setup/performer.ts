/**
 * Does steps of `setup`, and takes them back. Each can be done again after a crash, and is taken back only where the world
 * still is what the step made of it: what somebody changed since is theirs.
 */
import { addBridge, addCondone, removeBridge, removeCondone } from '../../interfaces/bridge-stanza.ts';
import { AgentError } from '../../model/errors.ts';
import type { HostFiles, HostFolders, Programs, SnippetFiles } from '../contracts.ts';
import { allowSnippetsCommand, describeCommand, lastWords } from '../hooks/guest-hooks.ts';
import type { GuestHooks } from '../hooks/guest-hooks.ts';
import { isNamed, readStorages } from '../hooks/survey.ts';
import { makeToken, removeToken } from './api-access.ts';
import type { Step } from './step.ts';

/** Small files that `setup` writes, whole or not at all. */
export interface SetupFiles {
  write(path: string, text: string, mode: number): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes the folder. Rejects with `Conflict` when there is something at the target. */
  move(from: string, to: string): Promise<void>;
}

export interface PerformerOptions {
  readonly files: HostFiles & HostFolders;
  readonly writes: SetupFiles;
  readonly snippets: SnippetFiles;
  readonly programs: Programs;
  readonly hooks: Pick<GuestHooks, 'attach' | 'detach' | 'status'>;
  readonly pveDir: string;
  /** Edits interfaces(5) and its pending changes under Proxmox VE's lock; `edit` is pure. */
  readonly editInterfaces: (edit: (text: string) => string) => Promise<void>;
}

const programDeadlineMs = 60_000;
const ownUnit = 'ovs-port-agent.service';
const systemctl = '/usr/bin/systemctl';
const section = (tokenFile: string): string => `\n[proxmox]\ntoken_file = "${tokenFile}"\n`;

export class Performer {
  readonly #options: PerformerOptions;

  constructor(options: PerformerOptions) {
    this.#options = options;
  }

  /** Lines to show before the step: what a file would become. */
  async preview(step: Step): Promise<readonly [before: string, after: string] | null> {
    const { files } = this.#options;
    if (step.kind === 'condone' || (step.kind === 'bridge' && step.path !== null)) {
      const text = (await files.read(step.path ?? ''))?.text ?? '';
      return [text, step.kind === 'condone' ? addCondone(text, step.bridge) : addBridge(text, step.bridge)];
    }
    if (step.kind === 'file') {
      return [(await files.read(step.path))?.text ?? '', (await files.read(step.source))?.text ?? ''];
    }
    return null;
  }

  /** The step with what is needed to take it back, looked at right before. */
  async prepare(step: Step): Promise<Step> {
    if (step.kind !== 'file') return step;
    return { ...step, before: (await this.#options.files.read(step.path))?.text ?? null };
  }

  async perform(step: Step): Promise<void> {
    const { editInterfaces, snippets, hooks, programs, writes, files } = this.#options;
    switch (step.kind) {
      case 'move-aside':
        if (step.unit !== null) await this.#run([systemctl, 'disable', '--now', step.unit]);
        await writes.move(step.path, step.to);
        if (step.unit !== null) await this.#run([systemctl, 'daemon-reload']);
        // It had the name of ours.
        if (step.unit === ownUnit) await this.#run([systemctl, 'enable', '--now', ownUnit]);
        return;
      case 'condone':
        return editInterfaces((text) => addCondone(text, step.bridge));
      case 'bridge':
        if (step.path !== null) await editInterfaces((text) => addBridge(text, step.bridge));
        if (!step.isMissing) return;
        if (step.hasIfup && step.path !== null) return this.#run(['/usr/sbin/ifup', step.bridge]);
        return this.#run(['/usr/bin/ovs-vsctl', '--timeout=10', '--may-exist', 'add-br', step.bridge]);
      case 'file': {
        const text = (await files.read(step.source))?.text;
        if (text === undefined) throw new AgentError('NotFound', `${step.source} does not exist`);
        await writes.write(step.path, text, 0o644);
        if (step.path.includes('/systemd/')) await this.#run([systemctl, 'daemon-reload']);
        return;
      }
      case 'allow-snippets':
        return this.#run(allowSnippetsCommand(step));
      case 'snippet':
        return snippets.put(step.path);
      case 'hookscript':
        await hooks.attach(step.vmid, { dryRun: false });
        return;
      case 'enable':
        return this.#run([systemctl, 'enable', ...(step.wasActive ? [] : ['--now']), step.unit]);
      case 'api': {
        await writes.write(step.tokenFile, await makeToken(programs, step.tokenId, step.rights), 0o600);
        if (step.configFile === null) return;
        const text = (await files.read(step.configFile))?.text ?? '';
        if (!/^\[proxmox\]/m.test(text)) await writes.write(step.configFile, text + section(step.tokenFile), 0o644);
        return;
      }
    }
  }

  /** Answers why something was left as it is; null when the step was taken back. */
  async undo(step: Step): Promise<string | null> {
    const { snippets, hooks, programs, writes, files } = this.#options;
    switch (step.kind) {
      case 'move-aside':
        if (!(await files.exists(step.to))) return `${step.to} is not there`;
        if (await files.exists(step.path)) return `there is a ${step.path} again`;
        await writes.move(step.to, step.path);
        if (step.unit !== null) await this.#run([systemctl, 'daemon-reload']);
        return null;
      case 'condone':
        return this.#undoCondone(step);
      case 'bridge':
        return this.#undoBridge(step);
      case 'file': {
        const [now, written] = await Promise.all([files.read(step.path), files.read(step.source)]);
        if (now === null || now.text !== written?.text) return `${step.path} was changed since`;
        if (step.before === null) await writes.remove(step.path);
        else await writes.write(step.path, step.before, 0o644);
        if (step.path.includes('/systemd/')) await this.#run([systemctl, 'daemon-reload']);
        return null;
      }
      case 'allow-snippets': {
        const { folders } = await readStorages(this.#options);
        const now = folders.find(({ storage }) => storage === step.storage)?.content ?? [];
        const [program, , , option, content] = allowSnippetsCommand(step);
        if (now.join(',') !== content) return `the content of ${step.storage} was changed since`;
        return this.#run([program, 'set', step.storage, option ?? '', step.content.join(',') || 'none']).then(
          () => null,
        );
      }
      case 'snippet': {
        if (!step.wasMissing) return `${step.path} was there before`;
        const name = step.path.slice(step.path.lastIndexOf('/') + 1);
        const { folders } = await readStorages(this.#options);
        for (const { storage, folder } of folders) {
          const volume = `${storage}:snippets/${name}`;
          if (step.path !== `${folder}/${name}`) continue;
          if (await isNamed(this.#options, volume)) return `a guest or a snapshot names ${volume}`;
        }
        if ((await snippets.look(step.path))?.isOurs !== true) return `${step.path} is not ours any more`;
        await snippets.remove(step.path);
        return null;
      }
      case 'hookscript': {
        try {
          const { changed } = await hooks.detach(step.vmid, { dryRun: false });
          return changed ? null : `guest ${step.vmid} does not have it any more`;
        } catch (error) {
          if (error instanceof AgentError && error.code === 'NotFound') return error.message;
          throw error;
        }
      }
      case 'enable':
        return this.#run([systemctl, 'disable', ...(step.wasActive ? [] : ['--now']), step.unit]).then(() => null);
      case 'api': {
        await removeToken(programs, step.tokenId);
        await writes.remove(step.tokenFile);
        if (step.configFile === null) return null;
        const text = (await files.read(step.configFile))?.text ?? '';
        const without = text.replace(section(step.tokenFile), '');
        if (without !== text) await writes.write(step.configFile, without, 0o644);
        return null;
      }
    }
  }

  async #undoCondone({ bridge, before, path }: Step & { readonly kind: 'condone' }): Promise<string | null> {
    const seen = { isThere: false };
    await this.#options.editInterfaces((text) => {
      const edited = removeCondone(text, bridge, before);
      seen.isThere ||= edited !== text;
      return edited;
    });
    return seen.isThere ? null : `${path} does not have the line any more, or not as it was written`;
  }

  async #undoBridge(step: Step & { readonly kind: 'bridge' }): Promise<string | null> {
    const { editInterfaces, programs } = this.#options;
    if (step.isMissing) {
      const ports = await programs.run(['/usr/bin/ovs-vsctl', '--timeout=10', 'list-ports', step.bridge], {
        deadlineMs: programDeadlineMs,
      });
      if (ports.exitStatus === 0 && ports.output.trim() !== '') {
        return `${step.bridge} has ports: ${ports.output.trim().split('\n').join(', ')}`;
      }
    }
    if (step.path !== null) await editInterfaces((text) => removeBridge(text, step.bridge));
    if (step.isMissing) {
      await this.#run(['/usr/bin/ovs-vsctl', '--timeout=10', '--if-exists', 'del-br', step.bridge]);
    }
    return null;
  }

  async #run(command: readonly [string, ...string[]]): Promise<void> {
    const result = await this.#options.programs.run(command, { deadlineMs: programDeadlineMs });
    if (result.exitStatus === 0) return;
    throw new AgentError('NotApplied', `\`${describeCommand(command)}\`: ${lastWords(result)}`);
  }
}
