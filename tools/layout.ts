import { runCommand, uncollected } from './command.ts'
import type { StepResult } from './step.ts'

/** Files below `root` that are not laid out as oxfmt would. A formatter that looked at nothing has found nothing, and is a finding. */
export async function findLayoutBreaches(root: string): Promise<StepResult> {
  const { code, stdout, stderr } = await runCommand('oxfmt', ['--check'], { cwd: root, environment: uncollected() })
  const output = `${stdout}${stderr}`.trim()
  const read = Number(/ on (\d+) files/.exec(output)?.[1] ?? 0)
  const summary = `${read} files`
  if (read === 0) return { findings: [`the formatter read no file: ${output}`], summary }
  return { findings: code === 0 ? [] : [output], summary }
}
