import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runCommand } from './command.ts'
import { importsOnly } from './imported-names.ts'
import { findNameViolations, nameRuleNames } from './import-rules.ts'
import { isRecord, listOf, parseRecord, recordsOf, textOf } from './json.ts'
import { plantedDependencies, plantedNames, plantedTargets, type PlantedViolation } from './planted-violations.ts'
import { copyTree, listFiles } from './source-tree.ts'
import type { StepResult } from './step.ts'

const cruisedFolders = ['packages', 'tests', 'bench', 'tools']
const sourceFile = /^(packages|tests|bench|tools)\/.*(?<!\.d)\.(ts|tsx|js|mjs|cjs)$/

/** Path → text. */
type Sources = ReadonlyMap<string, string>

interface Cruise {
  readonly files: ReadonlySet<string>
  readonly violations: readonly { readonly rule: string; readonly from: string; readonly to: string; readonly comment: string }[]
}

/**
 * Runs dependency-cruiser over a copy of the tree in which every file is reduced to its imports, because its reader of syntax does not know
 * all of TypeScript (`using` stops it). Throws when there is no report.
 */
async function cruise(root: string, sources: Sources): Promise<Cruise> {
  const copy = copyTree(root)
  try {
    for (const [file, source] of sources) {
      mkdirSync(dirname(join(copy.root, file)), { recursive: true })
      writeFileSync(join(copy.root, file), importsOnly(source, file))
    }
    return await cruiseTree(copy.root, sources)
  } finally {
    copy.remove()
  }
}

async function cruiseTree(root: string, sources: Sources): Promise<Cruise> {
  const present = new Set([...sources.keys()].map((file) => file.split('/')[0] ?? ''))
  const folders = cruisedFolders.filter((folder) => present.has(folder))
  const result = await runCommand('depcruise', ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...folders], {
    cwd: root,
  })
  if (result.stdout === '') throw new Error(`dependency-cruiser gave no report: ${result.stderr}`)
  const report = parseRecord(result.stdout)
  const summary = isRecord(report.summary) ? report.summary : {}
  const rules = isRecord(summary.ruleSetUsed) ? recordsOf(summary.ruleSetUsed.forbidden) : []
  const comments = new Map(rules.map((rule) => [textOf(rule.name), textOf(rule.comment)]))
  return {
    files: new Set(recordsOf(report.modules).map((module) => textOf(module.source))),
    violations: recordsOf(summary.violations).map((violation) => {
      const rule = isRecord(violation.rule) ? textOf(violation.rule.name) : ''
      return { rule, from: textOf(violation.from), to: textOf(violation.to), comment: comments.get(rule) ?? '' }
    }),
  }
}

/**
 * What the files of a tree do against the rules, and the files that were not read. Into the copy that is judged, one violation of each rule is
 * planted besides: those that no rule saw are reported, and rules for which none is planted. One reading answers both, since a planted file
 * imports files of the tree and is imported by none.
 */
export async function findDependencyViolations(root: string): Promise<StepResult> {
  const sources = readSources(root)
  const planted = plantedSources()
  const clashes = [...planted.keys()].filter((file) => sources.has(file))
  const { files: read, violations } = await cruise(root, new Map([...sources, ...planted]))
  const unread = [...sources.keys(), ...planted.keys()].filter((file) => !read.has(file))
  const real = violations.filter(({ from }) => !planted.has(from))
  const named = [...sources].flatMap(([file, source]) => findNameViolations(file, source))
  const unseen = [...findUnseenPlants(violations), ...findUnseenNames()]
  const plants = plantedDependencies.length + plantedNames.length
  return {
    findings: [
      ...clashes.map((file) => `${file} is a file of the tree and planted, too`),
      ...unread.map((file) => `${file} was not read, so no rule judged it`),
      ...real.map(({ rule, from, to, comment }) => `${from} → ${to} [${rule}]\n  ${comment}`),
      ...named.map(({ rule, file, line, what }) => `${file}:${line} ${what} [${rule}]`),
      ...unseen.map((plant) => `planted violation of ${plant.rule} went unseen: ${plant.file}\n${plant.source}`),
      ...rulesWithoutPlant(await ruleNames(root)).map(
        (rule) => `no violation of ${rule} is planted, so nobody knows that the rule works`,
      ),
    ],
    summary: `${sources.size - unread.length} of ${sources.size} files read, ${plants - unseen.length} of ${plants} planted violations seen`,
  }
}

function plantedSources(): Sources {
  const beside = plantedDependencies.flatMap((plant) => Object.entries({ ...plant.beside, [plant.file]: plant.source }))
  return new Map([...Object.entries(plantedTargets), ...beside])
}

function findUnseenPlants(violations: Cruise['violations']): readonly PlantedViolation[] {
  return plantedDependencies.filter((plant) => !violations.some(({ rule, from }) => rule === plant.rule && from === plant.file))
}

function findUnseenNames(): readonly PlantedViolation[] {
  return plantedNames.filter((plant) => !findNameViolations(plant.file, plant.source).some(({ rule }) => rule === plant.rule))
}

function readSources(root: string): Sources {
  const files = listFiles(root).filter((file) => sourceFile.test(file))
  return new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]))
}

async function ruleNames(root: string): Promise<readonly string[]> {
  const loaded: unknown = await import(join(root, '.dependency-cruiser.cjs'))
  const config = isRecord(loaded) && isRecord(loaded.default) ? loaded.default : {}
  const names = recordsOf(config.forbidden).map((rule) => textOf(rule.name))
  if (names.length === 0 || listOf(config.allowed).length > 0)
    throw new Error('.dependency-cruiser.cjs could not be read as a list of forbidden rules')
  return [...names, ...nameRuleNames]
}

function rulesWithoutPlant(rules: readonly string[]): readonly string[] {
  const planted = new Set([...plantedDependencies, ...plantedNames].map((plant) => plant.rule))
  return rules.filter((rule) => !planted.has(rule))
}
