import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { readIfThere, replaceState } from './disk.ts'
import type { VaultKey } from './key.ts'
import { readSignedLine, writeSignedLine } from './signed-line.ts'
import type { TrustedClock } from './trusted-clock.ts'

export const findingKinds = [
  /** Something that hides what lies under a name: a delete marker. */
  'hidden',
  /** Other bytes under a name that the vault has written. */
  'foreign_version',
  /** Something that the vault did not put there. */
  'foreign_object',
  /** Something that the vault put there, and did not let go. */
  'gone',
  /** The store would let it go before its time. */
  'lock_shortened',
  /** The place was set up otherwise. */
  'setup_changed',
  /** Somebody with the gate's credential asked for what no credential may have. */
  'refused',
  /** More of it than is told one by one. */
  'more',
] as const

/** One try to lose, change or hide a copy. */
export interface Finding {
  readonly kind: (typeof findingKinds)[number]
  /** The store, or `vault` for its own verbs. */
  readonly place: string
  readonly name: string
  /** Tells two tries on one name apart. */
  readonly mark: string
  /** One sentence. */
  readonly what: string
}

const traceSchema = z.strictObject({
  /** Grows with every change of any trace: what a reader has not seen yet has a higher one. */
  number: z.int().min(1),
  /** Of the kind, place, name and mark. */
  id: z.string().regex(/^[0-9a-f]{32}$/),
  atMs: z.int().min(0),
  times: z.int().min(1),
  kind: z.enum(findingKinds),
  place: z.string(),
  name: z.string(),
  what: z.string(),
})
/** A try as it is remembered and told. */
export type Trace = z.infer<typeof traceSchema>

const bookSchema = z.strictObject({
  v: z.literal(1),
  last: z.int().min(0),
  traces: z.array(traceSchema),
  /** How each place was set up when it was last looked at. */
  setups: z.record(z.string(), z.record(z.string(), z.string())),
})

/** What is not in the book any more is on the gate's log since long; if it is still there it is told once more. */
const tracesMax = 2_000
const nameLengthMax = 200
const whatLengthMax = 500
export const bookBytesMax = 16 << 20
const settleMs = 200

/** Remembers tries to lose copies until the gate has put them onto its log, over restarts of both. */
export class TraceBook {
  readonly #path: string
  readonly #key: VaultKey
  readonly #clock: Pick<TrustedClock, 'nowMs'>
  readonly #traces = new Map<string, Trace>()
  #last = 0
  #setups: Readonly<Record<string, Readonly<Record<string, string>>>> = {}
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> = Promise.resolve()

  constructor(folder: string, key: VaultKey, clock: Pick<TrustedClock, 'nowMs'>) {
    this.#path = join(folder, 'traces')
    this.#key = key
    this.#clock = clock
  }

  async load(): Promise<void> {
    const bytes = await readIfThere(this.#path, bookBytesMax)
    if (!bytes) return
    const { last, traces, setups } = bookSchema.parse(readSignedLine(this.#key.publicKey, 'traces', bytes))
    this.#last = last
    this.#setups = setups
    for (const trace of traces) this.#traces.set(trace.id, trace)
  }

  get last(): number {
    return this.#last
  }

  /** Those that changed after this number, oldest change first. */
  after(number: number, max: number): readonly Trace[] {
    const changed = [...this.#traces.values()].filter((trace) => trace.number > number)
    return changed.sort((left, right) => left.number - right.number).slice(0, max)
  }

  /** What lies there is found again at each look, and is one try; a request that is made again is another. */
  add({ kind, place, name, mark, what }: Finding): void {
    const id = createHash('sha256')
      .update(JSON.stringify([kind, place, name, mark]))
      .digest('hex')
      .slice(0, 32)
    const known = this.#traces.get(id)
    if (known && kind !== 'refused') return
    this.#traces.delete(id)
    const shown = { place, name: showText(name, nameLengthMax), what: showText(what, whatLengthMax) }
    this.#traces.set(id, { number: ++this.#last, id, atMs: this.#clock.nowMs(), times: (known?.times ?? 0) + 1, kind, ...shown })
    const [oldest] = this.#traces.keys()
    if (this.#traces.size > tracesMax && oldest !== undefined) this.#traces.delete(oldest)
    this.#timer ??= setTimeout(() => void this.flush(), settleMs).unref()
  }

  /** How a place was set up before; null when it was never looked at. */
  setupOf(place: string): Readonly<Record<string, string>> | null {
    return this.#setups[place] ?? null
  }

  keepSetup(place: string, setup: Readonly<Record<string, string>>): void {
    this.#setups = { ...this.#setups, [place]: setup }
    this.#timer ??= setTimeout(() => void this.flush(), settleMs).unref()
  }

  /** Durable when it resolves, unless the disk is full: then the next change tries again. */
  async flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#writing = this.#writing.then(async () => {
      const traces = [...this.#traces.values()]
      const setups = Object.fromEntries(Object.entries(this.#setups).map(([place, setup]) => [place, { ...setup }]))
      const book = { v: 1, last: this.#last, traces: traces.map((trace) => ({ ...trace })), setups }
      await replaceState(this.#path, writeSignedLine(this.#key, 'traces', book)).catch(() => undefined)
    })
    await this.#writing
  }
}

/** Names come from whoever put something there. */
function showText(text: string, lengthMax: number): string {
  const whole = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (one) => `\\u{${one.codePointAt(0)?.toString(16) ?? ''}}`)
  return whole.length > lengthMax ? `${whole.slice(0, lengthMax)}…` : whole
}
