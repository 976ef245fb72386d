/** `/etc/pve/storage.cfg`: where hookscripts may lie. */
import { parseSectionConfig } from './section-config.ts';

export interface SnippetStorage {
  /** The word before the colon in `local:snippets/NAME`. */
  readonly storage: string;
  /** Folder that holds the files themselves. */
  readonly folder: string;
  /** Nodes that have this storage; null for all. */
  readonly nodes: readonly string[] | null;
  /** Whether other nodes see the same files. */
  readonly shared: boolean;
}

const networkTypes = ['nfs', 'cifs', 'cephfs', 'glusterfs'];

/** Storages in use whose content includes snippets, in the order of the file. */
export function parseSnippetStorages(text: string): SnippetStorage[] {
  return parseSectionConfig(text).flatMap(({ type, id, properties }) => {
    const content = (properties.get('content') ?? '').split(/[;,\s]+/);
    // A network storage without a path is mounted under its name.
    const path = properties.get('path') ?? (networkTypes.includes(type) ? `/mnt/pve/${id}` : null);
    if (path === null || !content.includes('snippets') || properties.has('disable')) return [];
    const nodes = properties.get('nodes');
    return [
      {
        storage: id,
        folder: `${path}/${contentFolder(properties.get('content-dirs')) ?? 'snippets'}`,
        nodes: nodes === undefined ? null : nodes.split(/[;,\s]+/),
        shared: networkTypes.includes(type) || properties.get('shared') === '1',
      },
    ];
  });
}

/** Of `content-dirs snippets=custom/folder,iso=...`. */
function contentFolder(folders: string | undefined): string | null {
  return folders === undefined ? null : (/(?:^|,)snippets=([^,]+)/.exec(folders)?.[1] ?? null);
}
