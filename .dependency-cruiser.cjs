/**
 * Who may import whom (ARCHITECTURE.md, "The rules"). package.json does not enforce any of this: a relative path reaches every file.
 * `npm run check` plants one violation of each rule in a copy of the tree and fails when one goes unseen.
 * Rules about single names (who may take `makeClearance` from its file, who may take `connect` from `node:net`) are in tools/import-rules.ts.
 */
const test = String.raw`\.test\.ts$`
const coreIndex = String.raw`core/src/index\.ts$`
const connectorsIndex = String.raw`connectors/src/index\.ts$`

/** What a protocol may use of Node: to listen, decode and hash. Not here: files, processes, workers, name look-ups, datagrams. */
const protocolNode =
  '^(node:)?(assert|async_hooks|buffer|crypto|diagnostics_channel|events|http|http2|https|net|perf_hooks|querystring|stream|stream/promises|string_decoder|timers|tls|url|util|zlib)$'

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'What imports each other cannot be read, tested or replaced apart. Types count: they are how ideas depend on each other.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'core-has-no-io',
      comment:
        'core decides. If it could read a file, a clock or a socket, the same request could be decided differently twice, and nobody could check a decision afterwards.',
      severity: 'error',
      from: { path: '^packages/core/', pathNot: test },
      to: { pathNot: String.raw`^packages/core/src/|(^|/)node_modules/(zod|@cedar-policy/cedar-wasm)/|^(node:)?crypto$` },
    },
    {
      name: 'core-tests-stay-in-core',
      comment: 'A test of core that needs another package is a test of that package, and belongs under tests/.',
      severity: 'error',
      from: { path: `^packages/core/.*${test}` },
      to: { path: '^packages/', pathNot: '^packages/core/' },
    },
    {
      name: 'connector-own-folder',
      comment: 'Connectors are written by many hands. One that reaches into another cannot be reviewed, or removed, alone.',
      severity: 'error',
      from: { path: '^packages/connectors/src/([^/]+)/' },
      to: { path: '^packages/', pathNot: `^packages/(${coreIndex}|connectors/src/$1/)` },
    },
    {
      name: 'connector-registry-only-lists',
      comment: 'The registry names the connectors there are. It has no business with any other package.',
      severity: 'error',
      from: { path: String.raw`^packages/connectors/src/[^/]+\.ts$` },
      to: { path: '^packages/', pathNot: `^packages/(${coreIndex}|connectors/src/)` },
    },
    {
      name: 'protocol-own-folder',
      comment:
        'A protocol meets hostile bytes. It asks govern and gets its upstreams handed in; it reaches no store, no log, no credential and no other protocol.',
      severity: 'error',
      from: { path: '^packages/gateway/src/protocols/([^/]+)/' },
      to: { path: '^packages/', pathNot: `^packages/(${coreIndex}|gateway/src/protocols/$1/)` },
    },
    {
      name: 'protocol-no-clients',
      comment:
        'Bytes reach an upstream only by send(clearance, …). A client library in a protocol folder would be a way around it. Test clients are fine: they play the agent.',
      severity: 'error',
      from: { path: '^packages/gateway/src/protocols/', pathNot: test },
      to: { pathNot: `^packages/|(^|/)node_modules/(pg-protocol|zod)/|${protocolNode}` },
    },
    {
      name: 'gateway-only-main-crosses',
      comment:
        'main.ts, with its own folder main/, is the one place that knows everything. Two folders that know each other are one folder with a wall drawn through it. A test may put the real thing of another folder behind a port.',
      severity: 'error',
      from: { path: '^packages/gateway/src/(?!protocols/|upstreams/|main/)([^/]+)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^packages/gateway/src/', pathNot: '^packages/gateway/src/$1/' },
    },
    {
      name: 'producer-own-folder',
      comment:
        'A producer holds what it takes to read the thing it keeps. It gets its way in handed over, reaches no store, no log and no other producer, and of the connectors only the scratch server that their registry lends. How many things are laid into parts and read out of them is the same for folders and buckets.',
      severity: 'error',
      from: { path: '^packages/gateway/src/producers/([^/]+)/', pathNot: test },
      to: {
        path: '^packages/',
        pathNot: `^packages/(${coreIndex}|${connectorsIndex}|gateway/src/producers/$1/|gateway/src/producers/(entry-list|part-reading)[.]ts$)`,
      },
    },
    {
      name: 'gateway-upstream-own-protocol',
      comment:
        'The half of a protocol that dials out and holds credentials speaks the same wire language as the half that listens, so it may read that one folder. The way back is closed: a protocol never sees its upstream half.',
      severity: 'error',
      from: { path: '^packages/gateway/src/upstreams/([^/]+)/' },
      to: { path: '^packages/gateway/src/', pathNot: '^packages/gateway/src/(upstreams|protocols)/$1/' },
    },
    {
      name: 'gateway-only-main-assembles',
      comment: 'A second file beside main.ts that reaches into folders would be a second main.',
      severity: 'error',
      from: { path: String.raw`^packages/gateway/src/[^/]+\.ts$`, pathNot: `^packages/gateway/src/main\\.ts$|${test}` },
      to: { path: '^packages/gateway/src/[^/]+/' },
    },
    {
      name: 'gateway-connectors-by-registry',
      comment: 'A gateway that knows a connector by its file would need an edit for every new one.',
      severity: 'error',
      from: { path: '^packages/gateway/' },
      to: { path: '^packages/connectors/', pathNot: `^packages/${connectorsIndex}` },
    },
    {
      name: 'gateway-not-vault-or-cli',
      comment:
        'The vault is a process with a key of its own. Imported, it would run with the gateway’s rights, and its promise would be gone.',
      severity: 'error',
      from: { path: '^packages/gateway/' },
      to: { path: '^packages/(vault|cli)/' },
    },
    {
      name: 'cli-core-and-registry',
      comment: 'The CLI starts gateway and vault as processes. Importing them would merge what the operating system keeps apart.',
      severity: 'error',
      from: { path: '^packages/cli/' },
      to: { path: '^packages/', pathNot: `^packages/(cli/|${coreIndex}|${connectorsIndex})` },
    },
    {
      name: 'console-only-core',
      comment: 'Pages show what they are given; they fetch nothing themselves.',
      severity: 'error',
      from: { path: '^packages/console/' },
      to: { path: '^packages/', pathNot: `^packages/(console/|${coreIndex})` },
    },
    {
      name: 'app-runs-in-browsers',
      comment:
        'The app of the console is put into one file for browsers. What only Node has would be missing there, and would be found missing by a person.',
      severity: 'error',
      from: { path: '^packages/console/src/app/', pathNot: test },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'app-only-by-its-build',
      comment: 'The gate serves the app’s files and never runs them: Node cannot read markup in scripts, and has no window.',
      severity: 'error',
      from: { pathNot: '^packages/console/src/app/' },
      to: { path: '^packages/console/src/app/' },
    },
    {
      name: 'vault-only-core',
      comment: 'The vault must hold when the gateway is broken into, so it trusts none of its code.',
      severity: 'error',
      from: { path: '^packages/vault/' },
      to: { path: '^packages/', pathNot: `^packages/(vault/|${coreIndex})` },
    },
    {
      name: 'packages-by-their-index',
      comment:
        'What index.ts does not export is private: it can change without asking anyone. The policy engine has a door of its own, so that only who decides loads Cedar.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^packages/[^/]+/', pathNot: String.raw`^packages/($1/|[^/]+/src/index\.ts$|core/src/policy/engine\.ts$)` },
    },
    {
      name: 'product-not-tests',
      comment: 'What ships never depends on what tests it: a fake that ships is a hole.',
      severity: 'error',
      from: { path: '^packages/', pathNot: test },
      to: { path: `^(tests|bench|tools)/|${test}` },
    },
    {
      name: 'resolvable',
      comment: 'An import that leads nowhere would also be one that no rule above can judge.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'declared',
      comment:
        'A package that is not in the package.json beside the code is there by accident, in whatever version, and in no list of reasons. Types are erased: those may come from the root.',
      severity: 'error',
      from: { path: '^packages/', pathNot: test },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev', 'npm-optional'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // TypeScript 7 has no compiler API: without this line every file is skipped and the check reports success over nothing.
    parser: 'swc',
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    moduleSystems: ['es6', 'cjs'],
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.tsx', '.js', '.cjs', '.mjs', '.json'],
    },
  },
}
