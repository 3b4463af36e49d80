import { pullSwitch } from '../../packages/cli/src/switch-client.ts'
import { below } from '../proofs/seeded.ts'
import { rest } from './rest.ts'
import type { ThreeGates } from './three-gates.ts'

/** One kill of an agent, by the gate of this number. */
export interface Kill {
  readonly agent: string
  readonly gate: number
  /** Acknowledged for every gate; else nobody promised anything beyond the gate where it was pulled. */
  readonly everywhere: boolean
  /** The upstream's own time just after it was acknowledged. */
  readonly after: string
  readonly tookMs: number
}

export interface Trouble {
  readonly kills: readonly Kill[]
  readonly told: readonly string[]
}

/** What happens to three gates, in this order; where and when is chance. */
const acts = ['cut', 'restart store', 'end gate', 'cut'] as const
const leaseMs = 4_000

/** Makes trouble for so long, and kills one of these agents again and again meanwhile. */
export async function makeTrouble(
  stage: ThreeGates,
  victims: readonly string[],
  chance: () => number,
  forMs: number,
): Promise<Trouble> {
  const startMs = performance.now()
  const kills: Kill[] = []
  const told: string[] = []
  const tell = (what: string): void => void told.push(`${((performance.now() - startMs) / 1000).toFixed(1)} s: ${what}`)
  const isOver = (): boolean => performance.now() - startMs >= forMs
  const down = new Set<number>()
  const killing = async (): Promise<void> => {
    for (const agent of victims) {
      await rest((forMs / victims.length) * (0.5 + chance() * 0.5))
      if (isOver()) return
      const up = [0, 1, 2].filter((number) => !down.has(number))
      const kill = await killOne(stage, agent, up[below(chance, up.length)] ?? 0)
      if (kill !== null) kills.push(kill)
    }
  }
  const troubling = async (): Promise<void> => {
    for (const act of acts) {
      await rest((forMs / acts.length) * (0.1 + chance() * 0.2))
      await perform(stage, act, below(chance, 3), { down, tell, outMs: leaseMs * (1.2 + chance() * 0.6) })
    }
  }
  await Promise.all([killing(), troubling()])
  await rest(Math.max(0, forMs - (performance.now() - startMs)))
  return { kills, told }
}

interface Stagehand {
  /** Gates that have no process now. One that is cut off has, and may be told to kill. */
  readonly down: Set<number>
  readonly tell: (what: string) => void
  readonly outMs: number
}

async function perform(
  stage: ThreeGates,
  act: (typeof acts)[number],
  number: number,
  { down, tell, outMs }: Stagehand,
): Promise<void> {
  const place = stage.gates[number]
  if (place === undefined) return
  switch (act) {
    case 'cut':
      place.cable.sever()
      tell(`gate ${number} is cut off from the store`)
      await rest(outMs)
      place.cable.mend()
      return tell(`gate ${number} reaches the store again`)
    case 'restart store':
      tell('the store ends as by a crash')
      await stage.store.restart()
      return tell('the store is back')
    case 'end gate':
      down.add(number)
      await place.gate.crash()
      tell(`gate ${number} was ended by SIGKILL`)
      await place.gate.start(place.program)
      down.delete(number)
      return tell(`gate ${number} runs again`)
  }
}

async function killOne({ gates, upstream }: ThreeGates, agent: string, number: number): Promise<Kill | null> {
  const place = gates[number]
  if (place === undefined) return null
  const startMs = performance.now()
  try {
    const said = await pullSwitch(place.gate.directory, { kind: 'agent', name: agent, reason: 'a run', drain: false })
    const tookMs = performance.now() - startMs
    const [row] = await upstream.query('SELECT clock_timestamp()::text AS now')
    return { agent, gate: number, everywhere: said.everywhere, after: String(row?.['now']), tookMs }
  } catch {
    // It went down at this moment: nothing was acknowledged.
    return null
  }
}
