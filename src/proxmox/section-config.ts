/**
 * Proxmox VE's section files (`storage.cfg`, `ha/resources.cfg`): `type: id` begins a section, indented `key value` lines
 * fill it, an empty line ends it. Read only; lines of another shape are passed over, as Proxmox VE passes them over.
 */
export interface ConfigSection {
  readonly type: string;
  readonly id: string;
  readonly properties: ReadonlyMap<string, string>;
}

/** Of an id that stands twice the first counts, as in Proxmox VE. */
export function parseSectionConfig(text: string): ConfigSection[] {
  const sections = new Map<string, ConfigSection>();
  let properties: Map<string, string> | null = null;
  for (const line of text.split('\n')) {
    const content = line.trim();
    if (content === '') properties = null;
    else if (content.startsWith('#')) continue;
    else if (properties === null) {
      const [, type, id] = /^([a-z][a-z0-9_-]*):[ \t]*(\S+)$/i.exec(line.trimEnd()) ?? [];
      if (type === undefined || id === undefined) continue;
      properties = new Map();
      const key = `${type}:${id}`;
      if (!sections.has(key)) sections.set(key, { type, id, properties });
    } else {
      const [key = ''] = content.split(/[ \t]/, 1);
      properties.set(key, content.slice(key.length).trim());
    }
  }
  return [...sections.values()];
}
