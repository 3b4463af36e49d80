import { visibleLine } from '@sallyport/core'
import { connectControl } from '../control-client.ts'
import { CommandFailure, exitCodes, toFailure } from '../failure.ts'
import { describeTime, order, readTargets, type KeepingResult } from '../keeping.ts'

interface Options {
  readonly state: string
  readonly json: boolean
}

type Drill = Extract<KeepingResult, { what: 'drill' }>['drill']
type Outcome = { readonly name: string; readonly drill: Drill | null; readonly error: string | null }

/** Has the gate restore the newest copy of this, or of everything it keeps, for real. Exit code 1 when one could not be proven. */
export async function drillRestore(name: string | undefined, { state, json }: Options): Promise<void> {
  const names = name === undefined ? await findKept(state) : [name]
  if (names.length === 0) {
    throw new CommandFailure(
      exitCodes.failed,
      'nothing_kept',
      'This gate keeps nothing whole, so there is nothing to drill.',
      'Nothing was restored.',
      'Put a PostgreSQL upstream, or something under `keep:`, into sallyport.yaml.',
    )
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const outcomes: Outcome[] = []
  for (const one of names) {
    const outcome = await drillOne(state, one, say)
    outcomes.push(outcome)
    process.stdout.write(json ? `${JSON.stringify(outcome)}\n` : describe(outcome))
  }
  if (outcomes.some(({ drill }) => drill?.passed !== true)) process.exitCode = exitCodes.failed
}

async function findKept(state: string): Promise<readonly string[]> {
  const { targets, problem } = await readTargets(await connectControl(state))
  if (problem === null) return targets.map((target) => target.name)
  const next = 'Find out why the vault does not answer: sallyport doctor.'
  throw new CommandFailure(exitCodes.failed, 'vault_unavailable', visibleLine(problem), 'Nothing was restored.', next)
}

async function drillOne(state: string, name: string, say: (line: string) => void): Promise<Outcome> {
  try {
    const result = await order(state, { what: 'drill', name }, (line) => say(`${visibleLine(name)}: ${line}`))
    return result.what === 'drill'
      ? { name, drill: result.drill, error: null }
      : { name, drill: null, error: 'the gate did something else' }
  } catch (error) {
    const failure = toFailure(error)
    if (failure.exitCode !== exitCodes.failed) throw error
    return { name, drill: null, error: `${failure.message} ${failure.next}` }
  }
}

function describe({ name, drill, error }: Outcome): string {
  if (drill === null) return `FAILED  ${visibleLine(name)}: ${visibleLine(error ?? '')}\n`
  const made = drill.snapshotMadeAtMs === null ? '' : `, made ${new Date(drill.snapshotMadeAtMs).toISOString()}`
  const rows = drill.rows.toLocaleString('en')
  const lines = [
    `${drill.passed ? 'passed' : 'FAILED'}  ${visibleLine(name)}: snapshot ${drill.snapshot?.slice(0, 16) ?? ''}${made}, ${visibleLine(drill.why)}`,
    `        ${drill.compared} compared, ${rows} rows, in ${describeTime(drill.restoreMs)}`,
    ...drill.answers.map(
      ({ ask, answer, expected, passed }) =>
        `        ${passed ? 'ok  ' : 'BAD '} ${visibleLine(ask)} → ${visibleLine(answer ?? 'nothing')} (${passed ? 'expected' : 'NOT'} ${visibleLine(expected)})`,
    ),
  ]
  return `${lines.join('\n')}\n`
}
