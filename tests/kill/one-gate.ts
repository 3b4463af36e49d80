import { openKillStage, quantile, type KillRun } from './killed-runaway.ts'

/** Kills a runaway agent so often at one gate, prints one JSON document; true only when no byte came late. */
export async function killAtOneGate(wanted: number): Promise<boolean> {
  const runs: KillRun[] = []
  {
    await using stage = await openKillStage(wanted)
    for (let number = 0; number < wanted; number += 1) runs.push(await stage.run(number))
  }
  const spread = (of: (run: KillRun) => number): object => {
    const all = runs.map(of)
    const rounded = (share: number): number => Number(quantile(all, share).toFixed(2))
    return { p50: rounded(0.5), p99: rounded(0.99), max: Number(Math.max(...all).toFixed(2)) }
  }
  const failed = runs.filter(
    ({ bytesAfterResponse, admitted, bystanderWorks }) => bytesAfterResponse !== 0 || admitted !== 0 || bystanderWorks === false,
  )
  const scopes = Object.groupBy(runs, ({ scope }) => scope)
  process.stdout.write(
    `${JSON.stringify(
      {
        runs: runs.length,
        byScope: Object.fromEntries(Object.entries(scopes).map(([scope, some]) => [scope, some.length])),
        bytesBeforeKill: runs.reduce((sum, { bytesBefore }) => sum + bytesBefore, 0),
        bytesAfterResponse: runs.reduce((sum, { bytesAfterResponse }) => sum + bytesAfterResponse, 0),
        lastByteMs: spread(({ lastByteMs }) => lastByteMs),
        haltMs: spread(({ haltMs }) => haltMs),
        responseMs: spread(({ responseMs }) => responseMs),
        serverIdleMs: spread(({ serverIdleMs }) => serverIdleMs),
        failed,
      },
      null,
      2,
    )}\n`,
  )
  const late = runs.reduce((sum, { bytesAfterResponse }) => sum + bytesAfterResponse, 0)
  const lastByteMs = quantile(
    runs.map((run) => run.lastByteMs),
    0.99,
  )
  process.stderr.write(
    `figure: ${runs.length} kills, ${late} bytes after the answer, ${failed.length} failed; last byte after ${lastByteMs.toFixed(1)} ms (p99)\n`,
  )
  return failed.length === 0
}
