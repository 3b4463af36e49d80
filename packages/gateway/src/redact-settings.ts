import { z } from 'zod'

const markedMax = 1_000
const part = String.raw`[A-Za-z_][A-Za-z0-9_]{0,62}`

/** `redact: [customers.email]` of a PostgreSQL upstream: what is compared with these or written to them stays out of the log. */
export const redactSchema = z
  .array(
    z
      .string()
      .regex(
        new RegExp(`^${part}([.]${part}){0,2}$`),
        'a marked column is written like customers.email or shop.customers.email, a table or view by its name',
      ),
  )
  .max(markedMax)

/** By upstream; those that mark nothing are left out. */
export const acceptedRedactShape = z.record(z.string(), z.array(z.string()))
type Accepted = z.infer<typeof acceptedRedactShape>

interface AnyUpstream {
  readonly name: string
  readonly redact?: readonly string[]
}

export function acceptedRedactOf({ upstreams }: { readonly upstreams: readonly AnyUpstream[] }): Accepted {
  return Object.fromEntries(
    upstreams.flatMap(({ name, redact = [] }) => (redact.length === 0 ? [] : [[name, redact.toSorted()]])),
  )
}

/** Less redaction shows the log's readers more; more of it hides from them what agents do. Both take a person (DESIGN §6). */
export function findRedactWidenings(before: Accepted, after: Accepted): readonly string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
    const [was = [], is = []] = [before, after].map((one) => (Object.hasOwn(one, name) ? (one[name] ?? []) : []))
    const shown = was.filter((column) => !is.includes(column))
    const hidden = is.filter((column) => !was.includes(column))
    return [
      ...(shown.length > 0 ? [`upstreams: the log shows values of ${shown.join(', ')} of ${name}`] : []),
      ...(hidden.length > 0 ? [`upstreams: the log no longer shows values of ${hidden.join(', ')} of ${name}`] : []),
    ]
  })
}
