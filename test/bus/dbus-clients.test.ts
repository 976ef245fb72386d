import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { busName, objectPath } from '../../src/api/dbus/port-agent-interface.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { runTool, runToolOk } from '../support/run-tool.ts';
import type { TestService } from '../support/test-service.ts';
import { startTestService } from '../support/test-service.ts';

const golden = new URL('./golden/dev.ovs.PortAgent1.xml', import.meta.url);

describe('D-Bus clients that people use', () => {
  let bus: PrivateBus;
  let service: TestService;

  before(async () => {
    bus = await PrivateBus.start();
    service = await startTestService(bus.address);
  });
  after(async () => {
    service.connection.close();
    await bus.stop();
  });

  describe('busctl', () => {
    const busctl = (...args: string[]) => runToolOk('systemd', 'busctl', [`--address=${bus.address}`, ...args]);
    const call = (...args: string[]) => busctl('call', busName, objectPath, busName, ...args);

    it('calls ping and list_ports', async () => {
      assert.equal(await call('ping'), 's "pong"');
      assert.equal(await call('list_ports'), 'as 2 "vi100" "vi101"');
    });

    it('calls a method with three arguments', async () => {
      const answer = await call('create_container_interface', 'ssu', 'veth100i0', 'web', '100');
      assert.equal(answer, 's "create_container_interface(veth100i0,web,100)"');
    });

    it('introspects, with every type, and reads the properties', async () => {
      const lines = (await busctl('introspect', '--no-pager', busName, objectPath)).split('\n');
      const row = (name: string) =>
        lines
          .find((line) => line.trim().split(/\s+/)[0] === name)
          ?.trim()
          .split(/\s+/);
      assert.deepEqual(row('.create_container_interface'), ['.create_container_interface', 'method', 'ssu', 's', '-']);
      assert.deepEqual(row('.get_blocks_by_height'), ['.get_blocks_by_height', 'method', 'tt', 's', '-']);
      assert.deepEqual(row('.PortChanged'), ['.PortChanged', 'signal', 'sas', '-', '-']);
      assert.deepEqual(row('.Version'), ['.Version', 'property', 's', '"0.0.0-test"', 'const']);
      assert.deepEqual(row('.Ports'), ['.Ports', 'property', 'as', '2', '"vi100"', '"vi101"', '-']);
    });

    it('finds the object in the tree', async () => {
      assert.deepEqual((await busctl('tree', '--list', busName)).split('\n').filter(Boolean), [
        '/',
        '/dev',
        '/dev/ovs',
        objectPath,
      ]);
    });

    it('is refused a write to a property', async () => {
      const target = [busName, objectPath, busName, 'Version', 's', 'changed'];
      const result = await runTool('systemd', 'busctl', [`--address=${bus.address}`, 'set-property', ...target]);
      assert.notEqual(result.exitCode, 0);
      assert.match(result.stderr, /read-only/);
      assert.equal(await busctl('get-property', busName, objectPath, busName, 'Version'), 's "0.0.0-test"');
    });
  });

  describe('gdbus', () => {
    const gdbus = (...args: string[]) => runToolOk('libglib2.0-bin', 'gdbus', args);
    const where = () => ['--address', bus.address, '--dest', busName, '--object-path', objectPath];

    it('calls methods', async () => {
      const call = (method: string, ...args: string[]) =>
        gdbus('call', ...where(), '--method', `${busName}.${method}`, ...args);
      assert.equal(await call('ping'), "('pong',)");
      assert.equal(
        await call('create_container_interface', 'veth100i0', 'web', '100'),
        "('create_container_interface(veth100i0,web,100)',)",
      );
      assert.equal(await call('get_blocks_by_height', '1', '2'), "('get_blocks_by_height(1,2)',)");
    });

    it('introspects', async () => {
      const text = await gdbus('introspect', ...where());
      assert.match(
        text,
        /create_container_interface\(in {2}s netdev,\s+in {2}s container,\s+in {2}u vmid,\s+out s port\)/,
      );
      assert.match(text, /readonly as Ports = \['vi100', 'vi101'\];/);
      assert.match(text, /BlockAppended\(t height,\s+s category,\s+s hash\)/);
    });
  });

  describe('dbus-send', () => {
    const send = (...args: string[]) =>
      runToolOk('dbus-bin', 'dbus-send', [
        `--bus=${bus.address}`,
        '--print-reply=literal',
        `--dest=${busName}`,
        ...args,
      ]);

    it('calls methods', async () => {
      assert.equal((await send(objectPath, `${busName}.ping`)).trim(), 'pong');
      const args = ['string:veth100i0', 'string:web', 'uint32:100'];
      assert.equal(
        (await send(objectPath, `${busName}.create_container_interface`, ...args)).trim(),
        'create_container_interface(veth100i0,web,100)',
      );
    });

    it('introspects: the XML is the golden file', async () => {
      const xml = await send(objectPath, 'org.freedesktop.DBus.Introspectable.Introspect');
      assert.equal(xml.trim(), (await readFile(golden, 'utf8')).trim());
    });

    it('introspects the parents, which lead to the object', async () => {
      for (const [path, child] of [
        ['/', 'dev'],
        ['/dev', 'ovs'],
        ['/dev/ovs', 'PortAgent1'],
      ] as const) {
        const xml = await send(path, 'org.freedesktop.DBus.Introspectable.Introspect');
        assert.ok(xml.includes(`<node name="${child}"/>`), path);
      }
    });
  });

  describe('python-dbus', () => {
    const script = `
import json, sys
try:
    import dbus
except ImportError as error:
    sys.exit("install the Debian package python3-dbus: %s" % error)
bus = dbus.bus.BusConnection(sys.argv[1])
proxy = bus.get_object("${busName}", "${objectPath}")
agent = dbus.Interface(proxy, "${busName}")
# Without a signature given: python-dbus reads it from the introspection data.
print(json.dumps({
    "ping": agent.ping(),
    "ports": agent.list_ports(),
    "created": agent.create_container_interface("veth100i0", "web", 100),
    "blocks": agent.get_blocks_by_height(1, 2),
    "version": proxy.Get("${busName}", "Version", dbus_interface="org.freedesktop.DBus.Properties"),
}))
try:
    agent.no_such_method()
except dbus.DBusException as error:
    print(error.get_dbus_name())
`;

    it('introspects and calls methods', async () => {
      const output = await runToolOk('python3', '/usr/bin/python3', ['-c', script, bus.address]);
      const [results = '', errorName] = output.split('\n');
      assert.deepEqual(JSON.parse(results), {
        ping: 'pong',
        ports: ['vi100', 'vi101'],
        created: 'create_container_interface(veth100i0,web,100)',
        blocks: 'get_blocks_by_height(1,2)',
        version: '0.0.0-test',
      });
      assert.equal(errorName, 'org.freedesktop.DBus.Error.UnknownMethod');
    });
  });
});
