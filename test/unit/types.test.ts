/**
 * Types are tested by the compiler: each `@ts-expect-error` below fails `tsc` when its line compiles. What runs here
 * only proves that the parsers give what the types promise.
 */
import assert from 'node:assert/strict';
import type { ErrorCode } from '../../src/model/errors.ts';
import { errorTable } from '../../src/model/errors.ts';
import { guestNetdevName } from '../../src/model/guest.ts';
import {
  nicNameOf,
  parseBridgeName,
  parseNetdevName,
  parsePortName,
  parseVlanTag,
  parseVmid,
} from '../../src/model/names.ts';
import type { BridgeName, NetdevName, PortName, VlanTag, Vmid } from '../../src/model/names.ts';
import { guestPortName } from '../../src/model/naming.ts';
import type { WantedPort } from '../../src/model/port.ts';
import type { PortChange } from '../../src/ports/plan.ts';
import type { HandlerName, Verb } from '../../src/resources/table.ts';
import { rowOf, wantedOf } from '../support/ports-fixtures.ts';

describe('the types', () => {
  it('know names that were parsed from text that was not', () => {
    const bridge: BridgeName = parseBridgeName('ovsbr0');
    // @ts-expect-error a plain string is no bridge's name
    const text: BridgeName = 'ovsbr0';
    // @ts-expect-error a bridge's name is no port's
    const port: PortName = bridge;
    // @ts-expect-error a netdev's name is no bridge's
    const other: BridgeName = parseNetdevName('veth100i0');
    // A parsed name is still text for everybody who only prints it.
    const shown: string = parsePortName('vi100');
    assert.deepEqual([bridge, text, port, other, shown], ['ovsbr0', 'ovsbr0', 'ovsbr0', 'veth100i0', 'vi100']);
  });

  it('know numbers that were parsed from numbers that were not', () => {
    const vmid: Vmid = parseVmid(100);
    // @ts-expect-error a plain number is no vmid
    const number: Vmid = 100;
    // @ts-expect-error a vmid is no VLAN tag
    const tag: VlanTag = vmid;
    assert.deepEqual([vmid, number, tag, parseVlanTag(10)], [100, 100, 100, 10]);
  });

  it('let functions take only what was parsed', () => {
    assert.equal(guestPortName(parseVmid(100), nicNameOf(1)), 'vi100i1');
    // @ts-expect-error text has to be parsed first
    assert.equal(guestPortName(parseVmid(100), 'net1'), 'vi100i1');
    const netdev: NetdevName = guestNetdevName({ kind: 'lxc', vmid: parseVmid(100) }, 0, false);
    // @ts-expect-error there is no third kind of guest
    assert.equal(guestNetdevName({ kind: 'docker', vmid: parseVmid(100) }, 0, false), 'tap100i0');
    assert.equal(netdev, 'veth100i0');
  });

  it('keep what is planned from being changed', () => {
    const wanted: WantedPort = wantedOf(100);
    // @ts-expect-error a wanted port is read-only
    const rename = (): void => void (wanted.port = parsePortName('vi101'));
    assert.equal(typeof rename, 'function');
    // @ts-expect-error an attach has no row
    const change: PortChange = { kind: 'attach', wanted, row: rowOf('x') };
    // @ts-expect-error a kind of change that the transaction does not know
    const unknown: PortChange = { kind: 'rename', wanted };
    assert.deepEqual([change.kind, unknown.kind], ['attach', 'rename']);
  });

  it('name every handler, verb and error code', () => {
    const handler: HandlerName = 'ports.list';
    // @ts-expect-error the table has no such handler
    const missing: HandlerName = 'ports.steal';
    // @ts-expect-error pvesh has no such verb
    const verb: Verb = 'patch';
    // @ts-expect-error the table has no such code
    const code: ErrorCode = 'Teapot';
    assert.deepEqual([handler, missing, verb, code in errorTable], ['ports.list', 'ports.steal', 'patch', false]);
  });
});
