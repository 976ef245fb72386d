/** What the API client promises, on the fake server and on a real node alike. */
import assert from 'node:assert/strict';
import { nicNameOf, parseVmid } from '../../src/model/names.ts';
import type { NicName, Vmid } from '../../src/model/names.ts';
import type { ProxmoxClient } from '../../src/proxmox/api-client.ts';
import { controlGuest, listClusterGuests, readNics, writeNic } from '../../src/proxmox/cluster-guests.ts';
import type { GuestPlace } from '../../src/proxmox/cluster-guests.ts';
import { freeNic, newNic } from '../../src/proxmox/new-nic.ts';
import { parseNicOptions } from '../../src/proxmox/nic-options.ts';
import type { TaskClock } from '../../src/proxmox/tasks.ts';
import { setProperty } from '../../src/proxmox/property-string.ts';
import { refusedWith } from './refused.ts';

export interface SuiteServer {
  readonly client: ProxmoxClient;
  readonly clock: TaskClock;
}

/** The value of one nic as it will be after the next start; null when there is none. */
export async function readNic(client: ProxmoxClient, place: GuestPlace, nic: NicName): Promise<string | null> {
  return (await readNics(client, place)).values.get(nic) ?? null;
}

/** Writes what `edit` makes of it, with the digest of what it saw. */
export async function changeNic(
  client: ProxmoxClient,
  place: GuestPlace,
  nic: NicName,
  edit: (value: string | null) => string | null,
): Promise<string | null> {
  const { values, digest } = await readNics(client, place);
  const value = edit(values.get(nic) ?? null);
  await writeNic(client, place, { nic, value, digest });
  return value;
}

/** Of the clock that the server's side hands in. */
const taskDeadlineMs = 120_000;

/** `spare`: a guest that may be stopped, started and given another rate; null leaves those tests out. */
export function proxmoxSuite(title: string, spare: Vmid | null, connect: () => Promise<SuiteServer>): void {
  describe(title, () => {
    let server: SuiteServer;
    beforeEach(async () => {
      server = await connect();
    });
    const placeOf = async (vmid: Vmid): Promise<GuestPlace> => {
      const found = (await listClusterGuests(server.client)).find((guest) => guest.vmid === vmid);
      assert.ok(found !== undefined, `guest ${vmid} is not there`);
      return found;
    };

    it('lists guests by vmid, each on a node', async () => {
      const guests = await listClusterGuests(server.client);
      assert.deepEqual(
        guests.map(({ vmid }) => vmid),
        guests.map(({ vmid }) => vmid).sort((a, b) => a - b),
      );
      for (const { vmid, kind, node, status } of guests) {
        assert.equal(parseVmid(vmid), vmid);
        assert.ok(['lxc', 'qemu'].includes(kind));
        assert.ok(node !== '' && status !== '');
      }
    });

    it('says that a guest which does not exist is not found', async () => {
      const [{ node } = { node: 'localhost' }] = await listClusterGuests(server.client);
      const place: GuestPlace = { node, kind: 'lxc', vmid: parseVmid(999_999_999) };
      await assert.rejects(readNic(server.client, place, nicNameOf(0)), refusedWith('NotFound', 'does not exist'));
    });

    it('sends no path that leads elsewhere', async () => {
      for (const node of ['..', '.', '', 'a/b', 'a?x=1', 'a#b', 'a%2Fb', 'a b', 'a\n', 'a\\b', '\0']) {
        await assert.rejects(
          readNic(server.client, { node, kind: 'lxc', vmid: parseVmid(100) }, nicNameOf(0)),
          refusedWith('InvalidArgument', 'cannot stand in a path'),
          JSON.stringify(node),
        );
      }
    });

    if (spare === null) return;

    it('changes a nic, and puts it back', async () => {
      const place = await placeOf(spare);
      const before = await readNic(server.client, place, nicNameOf(0));
      assert.ok(before !== null);
      const changed = await changeNic(server.client, place, nicNameOf(0), (value) =>
        setProperty(value ?? '', 'rate', '7'),
      );
      assert.match(changed ?? '', /(?:^|,)rate=7(?:,|$)/);
      assert.match((await readNic(server.client, place, nicNameOf(0))) ?? '', /(?:^|,)rate=7(?:,|$)/);
      await changeNic(server.client, place, nicNameOf(0), () => before);
      assert.equal(await readNic(server.client, place, nicNameOf(0)), before);
    });

    it('adds a nic, and takes it away', async () => {
      const place = await placeOf(spare);
      const { values } = await readNics(server.client, place);
      const nic = freeNic(values) ?? assert.fail('the spare guest has every nic');
      const { bridge } = parseNicOptions(place.kind, values.get(nicNameOf(0)) ?? '');
      const added = await changeNic(server.client, place, nic, () => newNic(place.kind, nic, `bridge=${bridge ?? ''}`));
      const options = parseNicOptions(place.kind, (await readNic(server.client, place, nic)) ?? '');
      const { name, model } = parseNicOptions(place.kind, added ?? '');
      assert.deepEqual([options.bridge, options.name, options.model], [bridge, name, model]);
      await changeNic(server.client, place, nic, () => null);
      assert.deepEqual((await readNics(server.client, place)).values, values);
    });

    it('leaves a nic alone when the guest is another than was read', async () => {
      const place = await placeOf(spare);
      const value = await readNic(server.client, place, nicNameOf(0));
      await assert.rejects(
        writeNic(server.client, place, { nic: nicNameOf(0), value: 'bridge=other', digest: '0'.repeat(40) }),
        refusedWith('Conflict', 'detected modified configuration'),
      );
      assert.equal(await readNic(server.client, place, nicNameOf(0)), value);
    });

    it('stops and starts a guest, and waits until it is so', async () => {
      const place = await placeOf(spare);
      const lines: string[] = [];
      const options = { clock: server.clock, deadlineMs: taskDeadlineMs, onLine: (line: string) => lines.push(line) };
      const state = async (): Promise<string | undefined> =>
        (await listClusterGuests(server.client)).find(({ vmid }) => vmid === place.vmid)?.status;
      await controlGuest(server.client, place, 'stop', options);
      const { task } = await controlGuest(server.client, place, 'start', options);
      assert.deepEqual([task.node, task.id], [place.node, String(place.vmid)]);
      assert.equal(lines.at(-1), 'TASK OK');
      assert.equal(await state(), 'running');
    });
  });
}
