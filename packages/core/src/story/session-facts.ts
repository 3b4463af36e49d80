import { z } from 'zod'
import type { Event } from '../event.ts'

/** What the log counted of one session's reads between two flushes. */
export interface CountedRead {
  readonly session: string
  readonly key: string
  readonly count: number
  readonly firstAtMs: number
  readonly lastAtMs: number
}

const readsShape = z.object({
  reads: z.array(
    z.object({ session: z.string(), key: z.string(), count: z.number(), firstAtMs: z.number(), lastAtMs: z.number() }),
  ),
})

export function countedReads(event: Event): readonly CountedRead[] {
  if (event.type !== 'reads') return []
  const parsed = readsShape.safeParse(event.data)
  return parsed.success ? parsed.data.reads : []
}

/** Whether it happened in this session itself. Counted reads of many sessions stand in one event. */
export function isOwn(event: Event, session: string): boolean {
  return event.session === session || countedReads(event).some((read) => read.session === session)
}

const aboutShape = z.object({ request: z.string().nullish(), plan: z.string().nullish(), snapshot: z.string().nullish() })

/** Access requests, plans and copies that an event is about: what people did with them later, or before, belongs to the session's story too. */
export function threadsOf({ data }: Event): readonly string[] {
  const parsed = aboutShape.safeParse(data)
  if (!parsed.success) return []
  const { request, plan, snapshot } = parsed.data
  return [request, plan, snapshot].flatMap((thread) => (thread ? [thread] : []))
}

const openedShape = z.object({ owner: z.string(), protocol: z.string(), upstream: z.string(), peer: z.string() })

/** What a `session.opened` event says of its session. */
export interface Opening {
  readonly owner: string
  readonly protocol: string
  readonly upstream: string
  readonly peer: string
}

const nowhere: Opening = { owner: '', protocol: '', upstream: '', peer: '' }

export function readOpening({ data }: Event): Opening {
  const parsed = openedShape.safeParse(data)
  return parsed.success ? parsed.data : nowhere
}

const stopShape = z.object({ kind: z.enum(['session', 'agent', 'owner', 'upstream', 'all']), name: z.string() })

/** Whether a kill or a release concerns a session. */
export function stops(event: Event, session: string, agent: string, { owner, upstream }: Opening): boolean {
  if (event.type !== 'kill' && event.type !== 'release') return false
  const parsed = stopShape.safeParse(event.data)
  if (!parsed.success) return false
  const { kind, name } = parsed.data
  switch (kind) {
    case 'session':
      return name === session
    case 'agent':
      return name === agent
    case 'owner':
      return name === owner
    case 'upstream':
      return name === upstream
    case 'all':
      return true
  }
}
