import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand, uncollected } from './command.ts'
import { findDependencyListGaps } from './dependency-list.ts'
import { findDependencyViolations } from './dependency-rules.ts'
import { findFolderGaps } from './folders.ts'
import { findLayoutBreaches } from './layout.ts'
import { findLintBreaches, findUnseenLintPlants } from './lint.ts'
import { findLockfileGaps } from './lockfile.ts'
import { listFiles } from './source-tree.ts'
import type { Step, StepResult } from './step.ts'
import { findStyleBreaches } from './style.ts'

/** Every check that starts nothing. Longest first, so that two processors end at about the same time. */
export function staticSteps(root: string): readonly Step[] {
  const program = (name: string, summary: string, command: string, ...args: readonly string[]): Step => ({
    name,
    run: () => runProgram(root, summary, command, args),
  })
  return [
    { name: 'lint', run: () => findLintBreaches(root) },
    { name: 'format', run: () => findLayoutBreaches(root) },
    // One checker: each more would look at most of the same once more, and the processors are busy with the other steps.
    program('types', 'tsc', 'tsc', '-p', '.', '--checkers', '1'),
    program('types of the app', 'tsc', 'tsc', '-p', 'packages/console/src/app', '--checkers', '1'),
    { name: 'dependencies', run: () => findDependencyViolations(root) },
    program('dead code', 'knip', 'knip', '--no-progress', '--treat-config-hints-as-errors'),
    { name: 'planted lint', run: () => findUnseenLintPlants(root) },
    { name: 'style', run: async () => Promise.resolve(checkStyle(root)) },
    { name: 'folders', run: () => findFolderGaps(root) },
    { name: 'lockfile', run: async () => Promise.resolve(findLockfileGaps(root)) },
    { name: 'reasons', run: async () => Promise.resolve(findDependencyListGaps(root)) },
  ]
}

async function runProgram(root: string, summary: string, command: string, args: readonly string[]): Promise<StepResult> {
  const result = await runCommand(command, args, { cwd: root, environment: uncollected() })
  const output = `${result.stdout}${result.stderr}`.trimEnd()
  return { findings: result.code === 0 ? [] : [output === '' ? `${command} ended with ${result.code}` : output], summary }
}

function checkStyle(root: string): StepResult {
  const files = listFiles(root)
  const found = files.flatMap((file) => findStyleBreaches(file, readFileSync(join(root, file), 'utf8')))
  return {
    findings: found.map(({ file, line, rule, what }) => `${file}:${line} ${what} [${rule}]`),
    summary: `${files.length} files`,
  }
}
