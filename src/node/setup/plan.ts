/** Which steps a node needs, from what `doctor` observed. Pure. */
import { addCondone, readBridgeStanzas } from '../../interfaces/bridge-stanza.ts';
import type { Vmid } from '../../model/names.ts';
import type { NodeFacts } from '../doctor/facts.ts';
import type { FolderStorage } from '../../proxmox/storages.ts';
import type { ApiRights, Step } from './step.ts';

export interface SetupRequest {
  /** Bridges to make when they are missing, or have no stanza. */
  readonly bridges: readonly string[];
  /** Guests that shall have our hookscript; `all` but templates. */
  readonly guests: readonly Vmid[] | 'all';
  /** Makes a user, role and token of the API, with these rights. */
  readonly api: ApiRights | null;
}

export interface Places {
  readonly configFile: string;
  readonly tokenFile: string;
  /** Where what the older tool left is kept. */
  readonly asideFolder: string;
  readonly hasIfup: boolean;
}

const unitName = 'ovs-port-agent.service';

/** In the order in which they are done: what fights goes first, what guests name comes last. */
export function planSetup(
  facts: NodeFacts,
  request: SetupRequest,
  places: Places,
  /** The storage `local`, when no storage of this node allows snippets. */
  local: FolderStorage | null,
): Step[] {
  return [
    ...facts.leftovers.map((path): Step => {
      const unit = path.endsWith('.service') ? path.slice(path.lastIndexOf('/') + 1) : null;
      return { kind: 'move-aside', path, to: `${places.asideFolder}${path}`, unit };
    }),
    ...planBridges(facts, request, places),
    ...planCondone(facts, request),
    ...facts.shipped
      .filter(({ state }) => state === 'missing' || state === 'altered')
      .map(({ path, source }): Step => ({ kind: 'file', path, source, before: null })),
    ...planSnippets(facts, local),
    ...planEnable(facts),
    ...(request.api === null ? [] : [planApi(facts, places, request.api)]),
    ...planHookscripts(facts, request),
  ];
}

function planBridges(facts: NodeFacts, { bridges }: SetupRequest, { hasIfup }: Places): Step[] {
  const { text, path } = facts.interfaces;
  const stanzas = new Set(readBridgeStanzas(text ?? '').map(({ name }) => name));
  const present = new Set(facts.switch.bridges.map(({ name }) => name));
  return [...new Set(bridges)].flatMap((bridge): Step[] => {
    const isMissing = facts.switch.problem === null && !present.has(bridge);
    const needsStanza = text !== null && !stanzas.has(bridge);
    if (!isMissing && !needsStanza) return [];
    return [{ kind: 'bridge', bridge, path: needsStanza ? path : null, isMissing, hasIfup }];
  });
}

/** Of managed bridges. A stanza that is made here has the line already. */
function planCondone({ interfaces: { text, path }, config: { config } }: NodeFacts, request: SetupRequest): Step[] {
  if (text === null) return [];
  const managed = new Set<string>([...config.bridges, ...request.bridges]);
  return readBridgeStanzas(text)
    .filter(({ name }) => managed.has(name) && addCondone(text, name) !== text)
    .map(({ name, condone }): Step => ({ kind: 'condone', bridge: name, path, before: condone }));
}

function planSnippets({ proxmox }: NodeFacts, local: FolderStorage | null): Step[] {
  if (proxmox === null) return [];
  const steps: Step[] = [];
  const { snippet } = proxmox;
  if (snippet.kind === 'place') {
    const isPut = snippet.state === 'missing' || snippet.state === 'outdated';
    if (isPut) steps.push({ kind: 'snippet', path: snippet.path, wasMissing: snippet.state === 'missing' });
  } else if (local !== null) {
    steps.push({ kind: 'allow-snippets', storage: local.storage, content: local.content });
    steps.push({ kind: 'snippet', path: `${local.folder}/ovs-port-agent`, wasMissing: true });
  }
  const paths = new Set(proxmox.missingForOthers.map(({ path }) => path));
  for (const path of paths) {
    if (!steps.some((step) => step.kind === 'snippet' && step.path === path)) {
      steps.push({ kind: 'snippet', path, wasMissing: true });
    }
  }
  return steps;
}

/** One that is masked was put to rest by a person on purpose. */
function planEnable({ service: { unit } }: NodeFacts): Step[] {
  if (unit?.loadState !== 'loaded' || unit.unitFileState !== 'disabled') return [];
  return [{ kind: 'enable', unit: unitName, wasActive: unit.activeState === 'active' }];
}

function planApi({ api, node }: NodeFacts, { tokenFile, configFile }: Places, rights: ApiRights): Step {
  return {
    kind: 'api',
    tokenFile: api?.tokenFile ?? tokenFile,
    tokenId: node,
    configFile: api === null ? configFile : null,
    rights,
  };
}

function planHookscripts({ proxmox }: NodeFacts, { guests }: SetupRequest): Step[] {
  const hooks = proxmox?.hooks ?? [];
  const isOurs = (vmid: Vmid): boolean =>
    hooks.some((hook) => hook.vmid === vmid && (hook.state === 'attached' || hook.state === 'chained'));
  const wanted = guests === 'all' ? hooks.filter(({ isTemplate }) => !isTemplate).map(({ vmid }) => vmid) : guests;
  return [...new Set(wanted)].filter((vmid) => !isOurs(vmid)).map((vmid) => ({ kind: 'hookscript', vmid }));
}
