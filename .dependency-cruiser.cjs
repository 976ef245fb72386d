/**
 * The module table of docs/architecture.md as data. `runtime` may be imported in any way, `types` only with
 * `import type`. What is not listed is forbidden; scripts/check-layers.mjs also asserts how many modules were seen.
 */
const clients = ['ovsdb', 'interfaces', 'proxmox', 'systemd1', 'ledger'];
const table = {
  model: {},
  resources: { runtime: ['model'] },
  ovsdb: { runtime: ['model'] },
  interfaces: { runtime: ['model'] },
  proxmox: { runtime: ['model'] },
  systemd1: { runtime: ['model'] },
  ledger: { runtime: ['model'] },
  ports: { runtime: ['model'], types: clients },
  state: { runtime: ['model', 'ledger'] },
  plugins: { runtime: ['model', 'state', ...clients] },
  node: { runtime: ['model', 'ports', ...clients] },
  api: { runtime: ['model', 'resources', 'ports', 'state', 'ledger', 'node'] },
  cli: { runtime: ['model', 'resources', 'ledger'] },
  // docs/decisions/0002: platform throws the typed errors of `model`, so it imports that one module for real.
  platform: { runtime: ['model'], types: ['resources', 'ports', 'state', 'node', 'api', 'cli', ...clients] },
};
const doors = ['administration', 'agent', 'cli', 'wiring'];
const io = '^(node:)?(net|tls|fs|fs/promises|child_process|dgram|http|https|timers|timers/promises|worker_threads)$';

/** Packages that one adapter each may import. */
const packages = {
  zod: ['^src/model/', '^src/resources/'],
  'smol-toml': ['^src/platform/'],
  'dbus-next': ['^src/platform/'],
  'proxmox-api': ['^src/proxmox/'],
  execa: ['^src/platform/'],
  ini: ['^src/platform/', '^src/proxmox/'],
  'js-yaml': ['^src/cli/', '^src/plugins/', '^src/state/'],
  commander: ['^src/cli/'],
  picocolors: ['^src/cli/'],
};

const only = (names) => (names.length === 0 ? '^$' : `^src/(${names.join('|')})/`);

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'known-module',
      comment: 'a folder of src/ that the table does not know',
      severity: 'error',
      from: { path: '^src/', pathNot: [only(Object.keys(table)), `^src/(${doors.join('|')})\\.ts$`] },
      to: {},
    },
    ...Object.entries(table).flatMap(([name, { runtime = [], types = [] }]) => [
      {
        name: `${name}-imports`,
        severity: 'error',
        from: { path: `^src/${name}/` },
        to: { path: '^src/', pathNot: only([name, ...runtime, ...types]) },
      },
      {
        name: `${name}-types-only`,
        severity: 'error',
        from: { path: `^src/${name}/` },
        to: { path: only(types), dependencyTypesNot: ['type-only'] },
      },
    ]),
    {
      name: 'doors-are-not-imported',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(administration|agent|cli)\\.ts$' },
      to: { path: `^src/(${doors.join('|')})\\.ts$` },
    },
    {
      name: 'io-lives-in-platform',
      comment: 'everything else runs in a test with no socket, disk or clock',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/platform/', `^src/(${doors.join('|')})\\.ts$`] },
      to: { path: io, dependencyTypesNot: ['type-only'] },
    },
    ...Object.entries(packages).map(([name, owners]) => ({
      name: `${name}-has-one-adapter`,
      severity: 'error',
      from: { path: '^src/', pathNot: owners },
      to: { path: `^node_modules/${name}/` },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
