import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runCommand } from './command.ts'
import { numberOf, parseRecord, recordsOf, textOf } from './json.ts'
import { plantedLint } from './planted-violations.ts'
import { copyTree } from './source-tree.ts'
import type { StepResult } from './step.ts'

interface LintReport {
  readonly files: number
  readonly found: readonly { readonly rule: string; readonly file: string }[]
}

async function lint(root: string, paths: readonly string[]): Promise<LintReport> {
  const result = await runCommand('oxlint', ['--type-aware', '--format', 'json', ...paths], { cwd: root })
  if (!result.stdout.trimStart().startsWith('{')) throw new Error(`the linter gave no report: ${result.stdout}${result.stderr}`)
  const report = parseRecord(result.stdout)
  const found = recordsOf(report.diagnostics).map((each) => ({ rule: textOf(each.code), file: textOf(each.filename) }))
  return { files: numberOf(report.number_of_files), found }
}

export async function findLintBreaches(root: string): Promise<StepResult> {
  const result = await runCommand('oxlint', ['--type-aware', '--deny-warnings', '--format', 'unix'], { cwd: root })
  const { files } = await lint(root, [])
  if (files === 0) return { findings: ['the linter read no file'], summary: 'nothing read' }
  return { findings: result.code === 0 ? [] : [`${result.stdout}${result.stderr}`.trimEnd()], summary: `${files} files` }
}

/** A linter that can't find the types stays silent about most of this. So each important rule is shown something it must see. */
export async function findUnseenLintPlants(root: string): Promise<StepResult> {
  const copy = copyTree(root)
  try {
    for (const { file, source } of plantedLint) {
      mkdirSync(dirname(join(copy.root, file)), { recursive: true })
      writeFileSync(join(copy.root, file), source)
    }
    const { found } = await lint(
      copy.root,
      plantedLint.map((plant) => plant.file),
    )
    const unseen = plantedLint.filter(
      (plant) => !found.some(({ rule, file }) => rule.includes(`(${plant.rule})`) && file.endsWith(plant.file)),
    )
    return {
      findings: unseen.map((plant) => `planted violation of ${plant.rule} went unseen:\n${plant.source}`),
      summary: `${plantedLint.length - unseen.length} planted violations seen`,
    }
  } finally {
    copy.remove()
  }
}
