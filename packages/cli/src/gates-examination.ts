import { visibleLine } from '@sallyport/core'
import { z } from 'zod'
import type { ControlClient } from './control-client.ts'
import { bad, good, note, type Finding } from './finding.ts'

/** A clock that is further off than this is worth a word, ms. */
const skewSaidMs = 2_000

/** What another gate told of itself is text of another machine's. */
const line = z.string().transform(visibleLine)
const gateShape = z.object({
  gate: line,
  isOwn: z.boolean(),
  isLive: z.boolean(),
  seenMsAgo: z.number(),
  skewMs: z.number().nullable(),
  warnings: z.array(line),
  sessions: z.number(),
})
const rollShape = z.object({
  gates: z.object({ schema: z.number(), leaseMs: z.number(), gates: z.array(gateShape) }).nullish(),
})
type GateLine = z.infer<typeof gateShape>

/** Which gates share the store, and how they stand; nothing for a gate alone. That the gate can't be asked is said elsewhere. */
export async function examineGates(connect: () => Promise<Pick<ControlClient, 'get'>>): Promise<readonly Finding[]> {
  try {
    const { gates: roll } = await (await connect()).get('/api/v1/status', rollShape)
    if (roll === null || roll === undefined) return []
    const live = roll.gates.filter(({ isLive }) => isLive)
    const names = live.map(({ gate, isOwn, sessions }) => `${gate}${isOwn ? ' (this one)' : ''}: ${sessions} open`).join('; ')
    const what = `${live.length} ${live.length === 1 ? 'gate lives' : 'gates live'} on the shared store (its schema: ${roll.schema}; a lease: ${seconds(roll.leaseMs)}). ${names}.`
    const own = roll.gates.find(({ isOwn }) => isOwn)
    const first =
      own?.isLive === true
        ? good('gates', what)
        : bad(
            'gates',
            `This gate has no lease on the shared store, so it lets nothing through. ${what}`,
            'See that the store’s PostgreSQL runs and that this gate reaches it',
          )
    return [first, ...roll.gates.flatMap(describeGate)]
  } catch {
    return []
  }
}

function describeGate({ gate, isOwn, isLive, seenMsAgo, skewMs, warnings }: GateLine): readonly Finding[] {
  const away =
    isLive || isOwn
      ? []
      : [
          note(
            'gates',
            `Gate ${gate} was last heard ${seconds(seenMsAgo)} ago: it was stopped, or cannot reach the store and has stopped everything by itself.`,
            `If it should run, look at it there: \`sallyport doctor\``,
          ),
        ]
  if (!isLive) return away
  const skew =
    skewMs === null || Math.abs(skewMs) < skewSaidMs
      ? []
      : [
          note(
            'gates',
            `The clock of ${gate}’s machine is ${seconds(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead of' : 'behind'} the store’s. Gates go by the store’s, so nothing depends on it but other programs’ log lines.`,
            'Let that machine take its time from the network (chrony, systemd-timesyncd)',
          ),
        ]
  return [...skew, ...(isOwn ? [] : warnings.map((warning) => note('gates', `Gate ${gate} says: ${warning}`, null)))]
}

function seconds(ms: number): string {
  return ms < 120_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s` : `${Math.round(ms / 60_000)} min`
}
