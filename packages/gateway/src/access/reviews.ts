import { isSamePerson, SallyportError, type Clock, type Glass, type Json, type Log, type Review } from '@sallyport/core'
import { z } from 'zod'

const name = 'reviews'
const shape = z.array(
  z.object({ request: z.string(), person: z.string(), agent: z.string(), owner: z.string(), atMs: z.number() }),
)

/** A store of this machine answers at once, one that gates share after a while. */
type Awaitable<Value> = Value | Promise<Value>

export interface ReviewPorts {
  readonly clock: Clock
  readonly log: Log
  /** One gate's own, or one that gates share: as it is now, and changed only from what it was thought to be. */
  readonly memory: {
    get(name: string): Awaitable<string | null>
    swap(name: string, before: string | null, after: string): Awaitable<boolean>
  }
  /** People who may break glass. */
  readonly breakers: readonly string[]
  readonly delayMs: number
}

export interface Reviews extends Glass {
  /** What nobody has looked at yet, oldest first. */
  open(): Promise<readonly Review[]>
  /** False: it is not open, or this person may not be the one. On the log before it counts. */
  close(request: string, by: string, signed: { readonly [key: string]: Json }): Promise<boolean>
}

const unseen = 'Nobody has looked at what you last broke glass for. Somebody else has to, first.'
/** How often it is tried again when somebody else was quicker, at this gate or another. */
const triesMax = 20

/** Who broke glass, and that another person looks at it. */
export function openReviews({ clock, log, memory, breakers, delayMs }: ReviewPorts): Reviews {
  const read = async (): Promise<readonly Review[]> => parse(await memory.get(name))
  /** `change` gives what is to be kept, or null for nothing at all. False: it gave null. */
  const keep = async (change: (open: readonly Review[]) => readonly Review[] | null): Promise<boolean> => {
    for (let tries = 0; tries < triesMax; tries += 1) {
      const before = await memory.get(name)
      const after = change(parse(before))
      if (after === null) return false
      if (await memory.swap(name, before, JSON.stringify(after))) return true
    }
    throw new SallyportError(
      'store_unavailable',
      'What was broken glass for could not be kept: others changed the same list all the time.',
      'Nothing was approved or closed.',
      'Try again.',
    )
  }
  return {
    delayMs: () => delayMs,
    fault: async (person) => {
      if (!breakers.some((breaker) => isSamePerson(breaker, person))) return 'You are none of those who may break glass.'
      return (await read()).some((review) => isSamePerson(review.person, person)) ? unseen : null
    },
    broken: async (review) => {
      const isKept = await keep((open) => {
        const others = open.filter(({ request }) => request !== review.request)
        return others.some(({ person }) => isSamePerson(person, review.person)) ? null : [...others, review]
      })
      return isKept ? null : unseen
    },
    open: read,
    close: async (request, by, signed) => {
      const review = (await read()).find((one) => one.request === request)
      if (review === undefined || isSamePerson(review.person, by)) return false
      const { person, agent } = review
      await log.append({ type: 'glass.reviewed', atMs: clock.nowMs(), agent, data: { ...signed, request, person, by } })
      return keep((open) => {
        const left = open.filter((one) => one.request !== request)
        return left.length === open.length ? null : left
      })
    },
  }
}

function parse(text: string | null): readonly Review[] {
  return shape.parse(JSON.parse(text ?? '[]'))
}
