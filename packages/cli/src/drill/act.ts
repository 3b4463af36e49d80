/** One act of a drill: what was tried, what had to happen, what did, and how one can tell from outside the gate. */
export interface ActResult {
  readonly act: string
  readonly expected: string
  readonly observed: string
  /** What played the agent: `node-postgres`, `psql`, or none. */
  readonly client: string
  readonly milliseconds: number
  /** Entries of the drill's own log that this act made: first and last. Empty when it made none. */
  readonly eventIndexes: readonly number[]
  /** Facts from outside the gate: SQLSTATEs as the client got them, checksums and counts asked of the server directly, a relay's byte counts. */
  readonly evidence: { readonly [name: string]: string | number | boolean }
  readonly matches: boolean
}

/** What an act reports; the runner adds time and events. */
export interface Played {
  readonly observed: string
  readonly client: string
  readonly evidence: ActResult['evidence']
}

export interface Act<Stage> {
  readonly act: string
  readonly expected: string
  /** @throws anything: then what was observed is the error, which never is what was expected */
  play(stage: Stage): Promise<Played>
}

export interface ActRunner {
  readonly nowMs: () => number
  /** How many events the log has now. */
  readonly logSize: () => Promise<number>
}

export async function runAct<Stage>(act: Act<Stage>, stage: Stage, runner: ActRunner): Promise<ActResult> {
  const startedMs = runner.nowMs()
  const before = await runner.logSize()
  const played = await act.play(stage).catch((error: unknown): Played => ({
    observed: `failed: ${error instanceof Error ? error.message : String(error)}`,
    client: 'none',
    evidence: {},
  }))
  const after = await runner.logSize()
  return {
    act: act.act,
    expected: act.expected,
    ...played,
    milliseconds: Math.round(runner.nowMs() - startedMs),
    eventIndexes: after > before ? [before, after - 1] : [],
    matches: played.observed === act.expected,
  }
}
