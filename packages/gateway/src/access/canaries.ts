import { lstatSync, readFileSync } from 'node:fs'
import { z } from 'zod'

/** As `sallyport scan --canary` writes it: digests only, so that whoever reads it knows no token. */
const fileShape = z.object({
  version: z.literal(1),
  canaries: z
    .array(
      z.object({
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        file: z.string().max(4_096),
        host: z.string().max(300),
      }),
    )
    .max(1_000),
})
type Canary = Readonly<z.infer<typeof fileShape>['canaries'][number]>

/** What protocols ask: is this the digest of a token that was planted? */
export interface Canaries {
  find(sha256: string): Canary | null
  readonly isEmpty: boolean
}

const fileBytesMax = 8 * 1024 * 1024

/** The planted tokens of this state, read again whenever the file has changed. One that can't be read leaves what was known, and is told once. */
export function openCanaries(path: string, report: (problem: string) => void): Canaries {
  let known: ReadonlyMap<string, Canary> = new Map()
  let version = ''
  const current = (): ReadonlyMap<string, Canary> => {
    const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true })
    const now = stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeNs}`
    if (now === version) return known
    version = now
    try {
      known = stat === undefined ? new Map() : readFile(path, stat)
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      report(`${path} can't be read (${why.slice(0, 300)}): canaries planted since the gate last read it do not ring.`)
    }
    return known
  }
  return {
    find: (sha256) => current().get(sha256) ?? null,
    get isEmpty() {
      return current().size === 0
    },
  }
}

function readFile(path: string, stat: { isFile(): boolean; readonly size: bigint }): ReadonlyMap<string, Canary> {
  if (!stat.isFile() || stat.size > fileBytesMax) throw new RangeError('it is no file, or larger than a list of 1,000')
  const { canaries } = fileShape.parse(JSON.parse(readFileSync(path, 'utf8')))
  return new Map(canaries.map((canary) => [canary.sha256, canary]))
}
