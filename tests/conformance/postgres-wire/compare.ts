import type { Pair } from './pair.ts'
import type { Scenario } from './scenario.ts'

export interface Difference {
  readonly scenario: string
  /** The first lines that differ, from the same place on. */
  readonly direct: readonly string[]
  readonly gated: readonly string[]
}

const linesShown = 4
const lineLengthMax = 400

/** Plays each scenario both ways; those whose answers differ in any byte. */
export async function findDifferences(pair: Pair, scenarios: readonly Scenario[]): Promise<readonly Difference[]> {
  const differences: Difference[] = []
  for (const one of scenarios) {
    const direct = await pair.direct.play(one)
    const gated = await pair.gated.play(one)
    const first = gated.findIndex((line, index) => line !== direct[index])
    if (first === -1 && gated.length === direct.length) continue
    const from = first === -1 ? gated.length : first
    const shown = (lines: readonly string[]): readonly string[] =>
      lines.slice(from, from + linesShown).map((line) => line.slice(0, lineLengthMax))
    differences.push({ scenario: one.name, direct: shown(direct), gated: shown(gated) })
    // What they disagree about must not be told again by the next.
    pair.direct.close()
    pair.gated.close()
  }
  return differences
}

/** Where they part, the gate says that it does not carry this. */
export function isRefused({ gated }: Difference): boolean {
  return gated[0]?.includes('C0A000') === true
}
