import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { pathToFileURL } from 'node:url'
import { importedNames } from './imported-names.ts'
import { isRecord } from './json.ts'
import type { StepResult } from './step.ts'

/** A place where newcomers add a folder: every folder in it looks the same, and one file lists them all. */
interface Family {
  readonly what: string
  readonly folder: string
  /** Files or folders that each one has; a folder may not be empty. */
  readonly has: readonly string[]
  /** The file that must import each folder's index.ts, and none that is not there. */
  readonly registry: string
  /** What some export of index.ts must have to meet its contract. */
  readonly contract: Readonly<Record<string, 'string' | 'function'>>
}

const families: readonly Family[] = [
  {
    what: 'connector',
    folder: 'packages/connectors/src',
    has: ['index.ts', 'describe.ts', 'cases', 'README.md'],
    registry: 'packages/connectors/src/index.ts',
    contract: { id: 'string', protocol: 'string', describe: 'function' },
  },
  {
    what: 'protocol',
    folder: 'packages/gateway/src/protocols',
    has: ['index.ts', 'README.md'],
    registry: 'packages/gateway/src/main.ts',
    contract: { id: 'string', listen: 'function' },
  },
  {
    what: 'producer',
    folder: 'packages/gateway/src/producers',
    has: ['index.ts', 'README.md'],
    registry: 'packages/gateway/src/producers/index.ts',
    contract: { id: 'string', open: 'function' },
  },
]

/** Loads every connector, protocol and producer folder and reports what one lacks, or what its registry lacks or has too much. */
export async function findFolderGaps(root: string): Promise<StepResult> {
  const results = await Promise.all(families.map((family) => findGaps(root, family)))
  return { findings: results.flatMap((result) => result.findings), summary: results.map((result) => result.summary).join(', ') }
}

async function findGaps(root: string, family: Family): Promise<StepResult> {
  const path = join(root, family.folder)
  const names = existsSync(path) ? readdirSync(path).filter((name) => statSync(join(path, name)).isDirectory()) : []
  const missing = names.flatMap((name) =>
    family.has.filter((part) => isMissing(join(path, name, part))).map((part) => `${family.folder}/${name} has no ${part}`),
  )
  const listed = listedIn(root, family)
  const broken = await Promise.all(
    names.filter((name) => !isMissing(join(path, name, 'index.ts'))).map((name) => findContractGap(root, family, name)),
  )
  return {
    findings: [
      ...(names.length === 0 ? [`${family.folder} holds no ${family.what}`] : []),
      ...missing,
      ...names.filter((name) => !listed.has(name)).map((name) => `${family.registry} does not import the ${family.what} ${name}`),
      ...[...listed]
        .filter((name) => !names.includes(name))
        .map((name) => `${family.registry} imports the ${family.what} ${name}, which has no folder`),
      ...broken.flat(),
    ],
    summary: `${names.length} ${family.what}${names.length === 1 ? '' : 's'}`,
  }
}

function isMissing(path: string): boolean {
  if (!existsSync(path)) return true
  return statSync(path).isDirectory() ? readdirSync(path).length === 0 : statSync(path).size === 0
}

function listedIn(root: string, family: Family): ReadonlySet<string> {
  const file = join(root, family.registry)
  if (!existsSync(file)) return new Set()
  const folder = posix.relative(posix.dirname(family.registry), family.folder)
  const paths = importedNames(readFileSync(file, 'utf8'))
    .filter((taken) => !taken.typeOnly)
    .map((taken) => posix.relative(folder === '' ? '.' : folder, posix.normalize(taken.module)))
  return new Set(paths.map((path) => /^([^./][^/]*)\/index\.ts$/.exec(path)?.[1] ?? '').filter((name) => name !== ''))
}

async function findContractGap(root: string, family: Family, name: string): Promise<readonly string[]> {
  const file = `${family.folder}/${name}/index.ts`
  const wanted = Object.entries(family.contract)
  try {
    const loaded: unknown = await import(pathToFileURL(join(root, file)).href)
    const meets = Object.values(isRecord(loaded) ? loaded : {}).some(
      (value) => isRecord(value) && value.id === name && wanted.every(([key, type]) => typeof value[key] === type),
    )
    return meets ? [] : [`${file} exports no ${family.what} with id "${name}" and ${wanted.map(([key]) => key).join(', ')}`]
  } catch (error) {
    return [`${file} could not be loaded: ${error instanceof Error ? error.message : String(error)}`]
  }
}
