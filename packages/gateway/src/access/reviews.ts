import { isSamePerson, type Clock, type Glass, type Json, type Log, type Review } from '@sallyport/core'
import { z } from 'zod'

const name = 'reviews'
const shape = z.array(
  z.object({ request: z.string(), person: z.string(), agent: z.string(), owner: z.string(), atMs: z.number() }),
)

export interface ReviewPorts {
  readonly clock: Clock
  readonly log: Log
  readonly memory: { get(name: string): string | null; set(name: string, value: string): void }
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

/** Who broke glass, and that another person looks at it. */
export function openReviews({ clock, log, memory, breakers, delayMs }: ReviewPorts): Reviews {
  const read = (): readonly Review[] => shape.parse(JSON.parse(memory.get(name) ?? '[]'))
  return {
    delayMs: () => delayMs,
    fault: async (person) => {
      if (!breakers.some((breaker) => isSamePerson(breaker, person))) return 'You are none of those who may break glass.'
      return read().some((review) => isSamePerson(review.person, person))
        ? 'Nobody has looked at what you last broke glass for. Somebody else has to, first.'
        : null
    },
    broken: async (review) => {
      const others = read().filter(({ request }) => request !== review.request)
      memory.set(name, JSON.stringify([...others, review]))
    },
    open: async () => read(),
    close: async (request, by, signed) => {
      const review = read().find((one) => one.request === request)
      if (review === undefined || isSamePerson(review.person, by)) return false
      const { person, agent } = review
      await log.append({ type: 'glass.reviewed', atMs: clock.nowMs(), agent, data: { ...signed, request, person, by } })
      memory.set(name, JSON.stringify(read().filter((one) => one.request !== request)))
      return true
    },
  }
}
