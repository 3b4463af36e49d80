import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runCommand, uncollected } from './command.ts'
import { isRecord, numberOf, parseRecord, recordsOf, textOf } from './json.ts'
import { plantedLint } from './planted-violations.ts'
import { copyTree } from './source-tree.ts'
import type { StepResult } from './step.ts'

interface LintReport {
  readonly files: number
  readonly found: readonly { readonly rule: string; readonly file: string; readonly line: number; readonly message: string }[]
}

async function lint(root: string, paths: readonly string[]): Promise<LintReport> {
  const result = await runCommand('oxlint', ['--type-aware', '--format', 'json', ...paths], {
    cwd: root,
    environment: uncollected(),
  })
  if (!result.stdout.trimStart().startsWith('{')) throw new Error(`the linter gave no report: ${result.stdout}${result.stderr}`)
  const report = parseRecord(result.stdout)
  const found = recordsOf(report.diagnostics).map((each) => {
    const span = recordsOf(each.labels)[0]?.span
    return {
      rule: textOf(each.code),
      file: textOf(each.filename),
      line: isRecord(span) ? numberOf(span.line) : 1,
      message: textOf(each.message),
    }
  })
  return { files: numberOf(report.number_of_files), found }
}

export async function findLintBreaches(root: string): Promise<StepResult> {
  const { files, found } = await lint(root, [])
  const findings = found.map(({ file, line, message, rule }) => `${file}:${line} ${message} [${rule}]`)
  return { findings: files === 0 ? ['the linter read no file'] : findings.toSorted(), summary: `${files} files` }
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
