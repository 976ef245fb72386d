import assert from 'node:assert/strict';
import fc from 'fast-check';
import { handlers } from '../../src/api/handlers.ts';
import { childrenOf, findResource, normalisePath, prepareCall } from '../../src/resources/lookup.ts';
import { checkParameters, ParameterError } from '../../src/resources/schema.ts';
import type { ParameterSpec } from '../../src/resources/schema.ts';
import { resourceTable, verbs } from '../../src/resources/table.ts';
import type { ResourceSpec } from '../../src/resources/table.ts';
import { shortUsage, usageOf } from '../../src/resources/usage.ts';
import { refusedWith } from '../support/refused.ts';

const table: readonly ResourceSpec[] = resourceTable;

describe('the resource table', () => {
  it('has a handler for every entry, and an entry for every handler', () => {
    const named = table.flatMap(({ methods }) => Object.values(methods).map(({ handler }) => handler));
    assert.deepEqual([...named].sort(), Object.keys(handlers).sort());
  });

  it('names each path once, and declares every parameter in it', () => {
    assert.equal(new Set(table.map(({ path }) => path)).size, table.length);
    for (const { path, pathParameters = {} } of table) {
      const inPath = [...path.matchAll(/\{(.+?)\}/g)].map(([, name]) => name);
      assert.deepEqual(Object.keys(pathParameters), inPath, path);
    }
  });

  it('describes everything in a sentence', () => {
    for (const { path, pathParameters = {}, methods } of table) {
      for (const method of Object.values(methods)) {
        for (const { description } of [method, ...Object.values(pathParameters), ...Object.values(method.parameters)]) {
          assert.match(description, /^.{4,}\.$/, `${path}: ${description}`);
        }
      }
    }
  });

  it('lets only reading be done with the privilege to read', () => {
    for (const { path, methods } of table) {
      for (const verb of verbs) {
        const method = methods[verb];
        if (method !== undefined) assert.equal(method.privilege === 'read', verb === 'get', `${verb} ${path}`);
      }
    }
  });
});

describe('a path', () => {
  for (const [given, expected] of [
    ['/ports', '/ports'],
    ['ports', '/ports'],
    ['/ports/', '/ports'],
    ['//ports//vi100/', '/ports/vi100'],
    ['', '/'],
    ['/', '/'],
    ['/nodes/pve1/ports', '/ports'],
    ['/nodes/pve1', '/'],
    ['/nodes/pve2/ports', '/nodes/pve2/ports'],
  ] as const) {
    it(`${JSON.stringify(given)} is ${expected}`, () => {
      assert.equal(normalisePath(given, 'pve1'), expected);
    });
  }

  it('with a literal segment wins over one with a parameter', () => {
    assert.equal(findResource('/ledger/verify')?.resource.path, '/ledger/verify');
    assert.deepEqual(findResource('/ports/verify')?.pathParameters, { port: 'verify' });
    assert.equal(findResource('/nothing'), null);
    assert.equal(findResource('/ports/vi100/more'), null);
  });

  it('is found or not, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webPath()), (text) => {
        const path = normalisePath(text, 'pve1');
        assert.match(path, /^\/$|^(\/[^/]+)+$/);
        const found = findResource(path);
        if (found !== null) assert.equal(found.resource.path.split('/').length, path.split('/').length);
      }),
    );
  });
});

describe('what lies below a path', () => {
  it('is listed by name, with its verbs and whether it has children', () => {
    assert.deepEqual(
      childrenOf('/').map(({ name, hasChildren }) => `${hasChildren ? 'D' : '-'} ${name}`),
      ['D bridges', 'D guests', 'D ledger', 'D ports', 'D state', '- status', '- version'],
    );
    assert.deepEqual(childrenOf('/ports'), [{ name: '{port}', hasChildren: false, verbs: ['get', 'delete'] }]);
    assert.deepEqual(childrenOf('/nothing'), []);
  });
});

describe('a call', () => {
  it('gets parameters of the path and its own together, converted', () => {
    const { handler, parameters } = prepareCall('get', '/ledger/blocks/7', {});
    assert.deepEqual([handler, parameters], ['ledger.block', { height: 7 }]);
    assert.deepEqual(prepareCall('get', '/ledger/blocks', { limit: '20', order: 'oldest' }).parameters, {
      limit: 20,
      order: 'oldest',
    });
  });

  it('is refused in the words of pvesh', () => {
    assert.throws(() => prepareCall('get', '/x', {}), refusedWith('NotFound', "no such resource '/x'"));
    assert.throws(
      () => prepareCall('delete', '/ports', {}),
      refusedWith('InvalidArgument', "No 'delete' handler defined for '/ports'"),
    );
  });

  it('cannot smuggle another value in for a parameter of the path', () => {
    assert.deepEqual(prepareCall('get', '/ports/vi100', { port: 'vi101' }).parameters, { port: 'vi100' });
  });
});

describe('parameters', () => {
  const specs: Record<string, ParameterSpec> = {
    netdev: { type: 'string', description: 'A device.' },
    vmid: { type: 'integer', description: 'A guest.', minimum: 100, maximum: 999, optional: true },
    force: { type: 'boolean', description: 'Whether.', optional: true },
    order: { type: 'string', description: 'An order.', enum: ['newest', 'oldest'], optional: true },
  };
  const problemsOf = (input: Record<string, unknown>): Record<string, string> => {
    try {
      checkParameters(specs, input);
      return {};
    } catch (error) {
      assert.ok(error instanceof ParameterError);
      return error.problems;
    }
  };

  for (const [input, output] of [
    [{ netdev: 'x' }, { netdev: 'x' }],
    [{ netdev: '' }, { netdev: '' }],
    [
      { netdev: 'x', vmid: '100', force: '1', order: 'oldest' },
      { netdev: 'x', vmid: 100, force: true, order: 'oldest' },
    ],
    [
      { netdev: 'x', vmid: 999, force: false },
      { netdev: 'x', vmid: 999, force: false },
    ],
    [
      { netdev: 'x', force: 'false' },
      { netdev: 'x', force: false },
    ],
    [
      { netdev: 'x', force: 0 },
      { netdev: 'x', force: false },
    ],
  ] as const) {
    it(`${JSON.stringify(input)} are taken`, () => {
      assert.deepEqual(checkParameters(specs, input), output);
    });
  }

  for (const [input, key, said] of [
    [{}, 'netdev', 'property is missing and it is not optional'],
    [{ netdev: 5 }, 'netdev', 'expected text'],
    [{ netdev: null }, 'netdev', 'expected text'],
    [{ netdev: 'x', vmid: 99 }, 'vmid', 'minimum value of 100'],
    [{ netdev: 'x', vmid: '1000' }, 'vmid', 'maximum value of 999'],
    [{ netdev: 'x', vmid: '1e2' }, 'vmid', "type check ('integer') failed"],
    [{ netdev: 'x', vmid: 100.5 }, 'vmid', "type check ('integer') failed"],
    [{ netdev: 'x', vmid: '' }, 'vmid', "type check ('integer') failed"],
    [{ netdev: 'x', vmid: '9'.repeat(30) }, 'vmid', "type check ('integer') failed"],
    [{ netdev: 'x', force: 'yes' }, 'force', "type check ('boolean') failed"],
    [{ netdev: 'x', order: 'middle' }, 'order', "enumeration 'newest, oldest'"],
    [{ netdev: 'x', vmdi: 100 }, 'vmdi', 'not defined in schema; did you mean vmid?'],
    [{ netdev: 'x', constructor: 'x' }, 'constructor', 'not defined in schema'],
  ] as const) {
    it(`${JSON.stringify(input)} are refused for ${key}`, () => {
      const problems = problemsOf(input);
      assert.deepEqual(Object.keys(problems), [key]);
      assert.ok(problems[key]?.includes(said), problems[key]);
    });
  }

  it('with several mistakes are told of all of them', () => {
    assert.deepEqual(Object.keys(problemsOf({ vmid: 'x', colour: 1 })).sort(), ['colour', 'netdev', 'vmid']);
  });

  it('are checked or refused, whatever comes in as JSON', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.oneof(fc.constantFrom(...Object.keys(specs)), fc.string()), fc.jsonValue()),
        (input) => {
          try {
            const checked = checkParameters(specs, input);
            assert.equal(typeof checked['netdev'], 'string');
            for (const key of Object.keys(checked)) assert.ok(Object.hasOwn(specs, key));
          } catch (error) {
            refusedWith('InvalidArgument', 'Parameter verification failed.')(error);
          }
        },
      ),
    );
  });
});

describe('usage', () => {
  it('of one verb is its line, its description and its parameters', () => {
    assert.equal(
      usageOf('/ports/vi100', 'delete'),
      [
        'USAGE: ovs-port-agent delete /ports/{port}',
        '',
        '  Unplugs a port that was created here; never a foreign one, never that of a running guest.',
        '',
        '  -port <string>',
        '',
        '       Name of the port (vi100) or of its device (veth100i0).',
      ].join('\n'),
    );
  });

  it('of a path is that of every verb it has', () => {
    const text = usageOf('/ports', null);
    assert.deepEqual(
      text.split('\n').filter((line) => line.startsWith('USAGE')),
      ['USAGE: ovs-port-agent get /ports', 'USAGE: ovs-port-agent create /ports --netdev <string> [OPTIONS]'],
    );
    assert.ok(text.includes('-vmid <integer> (100 - 999999999)'));
  });

  it('says what is not there in the words of pvesh', () => {
    assert.throws(() => usageOf('/x', null), refusedWith('NotFound', "no such resource '/x'"));
    assert.throws(() => usageOf('/ports', 'set'), refusedWith('InvalidArgument', "No 'set' handler defined"));
    assert.equal(shortUsage('set', '/ports'), '');
    assert.equal(shortUsage('get', '/ledger/blocks'), 'ovs-port-agent get /ledger/blocks [OPTIONS]');
  });

  it('exists for every entry of the table', () => {
    for (const { path, methods } of table) {
      const text = usageOf(path, null);
      for (const verb of verbs) assert.equal(text.includes(`USAGE: ovs-port-agent ${verb} ${path}`), verb in methods);
    }
  });
});
