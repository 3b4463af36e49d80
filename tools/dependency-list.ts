import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord, parseRecord, textOf } from './json.ts'
import type { StepResult } from './step.ts'

const page = 'docs/dependencies.md'
const groups = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']
/** What npm runs by itself when a package is installed. */
const installScripts = ['preinstall', 'install', 'postinstall']

/** Compares docs/dependencies.md with every package.json and with what is installed: name, licence, install scripts. */
export function findDependencyListGaps(root: string): StepResult {
  const declared = declaredPackages(root)
  const listed = listedPackages(readFileSync(join(root, page), 'utf8'))
  const findings = [
    ...[...declared].filter((name) => !listed.has(name)).map((name) => `${page} does not say why we depend on ${name}`),
    ...[...listed.keys()].filter((name) => !declared.has(name)).map((name) => `${page} lists ${name}, which no package.json has`),
    ...[...listed].flatMap(([name, row]) => findRowGaps(root, name, row)),
  ]
  return { findings, summary: `${declared.size} packages` }
}

interface Row {
  readonly reason: string
  readonly licence: string
  readonly scripts: string
}

function declaredPackages(root: string): ReadonlySet<string> {
  const folders = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/package.json`)
  const names = ['package.json', ...folders]
    .filter((file) => existsSync(join(root, file)))
    .map((file) => parseRecord(readFileSync(join(root, file), 'utf8')))
    .flatMap((manifest) => groups.flatMap((group) => Object.keys(isRecord(manifest[group]) ? manifest[group] : {})))
  return new Set(names.filter((name) => !name.startsWith('@sallyport/')).toSorted())
}

/** Rows of the page's tables: | `name` | reason | licence | install scripts | */
function listedPackages(text: string): ReadonlyMap<string, Row> {
  const rows = text.matchAll(/^\| `(?<name>[^`]+)` +\| (?<reason>.*?) +\| (?<licence>.*?) +\| (?<scripts>.*?) +\|$/gm)
  return new Map(
    [...rows].map(({ groups: cells = {} }) => [
      cells.name ?? '',
      { reason: cells.reason ?? '', licence: cells.licence ?? '', scripts: cells.scripts ?? '' },
    ]),
  )
}

function findRowGaps(root: string, name: string, row: Row): readonly string[] {
  const file = join(root, 'node_modules', name, 'package.json')
  if (!existsSync(file)) return []
  const manifest = parseRecord(readFileSync(file, 'utf8'))
  const licence = textOf(manifest.license)
  const scripts = isRecord(manifest.scripts) ? manifest.scripts : {}
  const runs = installScripts.some((script) => script in scripts) ? 'yes' : 'no'
  return [
    ...(row.reason.length < 15 ? [`${page} gives no reason for ${name}`] : []),
    ...(row.licence === licence ? [] : [`${page} says that ${name} is under ${row.licence}; its package.json says ${licence}`]),
    ...(row.scripts.startsWith(runs)
      ? []
      : [`${page} says "${row.scripts}" of install scripts for ${name}; its package.json says ${runs}`]),
  ]
}
