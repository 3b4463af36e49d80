import { z } from 'zod'
import { duration } from './config-value.ts'

const hourMs = 3_600_000
const minuteMs = 60_000

/** `continuous: {}` of a PostgreSQL upstream: a base copy and every byte of WAL go into the vault, so that any second can be restored. */
export const continuousSchema = z.strictObject({
  /** Any second of this long can be restored. */
  keep: duration.prefault('7d').refine((ms) => ms >= hourMs, 'any second of at least 1h is kept'),
  /** How often a new base copy is taken: a restore replays WAL since the last one. */
  base: duration.prefault('1d').refine((ms) => ms >= minuteMs, 'a base copy is taken at most once a minute'),
  /** What is written may wait this long before it goes into the vault, and would be lost with the server: a restore point never waits. */
  every: duration.prefault('5s').refine((ms) => ms >= 100 && ms <= hourMs, 'WAL waits between 100ms and 1h'),
  /** Whether each base copy is proven by a restore on a scratch server of the gate's machine, which needs room for all of it. */
  drill: z.boolean().default(true),
})
export type ContinuousConfig = z.infer<typeof continuousSchema>

const acceptedShape = z.strictObject({ keep: z.number(), base: z.number(), every: z.number(), drill: z.boolean() })
/** By upstream; those without continuous protection are left out. */
export const acceptedContinuousShape = z.record(z.string(), acceptedShape)
type Accepted = z.infer<typeof acceptedContinuousShape>

/** An upstream, as far as it matters here. */
interface AnyUpstream {
  readonly name: string
  readonly continuous?: ContinuousConfig
}

export function acceptedContinuousOf({ upstreams }: { readonly upstreams: readonly AnyUpstream[] }): Accepted {
  return Object.fromEntries(
    upstreams.flatMap((upstream) => (upstream.continuous !== undefined ? [[upstream.name, upstream.continuous]] : [])),
  )
}

/** Less protection gives more power to whoever destroys: it takes a person (DESIGN §6). */
export function findContinuousWidenings(before: Accepted, after: Accepted, upstreams: readonly string[]): readonly string[] {
  return Object.entries(before).flatMap(([name, known]) => {
    if (!upstreams.includes(name)) return []
    const now = Object.hasOwn(after, name) ? after[name] : undefined
    if (now === undefined) return [`upstreams: ${name} is no longer protected continuously`]
    return [
      ...(now.keep < known.keep ? [`upstreams: of ${name} a shorter time can be restored`] : []),
      ...(now.base > known.base ? [`upstreams: base copies of ${name} are taken less often`] : []),
      ...(known.drill && !now.drill ? [`upstreams: restores of ${name} are no longer tried`] : []),
      ...(now.every > known.every ? [`upstreams: more of ${name} could be lost with its server`] : []),
    ]
  })
}
