import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseBusAddress, systemBusAddress } from '../../src/platform/dbus/address.ts';

describe('D-Bus addresses', () => {
  it('finds the system bus where every client finds it', () => {
    assert.equal(systemBusAddress({}), 'unix:path=/run/dbus/system_bus_socket');
    assert.equal(systemBusAddress({ DBUS_SYSTEM_BUS_ADDRESS: '' }), 'unix:path=/run/dbus/system_bus_socket');
    assert.equal(systemBusAddress({ DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/x' }), 'unix:path=/x');
  });

  const good: [title: string, address: string, paths: string[]][] = [
    ['reads a path', 'unix:path=/run/bus', ['/run/bus']],
    ['ignores the guid', 'unix:path=/run/bus,guid=00ff', ['/run/bus']],
    ['reads percent escapes as UTF-8 bytes', 'unix:path=/tmp/a%2cb%3b%C3%A9', ['/tmp/a,b;é']],
    ['leaves out an abstract socket', 'unix:abstract=/tmp/x;unix:path=/a', ['/a']],
    ['keeps the order of a list', 'unix:path=/a;unix:path=/b;', ['/a', '/b']],
    ['leaves out transports it does not speak', 'tcp:host=localhost,port=1;unix:path=/b', ['/b']],
  ];
  for (const [title, address, paths] of good) {
    it(title, () => {
      assert.deepEqual(
        parseBusAddress(address).map((endpoint) => endpoint.path),
        paths,
      );
    });
  }

  const bad: [address: string, why: RegExp][] = [
    ['', /it is empty/],
    [';', /it is empty/],
    ['/run/bus', /no transport before a colon/],
    ['unix:/run/bus', /not key=value/],
    ['unix:path=/a%2', /two hexadecimal digits/],
    ['unix:path=/a%zz', /two hexadecimal digits/],
    ['unix:path=/a%00', /holds a NUL/],
    ['unix:tmpdir=/tmp', /has no path=/],
    ['unix:abstract=/tmp/x', /is an abstract socket, which Node\.js cannot reach/],
    ['unixexec:path=ssh', /transport "unixexec" is not supported/],
    ['tcp:host=a;nonce-tcp:host=b', /"tcp" is not supported; transport "nonce-tcp"/],
  ];
  for (const [address, why] of bad) {
    it(`refuses ${JSON.stringify(address)} and says why`, () => {
      assert.throws(() => parseBusAddress(address), { code: 'InvalidArgument', message: why });
    });
  }

  it('reads back any path that was escaped', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'binary' }), (text) => {
        fc.pre(!text.includes('\0') && Buffer.from(text).toString() === text);
        const escaped = [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
        assert.deepEqual(parseBusAddress(`unix:path=${escaped}`), [{ path: text }]);
      }),
    );
  });
});
