/** A file that breaks one rule on purpose. The check puts it into a copy of the tree and fails when the rule does not see it. */
export interface PlantedViolation {
  readonly rule: string
  /** Where it is put; the file the rule must name. */
  readonly file: string
  readonly source: string
  /** Files it needs to be a believable violation, path → source. */
  readonly beside?: Readonly<Record<string, string>>
}

const core = 'packages/core/src'
const connectors = 'packages/connectors/src'
const gateway = 'packages/gateway/src'
const someFile = 'export const planted = 1\n'

/** For .dependency-cruiser.cjs: each rule at least once, and each way in that was thought of. */
export const plantedDependencies: readonly PlantedViolation[] = [
  {
    rule: 'no-cycles',
    file: `${core}/planted-one.ts`,
    source: `import { two } from './planted-two.ts'\nexport const one = (): number => two()\n`,
    beside: { [`${core}/planted-two.ts`]: `import { one } from './planted-one.ts'\nexport const two = (): number => one()\n` },
  },
  {
    // Types are erased at run time, but they are still how ideas depend on each other.
    rule: 'no-cycles',
    file: `${core}/planted-other.ts`,
    source: `import type { Shape } from './planted-shape.ts'\nexport interface Other { readonly shape: Shape }\n`,
    beside: {
      [`${core}/planted-shape.ts`]: `import type { Other } from './planted-other.ts'\nexport interface Shape { readonly other: Other }\n`,
    },
  },
  {
    rule: 'core-has-no-io',
    file: `${core}/planted-reads.ts`,
    source: `import { readFileSync } from 'node:fs'\nexport const read = readFileSync\n`,
  },
  {
    rule: 'core-has-no-io',
    file: `${core}/planted-bare.ts`,
    source: `import { readFileSync } from 'fs'\nexport const read = readFileSync\n`,
  },
  {
    rule: 'core-has-no-io',
    file: `${core}/planted-library.ts`,
    source: `import pg from 'pg'\nexport const client = pg.Client\n`,
  },
  {
    rule: 'core-has-no-io',
    file: `${core}/planted-package.ts`,
    source: `export { planted } from '../../vault/src/planted-target.ts'\n`,
  },
  {
    rule: 'core-has-no-io',
    file: `${core}/planted-late.ts`,
    source: `export const late = async (): Promise<unknown> => import('node:net')\n`,
  },
  {
    rule: 'core-tests-stay-in-core',
    file: `${core}/planted.test.ts`,
    source: `import { planted } from '../../vault/src/planted-target.ts'\nexport const seen = planted\n`,
  },
  {
    rule: 'connector-own-folder',
    file: `${connectors}/planted-north/index.ts`,
    source: `import { planted } from '../planted-south/index.ts'\nexport const seen = planted\n`,
    beside: { [`${connectors}/planted-south/index.ts`]: someFile },
  },
  {
    rule: 'connector-own-folder',
    file: `${connectors}/planted-typed/index.ts`,
    source: `import type { Planted } from '../planted-types-only/index.ts'\nexport type Seen = Planted\n`,
    beside: { [`${connectors}/planted-types-only/index.ts`]: 'export type Planted = string\n' },
  },
  {
    rule: 'connector-own-folder',
    file: `${connectors}/planted-deep/index.ts`,
    source: `export { severity } from '../../../core/src/impact.ts'\n`,
  },
  {
    rule: 'connector-own-folder',
    file: `${connectors}/planted-gateway/index.ts`,
    source: `export { planted } from '../../../gateway/src/planted-target.ts'\n`,
  },
  {
    rule: 'connector-registry-only-lists',
    file: `${connectors}/planted-registry.ts`,
    source: `export { planted } from '../../vault/src/planted-target.ts'\n`,
  },
  {
    rule: 'protocol-own-folder',
    file: `${gateway}/protocols/planted-north/index.ts`,
    source: `import { planted } from '../planted-south/index.ts'\nexport const seen = planted\n`,
    beside: { [`${gateway}/protocols/planted-south/index.ts`]: someFile },
  },
  {
    rule: 'protocol-own-folder',
    file: `${gateway}/protocols/planted-credential/index.ts`,
    source: `import { planted } from '../../planted-store/credential.ts'\nexport const seen = planted\n`,
    beside: { [`${gateway}/planted-store/credential.ts`]: someFile },
  },
  {
    rule: 'protocol-own-folder',
    file: `${gateway}/protocols/planted-settings/index.ts`,
    source: `export { planted } from '../../planted-target.ts'\n`,
  },
  {
    rule: 'protocol-no-clients',
    file: `${gateway}/protocols/planted-client/index.ts`,
    source: `import pg from 'pg'\nexport const client = pg.Client\n`,
  },
  {
    rule: 'protocol-no-clients',
    file: `${gateway}/protocols/planted-program/index.ts`,
    source: `import { spawn } from 'node:child_process'\nexport const start = spawn\n`,
  },
  {
    rule: 'protocol-no-clients',
    file: `${gateway}/protocols/planted-file/index.ts`,
    source: `import { readFile } from 'node:fs/promises'\nexport const read = readFile\n`,
  },
  {
    rule: 'gateway-only-main-crosses',
    file: `${gateway}/planted-one/index.ts`,
    source: `import { planted } from '../planted-other/index.ts'\nexport const seen = planted\n`,
    beside: { [`${gateway}/planted-other/index.ts`]: someFile },
  },
  {
    rule: 'gateway-only-main-crosses',
    file: `${gateway}/planted-upward/index.ts`,
    source: `import { planted } from '../protocols/planted-reached/index.ts'\nexport const seen = planted\n`,
    beside: { [`${gateway}/protocols/planted-reached/index.ts`]: someFile },
  },
  {
    rule: 'producer-own-folder',
    file: `${gateway}/producers/planted-north/index.ts`,
    source: `import { planted } from '../planted-south/index.ts'\nexport const seen = planted\n`,
    beside: { [`${gateway}/producers/planted-south/index.ts`]: someFile },
  },
  {
    rule: 'gateway-upstream-own-protocol',
    file: `${gateway}/upstreams/planted-north/index.ts`,
    source: `import { planted } from '../../protocols/planted-south/index.ts'\nexport const seen = planted\n`,
  },
  {
    rule: 'gateway-upstream-own-protocol',
    file: `${gateway}/upstreams/planted-store/index.ts`,
    source: `import { planted } from '../../planted-store/credential.ts'\nexport const seen = planted\n`,
  },
  {
    rule: 'protocol-own-folder',
    file: `${gateway}/protocols/planted-west/index.ts`,
    source: `import { planted } from '../../upstreams/planted-west/credential.ts'\nexport const seen = planted\n`,
    beside: { [`${gateway}/upstreams/planted-west/credential.ts`]: someFile },
  },
  {
    rule: 'gateway-only-main-assembles',
    file: `${gateway}/planted-second-main.ts`,
    source: `import { planted } from './planted-folder/index.ts'\nexport const seen = planted\n`,
    beside: { [`${gateway}/planted-folder/index.ts`]: someFile },
  },
  {
    rule: 'gateway-connectors-by-registry',
    file: `${gateway}/planted-picks.ts`,
    source: `import { planted } from '../../connectors/src/planted-picked/index.ts'\nexport const seen = planted\n`,
    beside: { [`${connectors}/planted-picked/index.ts`]: someFile },
  },
  {
    rule: 'gateway-not-vault-or-cli',
    file: `${gateway}/planted-vault.ts`,
    source: `export { planted } from '../../vault/src/planted-target.ts'\n`,
  },
  {
    rule: 'gateway-not-vault-or-cli',
    file: `${gateway}/planted-cli.ts`,
    source: `export { planted } from '../../cli/src/planted-target.ts'\n`,
  },
  {
    rule: 'cli-core-and-registry',
    file: 'packages/cli/src/planted-gateway.ts',
    source: `export { planted } from '../../gateway/src/planted-target.ts'\n`,
  },
  {
    rule: 'cli-core-and-registry',
    file: 'packages/cli/src/planted-vault.ts',
    source: `export { planted } from '../../vault/src/planted-target.ts'\n`,
  },
  {
    rule: 'cli-core-and-registry',
    file: 'packages/cli/src/planted-connector.ts',
    source: `import { planted } from '../../connectors/src/planted-known/index.ts'\nexport const seen = planted\n`,
    beside: { [`${connectors}/planted-known/index.ts`]: someFile },
  },
  {
    rule: 'console-only-core',
    file: 'packages/console/src/planted.ts',
    source: `export { planted } from '../../gateway/src/planted-target.ts'\n`,
  },
  {
    rule: 'console-only-core',
    file: 'packages/console/src/app/planted.tsx',
    source: `import { planted } from '../../../gateway/src/planted-target.ts'\nexport const Seen = () => <p>{planted}</p>\n`,
  },
  {
    rule: 'app-runs-in-browsers',
    file: 'packages/console/src/app/planted-node.tsx',
    source: `import { readFileSync } from 'node:fs'\nexport const Seen = () => <p>{readFileSync('x', 'utf8')}</p>\n`,
  },
  {
    rule: 'app-only-by-its-build',
    file: 'packages/gateway/src/control/planted-app.ts',
    source: `export { planted } from '../../../console/src/app/planted-target.tsx'\n`,
    beside: { 'packages/console/src/app/planted-target.tsx': someFile },
  },
  {
    rule: 'vault-only-core',
    file: 'packages/vault/src/planted.ts',
    source: `export { planted } from '../../gateway/src/planted-target.ts'\n`,
  },
  {
    rule: 'packages-by-their-index',
    file: 'packages/vault/src/planted-private.ts',
    source: `export { severity } from '../../core/src/impact.ts'\n`,
  },
  {
    rule: 'product-not-tests',
    file: 'packages/vault/src/planted-fake.ts',
    source: `import { planted } from '../../../tests/planted-fake.ts'\nexport const seen = planted\n`,
    beside: { 'tests/planted-fake.ts': someFile },
  },
  {
    rule: 'resolvable',
    file: 'packages/vault/src/planted-nowhere.ts',
    source: `export { planted } from './planted-nothing.ts'\n`,
  },
  {
    rule: 'declared',
    file: 'packages/vault/src/planted-undeclared.ts',
    source: `import pg from 'pg'\nexport const client = pg.Client\n`,
  },
]

/** What planted files reach for in other packages, so that the violation is the crossing and not a missing file. */
export const plantedTargets: Readonly<Record<string, string>> = {
  [`${gateway}/planted-target.ts`]: someFile,
  'packages/vault/src/planted-target.ts': someFile,
  'packages/cli/src/planted-target.ts': someFile,
}

const protocol = `${gateway}/protocols/planted/index.ts`

/** For tools/import-rules.ts: these are judged one by one and never written to a disk. */
export const plantedNames: readonly PlantedViolation[] = [
  {
    rule: 'clearance-only-by-govern',
    file: `${core}/decide.ts`,
    source: `import { makeClearance } from './clearance.ts'\nexport const make = makeClearance\n`,
  },
  { rule: 'clearance-only-by-govern', file: `${core}/index.ts`, source: `export * from './clearance.ts'\n` },
  {
    rule: 'clearance-only-by-govern',
    file: `${core}/index.ts`,
    source: `export { makeClearance as other } from './clearance.ts'\n`,
  },
  {
    rule: 'clearance-only-by-govern',
    file: `${core}/log/tree.ts`,
    source: `import * as all from '../clearance.ts'\nexport const make = all.makeClearance\n`,
  },
  {
    rule: 'clearance-only-by-govern',
    file: `${core}/late.ts`,
    source: `export const late = async (): Promise<unknown> => import('./clearance.ts?fresh')\n`,
  },
  {
    rule: 'clearance-only-by-govern',
    file: protocol,
    source: `import { makeClearance } from '@sallyport/core'\nexport const make = makeClearance\n`,
  },
  {
    rule: 'protocol-opens-no-socket',
    file: protocol,
    source: `import { connect } from 'node:net'\nexport const dial = connect\n`,
  },
  {
    rule: 'protocol-opens-no-socket',
    file: protocol,
    source: `import { Socket as Plain } from 'net'\nexport const dial = Plain\n`,
  },
  { rule: 'protocol-opens-no-socket', file: protocol, source: `import net from 'node:net'\nexport const dial = net\n` },
  { rule: 'protocol-opens-no-socket', file: protocol, source: `import * as tls from 'node:tls'\nexport const dial = tls\n` },
  {
    rule: 'protocol-opens-no-socket',
    file: protocol,
    source: `import { TLSSocket } from 'node:tls'\nexport const dial = (socket: TLSSocket): unknown => new TLSSocket(socket).connect(1)\n`,
  },
  {
    rule: 'protocol-opens-no-socket',
    file: protocol,
    source: `import { request } from 'node:http'\nexport const dial = request\n`,
  },
  { rule: 'protocol-opens-no-socket', file: protocol, source: `export { connect } from 'node:http2'\n` },
  { rule: 'protocol-opens-no-socket', file: protocol, source: `const net = await import('node:net')\nexport const dial = net\n` },
  {
    rule: 'protocol-opens-no-socket',
    file: protocol,
    source: `export const turn = (socket: import('node:net').Socket): unknown => socket['connect'](1)\n`,
  },
  {
    rule: 'protocol-no-ambient-power',
    file: protocol,
    source: `export const get = async (): Promise<unknown> => fetch('https://upstream.example')\n`,
  },
  { rule: 'protocol-no-ambient-power', file: protocol, source: `export const key = process.env.KEY\n` },
  { rule: 'protocol-no-ambient-power', file: protocol, source: `export const net: unknown = process.getBuiltinModule('net')\n` },
  { rule: 'protocol-no-ambient-power', file: protocol, source: `export const get = globalThis['fetch']\n` },
  { rule: 'core-no-clock-no-chance', file: `${core}/decide.ts`, source: `export const now = (): number => Date.now()\n` },
  { rule: 'core-no-clock-no-chance', file: `${core}/decide.ts`, source: `export const now = (): Date => new Date()\n` },
  {
    rule: 'core-no-clock-no-chance',
    file: `${core}/decide.ts`,
    source: `export const chance = (): number => Math['random']()\n`,
  },
  {
    rule: 'core-no-clock-no-chance',
    file: `${core}/decide.ts`,
    source: `import { randomBytes } from 'node:crypto'\nexport const chance = randomBytes\n`,
  },
  {
    rule: 'imports-can-be-read',
    file: `${gateway}/log/index.ts`,
    source: `export const load = async (name: string): Promise<unknown> => import(name)\n`,
  },
]

/** For the type-aware linter: each is one file of its own that must be reported by exactly this rule. */
export const plantedLint: readonly PlantedViolation[] = [
  lint(
    'no-floating-promises',
    `const work = async (): Promise<void> => undefined\nexport const start = (): void => {\n  work()\n}\n`,
  ),
  lint('no-misused-promises', `export const all = (list: readonly number[]): void => list.forEach(async () => undefined)\n`),
  lint(
    'switch-exhaustiveness-check',
    `export const name = (kind: 'a' | 'b'): string => {\n  switch (kind) {\n    case 'a':\n      return 'A'\n  }\n  return ''\n}\n`,
  ),
  lint('no-explicit-any', `export const take = (value: any): string => String(value)\n`),
  lint('no-unsafe-assignment', `export const value: { readonly parsed: string } = { parsed: JSON.parse('1') }\n`),
  lint('no-unsafe-member-access', `export const value: unknown = JSON.parse('{}').inner\n`),
  lint('no-unsafe-call', `export const value: unknown = JSON.parse('{}')()\n`),
  lint('no-unsafe-return', `export const parse = (text: string): string => JSON.parse(text)\n`),
  lint('no-unsafe-argument', `export const value = Number.parseInt(JSON.parse('1'))\n`),
  lint('no-non-null-assertion', `export const first = (list: readonly string[]): string => list[0]!\n`),
  lint('consistent-type-assertions', `export const read = (value: unknown): string => value as string\n`),
  lint('consistent-type-imports', `import { Socket } from 'node:net'\nexport type Both = Socket\n`),
  lint('await-thenable', `export const wait = async (): Promise<void> => {\n  await 1\n}\n`),
  lint('only-throw-error', `export const fail = (): never => {\n  throw 'text'\n}\n`),
  lint(
    'no-floating-promises',
    `export function Seen(): void {\n  void 0\n  fetch('/')\n}\n`,
    'packages/console/src/app/planted-floating.tsx',
  ),
  lint('alt-text', `export const seen = <img src="x" />\n`, 'packages/console/src/app/planted-picture.tsx'),
  lint('ban-ts-comment', `// @ts-ignore\nexport const value: number = 1\n`),
]

function lint(rule: string, source: string, file = `packages/vault/src/planted-${rule}.ts`): PlantedViolation {
  return { rule, file, source }
}
