import {
  SallyportError,
  type Clock,
  type DrillCheck,
  type DrillRecord,
  type Json,
  type Producer,
  type Progress,
  type Snapshot,
  type Vault,
} from '@sallyport/core'

interface DrillPorts {
  readonly vault: Vault
  readonly clock: Clock
  readonly report: (progress: Progress) => void
  readonly signal: AbortSignal
}

interface Drilled {
  readonly name: string
  readonly producer: Producer
  readonly checks: readonly DrillCheck[]
}

/** Restores this copy for real. @throws whatever kept it from being proven: that is a failure, never a pass */
export async function drillCopy(
  ports: DrillPorts,
  { name, producer, checks }: Drilled,
  snapshot: Snapshot | null,
): Promise<DrillRecord> {
  if (snapshot === null) {
    throw new SallyportError(
      'no_copy_possible',
      `there is no copy of ${name} to restore`,
      'Nothing was restored.',
      `Make one: sallyport vault copy ${name}`,
    )
  }
  await checkSame(producer, snapshot)
  const { vault, clock, report, signal } = ports
  const startedMs = clock.nowMs()
  const opened = await vault.open(snapshot.id)
  const proof = await producer.prove(opened, { checks, report, signal })
  const restoreMs = Math.max(0, clock.nowMs() - startedMs)
  const failed = proof.answers.filter(({ passed }) => !passed)
  const unanswered = checks.length - proof.answers.length
  const passed = failed.length === 0 && unanswered === 0
  const [first] = failed
  return {
    passed,
    atMs: clock.nowMs(),
    snapshot: snapshot.id,
    snapshotMadeAtMs: snapshot.madeAtMs,
    retainUntilMs: snapshot.retainUntilMs,
    restoreMs,
    rows: proof.rows,
    compared: proof.compared,
    answers: proof.answers,
    why: passed
      ? `restored to ${proof.place}`
      : first === undefined
        ? `${unanswered} of the checks were not asked`
        : `${JSON.stringify(first.ask.slice(0, 200))} answered ${JSON.stringify(first.answer?.slice(0, 200) ?? null)}, not ${first.expected}`,
  }
}

/** A copy of what this name led to before is no copy of what it leads to now. That the thing is gone or down is what drills are for. */
async function checkSame(producer: Producer, { upstreamIdentity }: Snapshot): Promise<void> {
  const identity = await producer.identity().catch(() => null)
  if (identity === null || identity === upstreamIdentity) return
  throw new SallyportError(
    'target_changed',
    'the newest copy is of another thing than the one of this name now',
    'Nothing was restored.',
    'Make a copy of it: sallyport vault copy',
  )
}

export function failedDrill(snapshot: Snapshot | null, startedMs: number, nowMs: number, why: string): DrillRecord {
  return {
    passed: false,
    atMs: nowMs,
    snapshot: snapshot?.id ?? null,
    snapshotMadeAtMs: snapshot?.madeAtMs ?? null,
    retainUntilMs: snapshot?.retainUntilMs ?? null,
    restoreMs: Math.max(0, nowMs - startedMs),
    rows: 0,
    compared: 0,
    answers: [],
    why: why.slice(0, 1_000),
  }
}

/** As it stands on the log. */
export function drillJson({ answers, passed, ...facts }: DrillRecord): { readonly [key: string]: Json } {
  return {
    result: passed ? 'passed' : 'failed',
    ...facts,
    answers: answers.map(({ ask, expected, answer, passed: good }) => ({
      ask: ask.slice(0, 500),
      expected: expected.slice(0, 200),
      answer: answer?.slice(0, 200) ?? null,
      passed: good,
    })),
  }
}
