import type { Pair } from './pair.ts'
import type { Scenario } from './scenario.ts'

export interface Difference {
  readonly scenario: string
  readonly direct: readonly string[]
  readonly gated: readonly string[]
}

/** Plays each scenario both ways; those whose answers differ in any byte. */
export async function findDifferences(
  pair: Pair,
  scenarios: readonly Scenario[],
  tell: (difference: Difference) => void = () => undefined,
): Promise<readonly Difference[]> {
  const differences: Difference[] = []
  for (const one of scenarios) {
    const direct = await pair.direct.play(one)
    const gated = await pair.gated.play(one)
    if (direct.join('\n') !== gated.join('\n')) {
      const d = { scenario: one.name, direct, gated }
      differences.push(d)
      tell(d)
      // What they disagree about must not be told again by the next.
      pair.direct.close()
      pair.gated.close()
    }
  }
  return differences
}
