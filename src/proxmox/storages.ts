/** `/etc/pve/storage.cfg`: where hookscripts may lie. */
import { parseSectionConfig } from './section-config.ts';

/** A storage that is a folder on the nodes that have it. */
export interface FolderStorage {
  /** The word before the colon in `local:snippets/NAME`. */
  readonly storage: string;
  /** Folder that holds the snippets themselves. */
  readonly folder: string;
  /** Nodes that have this storage; null for all. */
  readonly nodes: readonly string[] | null;
  /** Whether other nodes see the same files. */
  readonly shared: boolean;
  /** Content types, in the order of the file. */
  readonly content: readonly string[];
  /** In use, and snippets are among its content. */
  readonly allowsSnippets: boolean;
}

const networkTypes = ['nfs', 'cifs', 'cephfs', 'glusterfs'];
const localPath = '/var/lib/vz';
/** Of the storage `local` where the file does not have it. */
const localContent = ['backup', 'images', 'iso', 'rootdir', 'snippets', 'vztmpl'];

/** In the order of the file. `local` is always there, on every node: Proxmox VE adds it, and takes no other for it. */
export function parseFolderStorages(text: string): FolderStorage[] {
  const storages = parseSectionConfig(text).flatMap(({ type, id, properties }): FolderStorage[] => {
    // A network storage without a path is mounted under its name.
    const mounted = networkTypes.includes(type)
      ? `/mnt/pve/${id}`
      : id === 'local' && type === 'dir'
        ? localPath
        : null;
    const path = properties.get('path') ?? mounted;
    if (path === null || (id === 'local' && (type !== 'dir' || path !== localPath))) return [];
    const content = wordsOf(properties.get('content') ?? '');
    const nodes = properties.get('nodes');
    return [
      {
        storage: id,
        folder: `${path}/${contentFolder(properties.get('content-dirs')) ?? 'snippets'}`,
        nodes: nodes === undefined || id === 'local' ? null : wordsOf(nodes),
        shared: networkTypes.includes(type) || properties.get('shared') === '1',
        content,
        allowsSnippets: content.includes('snippets') && !properties.has('disable'),
      },
    ];
  });
  if (storages.some(({ storage }) => storage === 'local')) return storages;
  const local = { storage: 'local', folder: `${localPath}/snippets`, nodes: null, shared: false };
  return [{ ...local, content: localContent, allowsSnippets: true }, ...storages];
}

function wordsOf(list: string): string[] {
  return list.split(/[;,\s]+/).filter((word) => word !== '');
}

/** Of `content-dirs snippets=custom/folder,iso=...`. */
function contentFolder(folders: string | undefined): string | null {
  return folders === undefined ? null : (/(?:^|,)snippets=([^,]+)/.exec(folders)?.[1] ?? null);
}
