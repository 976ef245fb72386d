/** What the two bundles are made of. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const command = join(root, 'dist/ovs-port-agent.mjs');
const service = join(root, 'dist/ovs-port-agentd.mjs');

/** Packages and files of ours in a bundle. */
function partsOf(bundle: string): Set<string> {
  assert.ok(existsSync(`${bundle}.map`), `${bundle} is not built: run \`npm run build\``);
  const { sources } = JSON.parse(readFileSync(`${bundle}.map`, 'utf8')) as { sources: string[] };
  return new Set(
    sources.map((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? source.replace(/^\.\.\//, '')),
  );
}

describe("the command's bundle", () => {
  it('holds nothing under the GPL, and none of the service', () => {
    const parts = partsOf(command);
    assert.ok(parts.has('src/cli.ts') && parts.has('commander'));
    for (const absent of ['proxmox-api', 'zod', 'src/agent.ts', 'src/proxmox/api-client.ts'])
      assert.ok(!parts.has(absent), absent);
  });
});

describe("the service's bundle", () => {
  it('holds proxmox-api without the HTTP engine under it', () => {
    const parts = partsOf(service);
    assert.ok(parts.has('src/agent.ts') && parts.has('proxmox-api'));
    assert.ok(!parts.has('undici'));
  });
});

describe('the licence', () => {
  it('of the package is that of our sources and that of what is bundled', () => {
    const { license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { license: string };
    assert.equal(license, 'Apache-2.0 AND GPL-3.0-or-later');
    assert.match(readFileSync(join(root, 'LICENSE'), 'utf8'), /Apache License\s+Version 2\.0/);
  });
});
