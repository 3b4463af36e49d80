import { visibleLine, type Session } from '@sallyport/core'
import { z } from 'zod'
import type { GateLine, GateRoll } from '../control/index.ts'
import type { Roll, Store } from '../store/store.ts'

/** How often this gate tells the others what it has. */
const tellEveryMs = 1_000
/** Told of; the number is told in any case. */
const sessionsToldMax = 500
const textMax = 256
const warningsMax = 20

const subjectShape = z.object({ agent: z.string(), owner: z.string() })
const sessionShape = z.object({
  id: z.string(),
  subject: subjectShape,
  handleId: z.string(),
  protocol: z.string(),
  upstream: z.string(),
  openedAtMs: z.number(),
  peer: z.string(),
})
/** What one gate tells the others of itself. Nothing is decided by it. */
const aboutShape = z.object({
  /** Of its machine's clock, against the store's. */
  skewMs: z.number(),
  isolationLevel: z.number(),
  warnings: z.array(z.string()),
  sessions: z.array(sessionShape),
  sessionsInAll: z.number(),
})
type About = z.infer<typeof aboutShape>

export interface RollCallPorts {
  readonly store: Pick<Store, 'clock' | 'roll'>
  /** This gate's name. */
  readonly gate: string
  readonly sessions: () => readonly Session[]
  readonly posture: () => { readonly isolationLevel: number; readonly warnings: readonly string[] }
  /** Of this machine. */
  readonly wallMs: () => number
}

export interface RollCall {
  /** What people may ask; null: this gate is alone. */
  readonly asked: GateRoll | null
  /** Who else shares the store, in a sentence; null: nobody can. */
  sentence(): Promise<string | null>
  start(): void
  close(): Promise<void>
}

/** Tells the other gates what this one has, and people what all of them have: a second old, and no part of any decision. */
export function openRollCall(ports: RollCallPorts): RollCall {
  const { roll } = ports.store
  if (roll === null) return { asked: null, sentence: async () => null, start: () => undefined, close: async () => undefined }
  let told = ''
  let telling: Promise<void> = Promise.resolve()
  const tell = async (): Promise<void> => {
    const about = JSON.stringify(describe(ports))
    if (about === told) return
    await roll.tell(about)
    told = about
  }
  const turn = (): void => void (telling = telling.then(tell).catch(() => undefined))
  let timer: NodeJS.Timeout | undefined
  return {
    asked: { list: () => list(roll, ports), sessionsElsewhere: async () => elsewhere(await roll.list(), ports.gate) },
    sentence: async () => describeOthers(await roll.list(), ports.gate),
    start: () => {
      turn()
      timer = setInterval(turn, tellEveryMs).unref()
    },
    close: async () => {
      clearInterval(timer)
      await telling
    },
  }
}

function describeOthers({ gates, schema }: Awaited<ReturnType<Roll['list']>>, own: string): string {
  const others = gates.filter(({ gate, isLive }) => isLive && gate !== own).map(({ gate }) => visibleLine(gate))
  const who =
    others.length === 0
      ? 'no other gate that lives now'
      : `${others.length} other${others.length === 1 ? '' : 's'}: ${others.join(', ')}`
  return `This gate is ${own}; it shares its store (schema ${schema}) with ${who}.`
}

function describe({ sessions, posture, wallMs, store }: RollCallPorts): About {
  const all = sessions()
  const { isolationLevel, warnings } = posture()
  return {
    // Rounded, so that a clock that drifts by nothing is nothing new to tell.
    skewMs: Math.round((wallMs() - store.clock.nowMs()) / 100) * 100,
    isolationLevel,
    warnings: warnings.slice(0, warningsMax).map((warning) => warning.slice(0, 2 * textMax)),
    sessions: all.slice(-sessionsToldMax).map(({ id, subject, handleId, protocol, upstream, openedAtMs, peer }) => ({
      id,
      subject,
      handleId,
      protocol,
      upstream: upstream.slice(0, textMax),
      openedAtMs,
      peer: peer.slice(0, textMax),
    })),
    sessionsInAll: all.length,
  }
}

/** Another version of Sallyport may tell something else. */
function readAbout(text: string | null): About | null {
  try {
    return text === null ? null : aboutShape.parse(JSON.parse(text))
  } catch {
    return null
  }
}

async function list(roll: Roll, { gate: own, sessions }: RollCallPorts): Promise<Awaited<ReturnType<GateRoll['list']>>> {
  const { schema, leaseMs, gates } = await roll.list()
  const lines = gates.map(({ gate, isLive, seenMsAgo, about }): GateLine => {
    const read = readAbout(about)
    return {
      gate,
      isOwn: gate === own,
      isLive,
      seenMsAgo,
      skewMs: read?.skewMs ?? null,
      isolationLevel: read?.isolationLevel ?? null,
      warnings: read?.warnings ?? [],
      sessions: gate === own ? sessions().length : isLive ? (read?.sessionsInAll ?? 0) : 0,
    }
  })
  return { schema, leaseMs, gates: lines }
}

function elsewhere({ gates }: Awaited<ReturnType<Roll['list']>>, own: string): readonly (Session & { readonly gate: string })[] {
  return gates
    .filter(({ gate, isLive }) => isLive && gate !== own)
    .flatMap(({ gate, about }) => (readAbout(about)?.sessions ?? []).map((session) => ({ ...session, gate })))
}
