import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { AgentError } from '../../src/model/errors.ts';
import { parseConfigText, readConfigFile } from '../../src/platform/config-file.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const file = '/etc/x.toml';
const refusal = (text: string): string => {
  try {
    parseConfigText(text, file);
  } catch (error) {
    assert.ok(error instanceof AgentError);
    assert.equal(error.code, 'InvalidArgument');
    return error.message;
  }
  throw new Error(`accepted: ${text}`);
};

describe('the text of the configuration file', () => {
  it('may be empty, or nothing but comments', () => {
    assert.equal(parseConfigText('', file).config.bridge_name, 'ovsbr0');
    assert.equal(parseConfigText('# nothing\r\n\r\n', file).config.bridge_name, 'ovsbr0');
  });

  it('may have every way of TOML to say a value', () => {
    const text = 'bridge_name = \'vmbr0\' # first\n"debounce_ms" = 0x10\nbridges = [\n  "vmbr0",\n  "vmbr1",\n]\n';
    const { config } = parseConfigText(text, file);
    assert.deepEqual([config.bridge_name, config.debounce_ms, config.bridges], ['vmbr0', 16, ['vmbr0', 'vmbr1']]);
  });

  it('names line and column of an unknown key, and the nearest one', () => {
    assert.equal(
      refusal('log_level = "info"\n\n  brigde_name = "x"\n'),
      '/etc/x.toml:3:3: brigde_name: unknown key; did you mean bridge_name?',
    );
  });

  it('names line and column of a value of the wrong type', () => {
    assert.match(refusal('# a comment\ndebounce_ms = "soon"\n'), /^\/etc\/x\.toml:2:1: debounce_ms: .*expected number/);
    assert.match(
      refusal('bridges = ["ovsbr0", "o vs"]'),
      /^\/etc\/x\.toml:1:22: bridges\.1: bridge name "o vs" is not valid/,
    );
  });

  it('names line and column of what is no TOML', () => {
    assert.match(refusal('log_level = "info"\nbridge_name ovsbr0\n'), /^\/etc\/x\.toml:2:\d+: /);
    assert.match(refusal('bridge_name = "ovsbr0'), /^\/etc\/x\.toml:1:\d+: /);
    assert.match(refusal('debounce_ms = 1\ndebounce_ms = 2\n'), /^\/etc\/x\.toml:2:\d+: /);
  });

  it('names a section that does not exist by the line of its header', () => {
    assert.match(refusal('log_level = "info"\n[http]\nport = 1\n'), /^\/etc\/x\.toml:2:1: http: unknown key/);
    assert.match(refusal('log_level = "info"\n[[polices]]\nport = 1\n'), /^\/etc\/x\.toml:2:1: polices: unknown key/);
  });

  it('names line and column of what is wrong in the policy that it is wrong in, however that is written', () => {
    const [first, ...others] = refusal(
      `
[[policy]]
match = { kind = "lxc", name = 5 } # { kind = "x" }
[[policy]]
  match.knid = "lxc"
bridge = 'ovsbr9'
[[policy]]
trunks = [
  1, # one
  "2",
]
[policy.match]
vmid = "200-100"
[[policy]]
`,
    ).split('\n');
    assert.match(first!, /^\/etc\/x\.toml:3:25: policy\.0\.match\.name: .*expected string/);
    assert.deepEqual(
      others.map((line) => line.split(' ').slice(0, 2).join(' ')),
      [
        '/etc/x.toml:5:3: policy.1.match.knid:',
        '/etc/x.toml:13:1: policy.2.match.vmid:',
        '/etc/x.toml:10:3: policy.2.trunks.1:',
        '/etc/x.toml:14:1: policy.3.match:',
      ],
    );
  });

  it('names everything wrong at once, one line each', () => {
    const lines = refusal('bridge = 1\nlog_level = "loud"\ndebounce_ms = true\n').split('\n');
    assert.deepEqual(lines.map((line) => line.split(' ')[1]).sort(), ['bridge:', 'debounce_ms:', 'log_level:']);
    for (const line of lines) assert.match(line, /^\/etc\/x\.toml:[123]:1: /);
  });

  it('is never taken in part: any text is a whole configuration or an InvalidArgument', () => {
    const keys = fc.constantFrom('bridge_name', 'bridges', 'debounce_ms', 'log_level', 'ovsdb', 'brigde', '"x y"', '');
    const values = fc.constantFrom(
      '"ovsbr0"',
      '500',
      '-1',
      'true',
      '["a"]',
      '{}',
      '"unix:/x"',
      '1e999',
      "'''",
      '',
      'nan',
    );
    const lines = fc.oneof(
      fc.tuple(keys, values).map(([key, value]) => `${key} = ${value}`),
      fc.constantFrom(
        '[x]',
        '[[policy]]',
        'match = { vmid = "100-200" }',
        '[policy.match]',
        '# c',
        '\0',
        ']',
        '"""',
        '\r',
      ),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(lines, { maxLength: 8 }), fc.constantFrom('\n', '\r\n'), (parts, newline) => {
        try {
          const { config } = parseConfigText(parts.join(newline), file);
          assert.ok(config.bridges.length > 0 && config.ledger_path.startsWith('/'));
        } catch (error) {
          refusedWith('InvalidArgument', file)(error);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('reading the configuration file', () => {
  const folder = temporaryFolder();

  it('reads the file it is told', async () => {
    const path = join(folder(), 'config.toml');
    writeFileSync(path, 'bridge_name = "vmbr7"\n');
    assert.equal((await readConfigFile(path)).config.bridge_name, 'vmbr7');
  });

  it('takes a host for a node of Proxmox VE when pve_dir is there', async () => {
    const path = join(folder(), 'config.toml');
    writeFileSync(path, `naming_mode = "rename"\npve_dir = "${join(folder(), 'pve')}"\n`);
    assert.equal((await readConfigFile(path)).config.naming_mode, 'rename');
    mkdirSync(join(folder(), 'pve'));
    await assert.rejects(
      readConfigFile(path),
      refusedWith('InvalidArgument', `${path}:1:1: naming_mode: "rename" is for`),
    );
  });

  it('says which file is missing when somebody asked for it by name', async () => {
    const path = join(folder(), 'no.toml');
    await assert.rejects(readConfigFile(path), refusedWith('InvalidArgument', path, 'ENOENT'));
  });

  it('says which file is none', async () => {
    const path = join(folder(), 'sub');
    mkdirSync(path);
    await assert.rejects(readConfigFile(path), refusedWith('InvalidArgument', path, 'EISDIR'));
  });

  it('names the file in what is wrong with its content', async () => {
    const path = join(folder(), 'config.toml');
    writeFileSync(path, 'x');
    chmodSync(path, 0o600);
    await assert.rejects(readConfigFile(path), refusedWith('InvalidArgument', `${path}:1:`));
  });
});
