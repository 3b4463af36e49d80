import { availableParallelism } from 'node:os'

/** What one check found. No findings: it passed. */
export interface StepResult {
  readonly findings: readonly string[]
  /** What was looked at, in a few words, so that a check that looked at nothing is seen. */
  readonly summary: string
}

export interface Step {
  readonly name: string
  run(): Promise<StepResult>
}

/** More than anyone mends in one go. */
const linesMax = 200

export interface Tally {
  readonly passed: number
  readonly failed: readonly string[]
}

/** Runs steps, as many at a time as there are processors or as is said, and prints each as it ends. A step that throws has failed. */
export async function runSteps(
  steps: readonly Step[],
  print: (line: string) => void,
  atOnceMax = availableParallelism(),
): Promise<Tally> {
  const waiting = [...steps]
  const failed: string[] = []
  const work = async (): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      if (!(await runStep(step, print))) failed.push(step.name)
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Math.min(atOnceMax, steps.length)) }, work))
  return { passed: steps.length - failed.length, failed }
}

async function runStep(step: Step, print: (line: string) => void): Promise<boolean> {
  const startMs = performance.now()
  const result = await step
    .run()
    .catch((error: unknown): StepResult => ({ findings: [describeError(error)], summary: 'it could not finish' }))
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  const passed = result.findings.length === 0
  print(`${passed ? 'ok  ' : 'FAIL'} ${step.name.padEnd(13)} ${seconds.padStart(5)} s  ${result.summary}`)
  const lines = result.findings.flatMap((finding) => finding.split('\n'))
  for (const line of lines.slice(0, linesMax)) print(`     ${line}`.trimEnd())
  if (lines.length > linesMax) print(`     … and ${lines.length - linesMax} lines more`)
  return passed
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
