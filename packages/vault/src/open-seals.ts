import { createHash } from 'node:crypto'
import type { Snapshot } from '@sallyport/core'
import type { Catalogue } from './catalogue.ts'
import { cutChunks } from './chunker.ts'
import { inOrder } from './in-order.ts'
import { VaultFailure } from './failure.ts'
import type { VaultKey } from './key.ts'
import { encryptInside, partsMax, type About, type ChunkReference, type Content, type Part } from './manifest.ts'
import { checkPartName } from './part-name.ts'
import type { MarkedChunk, StagedSeal, Store } from './store.ts'
import { addressesOf, chunkName } from './thing-name.ts'
import type { TrustedClock } from './trusted-clock.ts'
import type { VaultAge } from './vault-age.ts'

/** Chunks of one part that are compressed, encrypted and written at the same time; more is withheld from the sender. */
const chunksInFlight = 4
/** Chunks that are read back ahead of the one being compared: a bucket answers many at once as fast as one. */
const chunksReadAhead = 12
/** How long a second put of one name waits for the first to end before it is refused. */
const brokenPutMs = 2_000

export interface SealLimits {
  /** Seals open at the same time. */
  readonly openMax: number
  /** Plaintext bytes of one snapshot. */
  readonly sealBytesMax: number
  /** Stored bytes of all sealed copies, past which no seal is begun: what is locked can't be freed. Null: none but the disk's. */
  readonly storedBytesMax: number | null
  /** A seal nobody touched for this long is given up. */
  readonly idleMs: number
}

interface OpenSeal {
  readonly about: About
  readonly retainMs: number
  readonly parts: Map<string, Part>
  /** Parts on their way; each promise resolves when its put has ended, well or not. */
  readonly pending: Map<string, Promise<void>>
  readonly staged: StagedSeal
  /** Everything ever put into it, broken streams included, since these lie in staging too. */
  bytes: number
  ended: boolean
  touchedMs: number
}

/** Seals that are not finished. They live in memory and staging only: a crash forgets them, and nothing of them was ever listed. */
export class OpenSeals {
  readonly #store: Store
  readonly #key: VaultKey
  readonly #catalogue: Catalogue
  readonly #clock: TrustedClock
  readonly #age: VaultAge
  readonly #limits: SealLimits
  readonly #monotonicMs: () => number
  readonly #seals = new Map<string, OpenSeal>()
  #beginning = 0

  constructor(
    store: Store,
    key: VaultKey,
    catalogue: Catalogue,
    clock: TrustedClock,
    age: VaultAge,
    limits: SealLimits,
    monotonicMs: () => number,
  ) {
    this.#store = store
    this.#key = key
    this.#catalogue = catalogue
    this.#clock = clock
    this.#age = age
    this.#limits = limits
    this.#monotonicMs = monotonicMs
  }

  get size(): number {
    return this.#seals.size
  }

  async begin(about: About, retainMs: number): Promise<void> {
    await this.giveUpIdle()
    if (this.#seals.size + this.#beginning >= this.#limits.openMax)
      throw new VaultFailure('too_many', `More than ${this.#limits.openMax} seals are open.`)
    const { storedBytesMax } = this.#limits
    if (storedBytesMax !== null && this.#catalogue.chunks.bytes >= storedBytesMax) {
      throw new VaultFailure(
        'quota_reached',
        `The copies take ${this.#catalogue.chunks.bytes} bytes, and the quota is ${storedBytesMax}: nothing was sealed. Raise the quota, or wait until retention ends for some.`,
      )
    }
    // Counted from now on: what is begun at the same time must not be more.
    this.#beginning++
    try {
      const staged = await this.#store.beginSeal(about.seal)
      const touchedMs = this.#monotonicMs()
      this.#seals.set(about.seal, {
        about,
        retainMs,
        parts: new Map(),
        pending: new Map(),
        staged,
        bytes: 0,
        ended: false,
        touchedMs,
      })
    } finally {
      this.#beginning--
    }
  }

  /** Takes one part. It counts once its last byte is on disk; a stream that breaks off leaves nothing, and the name stays free. */
  async put(
    id: string,
    name: string,
    source: AsyncIterable<Uint8Array>,
  ): Promise<{ readonly sha256: string; readonly bytes: number }> {
    const seal = this.#find(id)
    checkPartName(name)
    await untilFree(seal.pending.get(name))
    if (seal.ended) throw sealEnded()
    if (seal.parts.has(name))
      throw new VaultFailure('part_exists', 'A part of this name was put already; a part is written once.')
    if (seal.pending.has(name)) throw new VaultFailure('part_in_progress', 'A part of this name is being put right now.')
    if (seal.parts.size + seal.pending.size >= partsMax)
      throw new VaultFailure('too_many', `A snapshot has ${partsMax} parts at most.`)
    const ended = Promise.withResolvers<void>()
    seal.pending.set(name, ended.promise)
    try {
      const part = await this.#take(seal, name, source)
      seal.parts.set(name, part)
      return { sha256: part.sha256, bytes: part.bytes }
    } finally {
      seal.pending.delete(name)
      ended.resolve()
      seal.touchedMs = this.#monotonicMs()
    }
  }

  /** A part as it now lies on disk, before the seal is finished. */
  async *read(id: string, name: string): AsyncGenerator<Buffer, void, undefined> {
    const seal = this.#find(id)
    const part = seal.parts.get(name)
    if (!part) throw new VaultFailure('not_found', 'This seal has no whole part of this name.')
    for (const chunk of part.chunks) {
      seal.touchedMs = this.#monotonicMs()
      yield await this.#store.readStaged(id, chunk)
    }
  }

  /** Makes a snapshot of the parts: each chunk takes its place, is read back, decrypted and compared; then the manifest is signed. */
  async finish(id: string, content: Content): Promise<Snapshot> {
    const seal = this.#find(id)
    if (seal.pending.size > 0) throw new VaultFailure('part_in_progress', 'A part is still being put; the seal stays open.')
    seal.ended = true
    try {
      const parts = [...seal.parts.values()]
      const chunks = parts.flatMap((part) => part.chunks)
      const madeAtMs = this.#clock.nowMs()
      const times = { madeAtMs, agedMs: this.#age.nowMs(), retainUntilMs: madeAtMs + seal.retainMs }
      await this.#store.keepChunks(seal.staged, chunks, times.retainUntilMs)
      const [, inside] = await Promise.all([
        this.#readBack(seal.staged, parts, times.retainUntilMs),
        encryptInside(this.#key, content, parts),
      ])
      const snapshot = await this.#catalogue.add(seal.about, times, parts, inside)
      for (const part of parts) this.#store.similar.learn(part.chunks, part.marks)
      if (!this.#store.fastens) return snapshot
      await this.#store.clearSeal(id)
      await this.#store.fasten([...addressesOf(chunks).map(chunkName), this.#catalogue.nameOf(snapshot.id)])
      return snapshot
    } finally {
      this.#seals.delete(id)
      // Only tidying: what stays behind is cleared at the next start.
      void this.#store.clearSeal(id).catch(() => undefined)
    }
  }

  /** Forgets a seal that will not be finished and frees its room. Nothing that was sealed is touched: what is finished is no open seal. */
  async giveUp(id: string): Promise<void> {
    const seal = this.#find(id)
    seal.ended = true
    this.#seals.delete(id)
    for (const pending of seal.pending.values()) await untilFree(pending)
    await this.#store.clearSeal(id)
  }

  /** Gives up seals that nobody touched for long. */
  async giveUpIdle(): Promise<void> {
    const oldestMs = this.#monotonicMs() - this.#limits.idleMs
    for (const [id, seal] of this.#seals) {
      if (seal.ended || seal.pending.size > 0 || seal.touchedMs > oldestMs) continue
      seal.ended = true
      this.#seals.delete(id)
      await this.#store.clearSeal(id)
    }
  }

  async #take(seal: OpenSeal, name: string, source: AsyncIterable<Uint8Array>): Promise<Part> {
    const hash = createHash('sha256')
    const chunks: ChunkReference[] = []
    const marks: Buffer[] = []
    let bytes = 0
    const pieces = cutChunks(source, this.#key.chunkKeys.boundaries)
    let near: string | null = null
    const marked = async function* (this: OpenSeals): AsyncGenerator<MarkedChunk, void, undefined> {
      for await (const piece of pieces) {
        this.#count(seal, piece.length)
        bytes += piece.length
        hash.update(piece)
        const next = this.#store.mark(piece, near)
        ;({ near } = next)
        marks.push(next.mark)
        yield next
      }
    }.call(this)
    const staged = inOrder(marked, chunksInFlight, (next) => this.#store.stageChunk(seal.staged, next))
    for await (const chunk of staged) chunks.push(chunk)
    return { name, bytes, sha256: hash.digest('hex'), chunks, marks: Buffer.concat(marks) }
  }

  #count(seal: OpenSeal, bytes: number): void {
    if (seal.ended) throw sealEnded()
    seal.bytes += bytes
    seal.touchedMs = this.#monotonicMs()
    if (seal.bytes > this.#limits.sealBytesMax)
      throw new VaultFailure('too_large', `A snapshot holds ${this.#limits.sealBytesMax} bytes at most.`)
  }

  async #readBack(staged: StagedSeal, parts: readonly Part[], retainUntilMs: number): Promise<void> {
    for (const part of parts) {
      const hash = createHash('sha256')
      const pieces = inOrder(part.chunks, chunksReadAhead, (chunk) => this.#store.readBack(staged, chunk, retainUntilMs))
      for await (const piece of pieces) hash.update(piece)
      if (hash.digest('hex') !== part.sha256)
        throw new VaultFailure('read_back_failed', 'A part did not read back as it was put; no snapshot was made.')
    }
  }

  #find(id: string): OpenSeal {
    const seal = this.#seals.get(id)
    if (!seal || seal.ended) throw sealEnded()
    return seal
  }
}

function sealEnded(): VaultFailure {
  return new VaultFailure(
    'seal_ended',
    'There is no open seal of this id: it was finished, given up, or the vault was started anew.',
  )
}

/** A sender that broke off and tries again may be faster than the vault notices the break: give the first try time to end. */
async function untilFree(pending: Promise<void> | undefined): Promise<void> {
  if (!pending) return
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, brokenPutMs)
  await Promise.race([pending, late.promise])
  clearTimeout(timer)
}
