// Bundles the command and the service into dist/, and names the npm packages that are in them in dist/packages.json.
// `--meta` also writes esbuild's metafile, for a look at sizes.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
mkdirSync('dist', { recursive: true });
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  sourcemap: 'linked',
  legalComments: 'linked',
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
  metafile: true,
  define: { 'process.env.OVS_PORT_AGENT_VERSION': JSON.stringify(version) },
};
// CommonJS packages inside an ES module bundle ask for `require` of Node's own modules.
const needsRequire = "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);";

// The HTTP engine of proxmox-api is never made, and nobody else asks for the half megabyte that it would run on.
const withoutUndici = {
  name: 'without-undici',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, ({ path }) => ({ path, namespace: 'left-out' }));
    onLoad({ filter: /./, namespace: 'left-out' }, () => ({ contents: 'export const fetch = undefined;' }));
  },
};

const packages = new Set();
for (const [entry, name, banner] of [
  ['src/cli.ts', 'ovs-port-agent', `#!/usr/bin/env node\n${needsRequire}`],
  ['src/agent.ts', 'ovs-port-agentd', needsRequire],
]) {
  const outfile = `dist/${name}.mjs`;
  const result = await build({
    ...common,
    entryPoints: [entry],
    outfile,
    banner: { js: banner },
    // `serve` loads the service's bundle at run time, so that the command stays small.
    external: ['./ovs-port-agentd.mjs'],
    plugins: [withoutUndici],
  });
  for (const input of Object.keys(result.metafile.inputs)) {
    const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (folder !== undefined) packages.add(folder);
  }
  if (process.argv.includes('--meta')) writeFileSync(`dist/${name}.meta.json`, JSON.stringify(result.metafile));
}
writeFileSync('dist/packages.json', `${JSON.stringify([...packages].sort(), null, 2)}\n`);
chmodSync('dist/ovs-port-agent.mjs', 0o755);
