/** What must hold on a simulated host: after each transaction of the agent, and once everything has come to rest. */
import { appendLeaf, emptyRange, treeHead } from '../../src/ledger/tlog/compact-range.ts';
import type { CompactRange } from '../../src/ledger/tlog/compact-range.ts';
import { leafHash } from '../../src/ledger/tlog/hash.ts';
import { parseBlock } from '../../src/ledger/block.ts';
import type { Block } from '../../src/ledger/block.ts';
import { firewallBridgeName, guestNetdevName, parseGuestNetdev } from '../../src/model/guest.ts';
import { nicIndex } from '../../src/model/names.ts';
import { guestPortName } from '../../src/model/naming.ts';
import { ownerMark } from '../../src/ports/marks.ts';
import { insertedPortUuid } from '../../src/ports/transaction.ts';
import type { Operation } from '../../src/ovsdb/wire.ts';
import { verifyBytes } from '../support/ledger-fixtures.ts';
import type { Contents, DatabaseRow } from '../support/memory-database.ts';
import type { SimDisk } from './disk.ts';
import { managedBridges } from './host.ts';
import type { SimHost } from './host.ts';
import type { Promises } from './promises.ts';
import { mapOf, numberOf, optionalOf, textOf, uuidsOf } from './switch.ts';

/** The longest that a pass may take from looking at a device to plugging it: ledger and switch have deadlines of seconds. */
const oldestLookMs = 30_000;

export interface CheckOptions {
  readonly host: SimHost;
  readonly disk: SimDisk;
  readonly promises: Promises;
  readonly drift: 'repair' | 'report';
  readonly nowMs: () => number;
  readonly violation: (text: string) => void;
}

/** `","hash":"`, the hash, `"}` and the end of the line. */
const lastLineBytes = 70;

interface Parsed {
  bytes: number;
  lastHash: string;
  readonly blocks: Block[];
  /** The tree at each size. */
  readonly ranges: CompactRange[];
}

const nothingParsed = (): Parsed => ({ bytes: 0, lastHash: '', blocks: [], ranges: [emptyRange] });

type Rows = ReadonlyMap<string, DatabaseRow>;

export class Checks {
  /** When the agent last saw that nothing holds a device. */
  readonly seenFreeMs = new Map<string, number>();
  /** Transactions of the agent that changed the switch. */
  committed = 0;
  lastCommitMs = 0;
  readonly #options: CheckOptions;
  /** Names of transactions that the switch has carried out, as blocks give them. */
  readonly #landed = new Set<string>();
  /** Of those, without blocks that the agent knew of: the rows have other UUIDs than such blocks would give. */
  readonly #landedWithoutBlocks = new Set<string>();
  #parsed = nothingParsed();

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  /** Every whole block on the disk. */
  blocks(): readonly Block[] {
    const { ledger } = this.#options.disk;
    const { bytes, lastHash } = this.#parsed;
    // Cut back since, and grown again.
    if (bytes > 0 && !ledger.subarray(0, bytes).includes(lastHash, bytes - lastLineBytes))
      this.#parsed = nothingParsed();
    for (;;) {
      const end = ledger.indexOf(0x0a, this.#parsed.bytes);
      if (end < 0) return this.#parsed.blocks;
      const line = ledger.subarray(this.#parsed.bytes, end);
      const block = parseBlock(line);
      this.#parsed.ranges.push(appendLeaf(this.#parsed.ranges.at(-1) ?? emptyRange, leafHash(line)));
      this.#parsed.blocks.push(block);
      this.#parsed.bytes = end + 1;
      this.#parsed.lastHash = block.hash;
    }
  }

  transaction(operations: readonly Operation[], before: Contents, after: Contents): void {
    if (before === after) return;
    this.committed++;
    this.lastCommitMs = this.#options.nowMs();
    this.#checkForeign(before, after);
    this.#checkHeld(before, after);
    this.#checkRecorded(operations, before, after);
  }

  /** Nothing of others was changed: only rows of ours, of guests on managed bridges, and the references to those. */
  #checkForeign(before: Contents, after: Contents): void {
    for (const [table, rows] of before) {
      const now = after.get(table) ?? new Map<string, DatabaseRow>();
      for (const [uuid, row] of rows) {
        const next = now.get(uuid);
        if (next === row) continue;
        const changed = next === undefined ? null : [...row.keys()].filter((name) => next.get(name) !== row.get(name));
        const isFine =
          table === 'Open_vSwitch'
            ? changed?.join() === 'next_cfg'
            : table === 'Bridge'
              ? changed?.join() === 'ports' && managedBridges.some((name) => name === textOf(row, 'name'))
              : table === 'Port'
                ? this.#mayChange(uuid, before)
                : table === 'Interface' && this.#mayChange(portOf(uuid, before), before);
        if (!isFine) {
          const what = next === undefined ? 'removed' : `changed ${changed?.join() ?? ''} of`;
          this.#options.violation(`the agent ${what} ${table} ${textOf(row, 'name')}, which is not its business`);
        }
      }
    }
  }

  #mayChange(portUuid: string | null, contents: Contents): boolean {
    const row = portUuid === null ? undefined : contents.get('Port')?.get(portUuid);
    if (row === undefined || portUuid === null) return false;
    const isManaged = managedBridges.some((bridge) => bridgeOf(portUuid, contents) === bridge);
    if (isManaged && this.#options.host.ovs.madeBy.get(portUuid) === 'agent') return true;
    return isManaged && (isMarked(row) || isGuestRow(row) || this.#isBound(row, contents));
  }

  /** The row that a binding makes, which somebody else made again. */
  #isBound(row: DatabaseRow, contents: Contents): boolean {
    return this.bindings().some(
      ({ port, netdev }) => port === textOf(row, 'name') && netdev === netdevOf(row, contents),
    );
  }

  bindings(): { port: string; netdev: string; bridge: string; vmid: number | null }[] {
    const saved = this.#options.disk.bindings as { bindings: ReturnType<Checks['bindings']> } | null;
    return saved?.bindings ?? [];
  }

  /** A device with a master is never attached: the firewall would be bypassed. */
  #checkHeld(before: Contents, after: Contents): void {
    for (const row of inserted('Interface', before, after).values()) {
      const name = textOf(row, 'name');
      const master = this.#options.host.masterOf(name);
      if (master === null || master === 'ovs-system' || textOf(row, 'type') === 'internal') continue;
      if (this.#options.nowMs() - (this.seenFreeMs.get(name) ?? 0) < oldestLookMs) continue;
      this.#options.violation(`the agent attached ${name}, which ${master} holds`);
    }
  }

  /** Each change has its block, durable before the switch had the change. */
  #checkRecorded(operations: readonly Operation[], before: Contents, after: Contents): void {
    const comment = operations.find((operation) => operation.op === 'comment')?.comment ?? '';
    const [, txn = '', , size, root] = /^ovs-port-agent txn (\S+)( ledger (\d+) (\S+))?$/.exec(comment) ?? [];
    if (txn === '') this.#options.violation(`a transaction without a name: ${comment}`);
    this.#landed.add(txn);
    if (size === undefined) this.#landedWithoutBlocks.add(txn);
    if (size === undefined) {
      const now = after.get('Port');
      for (const [uuid, row] of before.get('Port') ?? []) if (now?.get(uuid) !== row) this.unrecorded.add(uuid);
      if (this.#options.disk.fault === null && this.#options.nowMs() - this.lastFaultMs > oldestLookMs)
        this.#options.violation(`${txn} has no blocks although the disk takes them`);
      return;
    }
    const blocks = this.blocks().filter(({ data, height }) => data['txn'] === txn && height < Number(size));
    const head = this.#parsed.ranges[Number(size)];
    if (head === undefined || treeHead(head).sha256_root_hash.toString('base64') !== root)
      this.#options.violation(`${txn} names a tree of ${size} blocks that is not on the disk`);
    const made = new Set(blocks.map((block) => insertedPortUuid(block.hash)));
    for (const block of blocks) {
      if (!['attach', 'replace'].includes(block.action) || after.get('Port')?.has(insertedPortUuid(block.hash)))
        continue;
      this.#options.violation(`${txn} says that it made a Port that is not there`);
    }
    const named = new Set(blocks.map(({ data }) => data['row']));
    for (const uuid of inserted('Port', before, after).keys()) {
      if (!made.has(uuid)) this.#options.violation(`${txn} inserted Port ${uuid} without a block`);
    }
    const now = after.get('Port') ?? new Map<string, DatabaseRow>();
    for (const [uuid, row] of before.get('Port') ?? []) {
      if (now.get(uuid) === row || named.has(uuid)) continue;
      this.#options.violation(`${txn} changed Port ${textOf(row, 'name')} without a block`);
    }
  }

  /** Port rows that the agent changed or removed without a block, because the disk took none. */
  readonly unrecorded = new Set<string>();
  /** When the disk last began to work again. */
  lastFaultMs = Number.NEGATIVE_INFINITY;

  /** Everything has come to rest: ports as wanted, nothing left behind, ledger and switch of one mind. */
  async atRest(): Promise<void> {
    this.#checkPorts();
    this.#checkBindings();
    this.#checkStale();
    this.#checkListing();
    await this.#checkLedger();
  }

  #checkPorts(): void {
    const { host, violation, drift } = this.#options;
    const ports = host.ovs.contents.get('Port') ?? new Map<string, DatabaseRow>();
    const isForeignName = (name: string): boolean =>
      [...ports].some(([, row]) => textOf(row, 'name') === name && !isMarked(row) && !isGuestRow(row));
    for (const guest of host.configurations.values()) {
      for (const nic of guest.nics) {
        const index = nicIndex(nic.nic);
        const own = guestNetdevName(guest, index, false);
        if (nic.bridge === null || nic.linkDown || !host.devices.has(own)) continue;
        if (!managedBridges.some((bridge) => bridge === nic.bridge)) continue;
        const netdev = guestNetdevName(guest, index, nic.firewall);
        const firewallBridge = nic.firewall ? firewallBridgeName(guest.vmid, index) : null;
        const master = host.masterOf(netdev);
        if (master !== null && master !== 'ovs-system' && master !== firewallBridge) continue;
        const port = guestPortName(guest.vmid, nic.nic);
        const holders = [...ports].filter(([, row]) => netdevsOf(row, host.ovs.contents).includes(netdev));
        if (holders.length > 1) violation(`${netdev} is on the switch ${holders.length} times`);
        const [holder] = holders;
        // Its name may also have been given to a device that was handed over.
        const isGiven = this.bindings().some((binding) => binding.port === port && binding.netdev !== netdev);
        const isBlocked =
          isGiven ||
          isForeignName(port) ||
          isForeignName(netdev) ||
          (holder !== undefined && textOf(holder[1], 'name') !== netdev);
        if (isBlocked) continue;
        if (holder === undefined) {
          violation(`${port} (${netdev}) is not on the switch`);
          continue;
        }
        const [uuid, row] = holder;
        if (host.ovs.bridgeOf(uuid) !== nic.bridge) continue;
        const ids = mapOf(row, 'external_ids');
        if (!isMarked(row) || ids.get('port-name') !== port || ids.get('vm-id') !== String(guest.vmid)) {
          violation(`${port} (${netdev}) is not marked: ${JSON.stringify([...ids])}`);
        }
        if (ids.has('fields') && drift === 'repair') {
          const settings = [numberOf(row, 'tag'), uuidsOf(row, 'trunks').map(Number), optionalOf(row, 'vlan_mode')];
          const mode = nic.tag !== null && nic.trunks.length > 0 ? 'native-untagged' : null;
          const wanted = [nic.tag, [...nic.trunks].sort((a, b) => a - b), mode];
          if (JSON.stringify(settings) !== JSON.stringify(wanted))
            violation(`${port} has ${JSON.stringify(settings)}, wanted ${JSON.stringify(wanted)}`);
        }
        if (!(host.devices.get(netdev)?.altnames.includes(port) ?? false) && !host.devices.has(port))
          violation(`${netdev} does not answer to ${port}`);
        if (firewallBridge !== null && master !== firewallBridge)
          violation(`${netdev} is outside its firewall bridge: ${String(master)}`);
      }
    }
  }

  #checkBindings(): void {
    const { host, promises, violation } = this.#options;
    const { contents } = host.ovs;
    for (const [netdev, port] of promises.all()) {
      const isKept = this.bindings().some((binding) => binding.port === port && binding.netdev === netdev);
      if (!isKept) violation(`${netdev}, handed over as ${port}, is forgotten`);
    }
    for (const { port, netdev, bridge } of this.bindings()) {
      const master = host.masterOf(netdev);
      if (!host.devices.has(netdev)) continue;
      const rows = [...(contents.get('Port') ?? [])];
      const holder = rows.find(([, row]) => netdevsOf(row, contents).includes(netdev));
      const isTaken = rows.some(([, row]) => textOf(row, 'name') === port && netdevOf(row, contents) !== netdev);
      if (holder === undefined) {
        if (!isTaken && (master === null || master === 'ovs-system')) violation(`${netdev}, handed over as ${port}, is not on the switch`); // prettier-ignore
      } else if (
        textOf(holder[1], 'name') === port &&
        host.ovs.bridgeOf(holder[0]) === bridge &&
        !isMarked(holder[1])
      ) {
        violation(`${netdev}, handed over as ${port}, is not marked`);
      }
    }
  }

  #checkStale(): void {
    const { host, violation } = this.#options;
    const { contents } = host.ovs;
    for (const [uuid, row] of contents.get('Port') ?? []) {
      if (!managedBridges.some((bridge) => bridge === host.ovs.bridgeOf(uuid))) continue;
      if (!isMarked(row) && !isGuestRow(row)) continue;
      const netdev = netdevOf(row, contents);
      const guest = parseGuestNetdev(netdev);
      const names =
        guest?.kind === 'fwln' ? [`veth${guest.vmid}i${guest.index}`, `tap${guest.vmid}i${guest.index}`] : [netdev];
      if (!names.some((name) => host.devices.has(name))) violation(`${textOf(row, 'name')} is stale`);
    }
  }

  #checkListing(): void {
    const { host, disk, violation } = this.#options;
    const listed = [...disk.interfaces.matchAll(/^iface (vi\S+) /gm)].map(([, name = '']) => name).sort();
    const ours = [...(host.ovs.contents.get('Port') ?? [])].flatMap(([uuid, row]) =>
      isMarked(row) && managedBridges.some((bridge) => bridge === host.ovs.bridgeOf(uuid))
        ? [mapOf(row, 'external_ids').get('port-name') ?? '']
        : [],
    );
    if (listed.join() !== ours.sort().join()) violation(`the managed block lists ${listed.join()}, not ${ours.join()}`);
  }

  async #checkLedger(): Promise<void> {
    const { disk, violation, host } = this.#options;
    const report = await verifyBytes(disk.ledger);
    if (!report.valid) violation(`the ledger does not verify: ${report.firstBad?.reason ?? ''}`);
    const outcomes = new Map<number, string>();
    for (const { action, data, metadata } of this.blocks()) {
      if (metadata['plugin'] === 'ports' && (action === 'failed' || action === 'abandoned'))
        outcomes.set(Number(data['height']), action);
    }
    for (const block of this.blocks()) {
      const txn = block.data['txn'];
      if (typeof txn !== 'string') continue;
      const [isLanded, outcome] = [this.#landed.has(txn), outcomes.get(block.height)];
      const what = `block ${block.height} (${block.action} ${block.data['port'] as string}, ${txn})`;
      const isMaking = ['attach', 'replace'].includes(block.action);
      const row = isMaking ? insertedPortUuid(block.hash) : (block.data['row'] as string);
      // Who looks for what became of a change sees what others have done since, too.
      const isTouched =
        host.ovs.touchedByOthers.has(row) || this.unrecorded.has(row) || this.#landedWithoutBlocks.has(txn);
      if (!isLanded && outcome === undefined && !(block.action === 'detach' && isTouched))
        violation(`${what} says what never happened`);
      // Only what is still as it was made proves that it was.
      if (isLanded && outcome !== undefined && !isTouched && block.action !== 'detach')
        violation(`${what} is ${outcome}, and was carried out`);
    }
  }
}

function inserted(table: string, before: Contents, after: Contents): Map<string, DatabaseRow> {
  return new Map([...(after.get(table) ?? [])].filter(([uuid]) => before.get(table)?.has(uuid) !== true));
}

function portOf(interfaceUuid: string, contents: Contents): string | null {
  const ports: Rows = contents.get('Port') ?? new Map<string, DatabaseRow>();
  return [...ports].find(([, row]) => uuidsOf(row, 'interfaces').includes(interfaceUuid))?.[0] ?? null;
}

function bridgeOf(portUuid: string, contents: Contents): string | null {
  const bridges: Rows = contents.get('Bridge') ?? new Map<string, DatabaseRow>();
  const found = [...bridges.values()].find((row) => uuidsOf(row, 'ports').includes(portUuid));
  return found === undefined ? null : textOf(found, 'name');
}

function netdevsOf(row: DatabaseRow, contents: Contents): string[] {
  return uuidsOf(row, 'interfaces').map((uuid) => {
    const found = contents.get('Interface')?.get(uuid);
    return found === undefined ? '' : textOf(found, 'name');
  });
}

function netdevOf(row: DatabaseRow, contents: Contents): string {
  return netdevsOf(row, contents)[0] ?? '';
}

function isMarked(row: DatabaseRow): boolean {
  return mapOf(row, 'external_ids').get('owner') === ownerMark;
}

function isGuestRow(row: DatabaseRow): boolean {
  return parseGuestNetdev(textOf(row, 'name')) !== null;
}
