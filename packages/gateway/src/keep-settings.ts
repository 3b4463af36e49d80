import { dirname, isAbsolute, resolve } from 'node:path'
import { z } from 'zod'
import { duration, name } from './config-value.ts'

/** How whole things are kept and drilled, as sallyport.yaml says it. */

const every = z
  .string({ error: 'written like "every 7d"' })
  .regex(/^every \d{1,6}(m|h|d)$/, 'written like "every 7d"')
  .transform((text) => text.slice('every '.length))
  .pipe(duration)

const check = z
  .strictObject({
    ask: z.string().min(1).max(10_000),
    is: z.union([z.string(), z.number(), z.boolean()]).transform(String).exactOptional(),
    atLeast: z.number().exactOptional(),
    atMost: z.number().exactOptional(),
  })
  .refine(
    ({ is, atLeast, atMost }) => [is, atLeast, atMost].filter((one) => one !== undefined).length === 1,
    'a check has one of is, atLeast and atMost',
  )

const rhythm = {
  /** Makes a proven copy of the whole this often. */
  copy: every.exactOptional(),
  /** Restores the newest copy this often, and compares it. */
  drill: every.exactOptional(),
  /** Asked of the restored copy, after it was compared. */
  checks: z.array(check).max(100).default([]),
}

/** Of an upstream. */
export const keepSchema = z.strictObject({
  ...rhythm,
  /** Nothing is destroyed here unless a drill passed within this time. */
  demand: duration.exactOptional(),
})
export type KeepConfig = z.infer<typeof keepSchema>

/** An API's things are kept through the databases that are tied to them. */
export const demandSchema = keepSchema.pick({ demand: true })

const path = z.string().refine(isAbsolute, 'a path that begins with a slash')

const bucketUrl = z
  .string()
  .regex(
    /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[^?#\s]*)?(\?[^#\s]*)?$/,
    'a bucket is written like s3://BUCKET/PREFIX?region=REGION',
  )
const fileReference = z.string().regex(/^file:.+/, 'the bucket’s credential is a file: reference')

/** Things that no agent reaches through the gate, and that are kept all the same. */
export const keptThingSchema = z.union(
  [
    z.strictObject({ folder: path, ...rhythm }),
    z.strictObject({ sqlite: path, ...rhythm }),
    z.strictObject({ bucket: bucketUrl, credential: fileReference.exactOptional(), ...rhythm }),
  ],
  {
    error: 'what is kept has a folder: or a sqlite: path, or a bucket: such as s3://BUCKET/PREFIX',
  },
)
export type KeptThingConfig = z.infer<typeof keptThingSchema>

export const keepSectionSchema = z.record(name, keptThingSchema, { error: 'keep is a map of names' }).default({})

/** What of it can only become more without being asked for. */
export const acceptedKeepSchema = z.record(
  z.string(),
  z.strictObject({
    copyMs: z.number().nullable(),
    drillMs: z.number().nullable(),
    demandMs: z.number().nullable(),
    checks: z.string(),
    place: z.string(),
  }),
)
export type AcceptedKeep = z.infer<typeof acceptedKeepSchema>

interface Keeping {
  readonly upstreams: readonly { readonly name: string; readonly keep?: Partial<KeepConfig> }[]
  readonly keep: { readonly [name: string]: KeptThingConfig }
}

export function acceptedKeepOf({ upstreams, keep }: Keeping): AcceptedKeep {
  const all = [
    ...upstreams.flatMap(({ name: upstream, keep: kept }) => (kept === undefined ? [] : [[upstream, kept] as const])),
    ...Object.entries(keep),
  ]
  return Object.fromEntries(
    all.map(([one, kept]) => [
      one,
      {
        copyMs: kept.copy ?? null,
        drillMs: kept.drill ?? null,
        demandMs: 'demand' in kept ? (kept.demand ?? null) : null,
        checks: JSON.stringify([...(kept.checks ?? [])]),
        place: placeOf(kept),
      },
    ]),
  )
}

/**
 * A line for each thing that is copied or drilled less often, or of which less is demanded, and for what the gate would read or run anew: a path of
 * its own machine, and questions that a scratch server answers as whoever the gate is.
 */
export function findKeepWidenings(before: AcceptedKeep, after: AcceptedKeep): readonly string[] {
  const newcomers = Object.entries(after).filter(([one]) => !Object.hasOwn(before, one))
  const lines = newcomers.flatMap(([one, { place, checks }]) => [
    ...(place === '' ? [] : [`keep: ${one} is copied: ${place}`]),
    ...(checks === '[]' ? [] : [`keep: drills of ${one} ask other questions`]),
  ])
  return [...lines, ...findLess(before, after)]
}

function findLess(before: AcceptedKeep, after: AcceptedKeep): readonly string[] {
  return Object.entries(before).flatMap(([one, old]) => {
    const now = Object.hasOwn(after, one) ? after[one] : undefined
    const lines: string[] = []
    if (isRarer(old.copyMs, now?.copyMs)) lines.push(`keep: ${one} is copied less often, or no longer`)
    if (isRarer(old.drillMs, now?.drillMs)) lines.push(`keep: ${one} is drilled less often, or no longer`)
    if (isRarer(old.demandMs, now?.demandMs)) lines.push(`keep: what destroys on ${one} runs with an older drill, or with none`)
    if (now !== undefined && old.place !== now.place) lines.push(`keep: ${one} is another place`)
    if (old.checks !== (now?.checks ?? '[]')) lines.push(`keep: drills of ${one} ask other questions`)
    return lines
  })
}

function placeOf(kept: object): string {
  if ('bucket' in kept) return `bucket ${String(kept.bucket)}${'credential' in kept ? ` by ${String(kept.credential)}` : ''}`
  if ('folder' in kept) return `folder ${String(kept.folder)}`
  return 'sqlite' in kept ? `sqlite ${String(kept.sqlite)}` : ''
}

function isRarer(before: number | null, after: number | null | undefined): boolean {
  if (before === null) return false
  return after === null || after === undefined || after > before
}

/** Where a kept thing lies. */
type KeptPlace =
  | { readonly kind: 'bucket'; readonly url: string; readonly credentialFile: string | null }
  | { readonly kind: 'database'; readonly upstream: string }
  | { readonly kind: 'folder' | 'sqlite'; readonly path: string }

interface Planned<Producer> {
  readonly name: string
  readonly producer: Producer
  readonly copyEveryMs: number | null
  readonly drillEveryMs: number | null
  readonly checks: KeepConfig['checks']
}

interface Plan<Producer> {
  readonly kept: readonly Planned<Producer>[]
  readonly demands: ReadonlyMap<string, { readonly withinMs: number; readonly names: readonly string[] }>
}

interface PlannedConfig extends Keeping {
  /** Of the configuration: files are named from its folder. */
  readonly path: string
  readonly upstreams: readonly {
    readonly name: string
    readonly protocol: 'postgres' | 'http'
    readonly keep?: Partial<KeepConfig>
    readonly tied?: { readonly [type: string]: { readonly [id: string]: string } }
  }[]
}

/** Everything that is kept: each PostgreSQL upstream, asked for or not, and what stands under `keep`. */
export function planKeeping<Producer>(
  { upstreams, keep, path: file }: PlannedConfig,
  open: (place: KeptPlace) => Producer,
): Plan<Producer> {
  const databases = upstreams.filter(({ protocol }) => protocol === 'postgres')
  const rhythmOf = (kept: Partial<KeepConfig> | undefined): Omit<Planned<Producer>, 'name' | 'producer'> => ({
    copyEveryMs: kept?.copy ?? null,
    drillEveryMs: kept?.drill ?? null,
    checks: kept?.checks ?? [],
  })
  const demands = upstreams.flatMap(({ name: upstream, protocol, keep: kept, tied = {} }) => {
    if (kept?.demand === undefined) return []
    const names = protocol === 'postgres' ? [upstream] : [...new Set(Object.values(tied).flatMap((ties) => Object.values(ties)))]
    return [[upstream, { withinMs: kept.demand, names }] as const]
  })
  return {
    kept: [
      ...databases.map(({ name: upstream, keep: kept }) => ({
        name: upstream,
        producer: open({ kind: 'database', upstream }),
        ...rhythmOf(kept),
      })),
      ...Object.entries(keep).map(([one, kept]) => ({
        name: one,
        producer: open(placeOfThing(kept, file)),
        ...rhythmOf(kept),
      })),
    ],
    demands: new Map(demands),
  }
}

function placeOfThing(kept: KeptThingConfig, file: string): KeptPlace {
  if ('folder' in kept) return { kind: 'folder', path: kept.folder }
  if ('sqlite' in kept) return { kind: 'sqlite', path: kept.sqlite }
  const credential = kept.credential?.replace(/^file:/, '') ?? null
  return { kind: 'bucket', url: kept.bucket, credentialFile: credential === null ? null : resolve(dirname(file), credential) }
}
