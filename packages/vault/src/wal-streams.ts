import { randomBytes } from 'node:crypto'
import { parseLsn, showLsn, type WalStream, type WalStreamAbout } from '@sallyport/core'
import { addressOf } from './chunk.ts'
import { getUnlessDamaged } from './copy-store.ts'
import { VaultFailure } from './failure.ts'
import type { VaultKey } from './key.ts'
import { signRecord } from './signed-record.ts'
import type { Store } from './store.ts'
import type { TrustedClock } from './trusted-clock.ts'
import type { VaultAge } from './vault-age.ts'
import { sealWalPiece, walEnd, walFileBytesMax, walName, type WalName } from './wal-piece.ts'
import {
  describeChain,
  listChains,
  readPiece,
  readWal,
  readWalExpiries,
  walExpiryRecord,
  type WalChain,
  type WalExpiry,
} from './wal-reader.ts'

/** Streams that were begun and have no piece yet. */
const begunMax = 256
/** The beginning of a stream is let go in steps: each leaves a record that outlives it. */
const expireAtOnce = 256
const recordMs = 10 * 366 * 86_400_000

/** What is asked about a piece before it is taken. */
export interface WalAppend {
  readonly sealedBy: string
  readonly from: bigint
  readonly bytes: Uint8Array
  readonly retainMs: number
}

/**
 * Streams of WAL: each a chain of signed pieces, written once. A piece is taken only where it continues its stream, and acknowledged when every
 * store holds it and gave it back.
 */
export class WalStreams {
  readonly #store: Store
  readonly #key: VaultKey
  readonly #clock: TrustedClock
  readonly #age: VaultAge
  /** Whether more may be stored beside so many bytes of WAL: what is locked can't be freed. */
  readonly #hasRoom: (walBytes: number) => boolean
  readonly #begun = new Map<string, WalStreamAbout>()
  #chains: ReadonlyMap<string, WalChain> = new Map()
  readonly #known = new Map<string, WalStream>()
  #expiries: ReadonlyMap<string, WalExpiry> = new Map()
  /** A write failed in between: what lies in the stores is looked at anew before anything else is written. */
  #doubted = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(store: Store, key: VaultKey, clock: TrustedClock, age: VaultAge, hasRoom: (walBytes: number) => boolean) {
    this.#hasRoom = hasRoom
    this.#store = store
    this.#key = key
    this.#clock = clock
    this.#age = age
  }

  /** What all streams take. */
  get storedBytes(): number {
    return [...this.#known.values()].reduce((sum, { storedBytes }) => sum + storedBytes, 0)
  }

  /** Reads what lies in the stores, and gives each store the pieces that it lacks. Damage is told of each stream. */
  async load(): Promise<void> {
    this.#expiries = await readWalExpiries(this.#store.stores, this.#key.publicKey, () => undefined)
    const { chains, leftover } = await listChains(this.#store.stores, this.#expiries)
    this.#chains = chains
    this.#known.clear()
    // Let go, and the vault was stopped before they were removed.
    if (this.#clock.jump() === null) for (const name of leftover) await this.#remove(name)
    for (const chain of this.#chains.values()) {
      await this.#completeLast(chain)
      const known = await describeChain(this.#store.stores, this.#key.publicKey, chain).catch(() => null)
      if (known !== null) this.#known.set(chain.stream, known)
    }
    this.#doubted = false
  }

  begin(about: WalStreamAbout): string {
    if (this.#begun.size >= begunMax)
      throw new VaultFailure('too_many', `More than ${begunMax} streams wait for their first piece.`)
    const stream = randomBytes(16).toString('hex')
    this.#begun.set(stream, about)
    return stream
  }

  list(upstream: string | null): readonly WalStream[] {
    return [...this.#known.values()].filter((stream) => upstream === null || stream.upstream === upstream)
  }

  async append(stream: string, append: WalAppend): Promise<WalStream> {
    return await this.#inTurn(async () => {
      if (this.#doubted) await this.load()
      return await this.#append(stream, append)
    })
  }

  async #append(stream: string, { sealedBy, from, bytes, retainMs }: WalAppend): Promise<WalStream> {
    const known = this.#known.get(stream)
    const about = known ?? this.#begun.get(stream)
    if (!about) throw new VaultFailure('not_found', 'There is no such stream, or it can no longer be read.')
    const head = known === undefined ? from : parseLsn(known.toLsn)
    if (known && known.damage !== null) throw new VaultFailure('damaged', `This stream is broken: ${known.damage}`)
    if (from > head) throw new VaultFailure('wal_gap', `The stream ends at ${showLsn(head)}; ${showLsn(from)} would leave a gap.`)
    // Sent again after an acknowledgement was lost: what is there already is not written twice.
    const fresh = bytes.subarray(Math.min(bytes.length, Number(head - from)))
    if (fresh.length === 0 && known) return known
    if (fresh.length === 0) throw new VaultFailure('bad_request', 'A piece of WAL holds at least one byte.')
    if (!this.#hasRoom(this.storedBytes))
      throw new VaultFailure(
        'quota_reached',
        'The copies take all of the quota: this WAL was not taken. Raise the quota, or wait until retention ends for some.',
      )
    const chain = this.#chains.get(stream) ?? { stream, names: [], storedBytes: 0, damage: null }
    const madeAtMs = this.#clock.nowMs()
    const { upstream, upstreamIdentity, timeline, segmentBytes } = about
    const last = chain.names.at(-1)
    const sealed = await sealWalPiece(
      this.#key,
      {
        upstream,
        upstreamIdentity,
        timeline,
        segmentBytes,
        stream,
        sealedBy,
        sequence: (last?.sequence ?? this.#expiries.get(stream)?.sequence ?? 0) + 1,
        previous: last?.id ?? null,
        fromLsn: showLsn(head),
        madeAtMs,
        agedMs: this.#age.nowMs(),
        retainUntilMs: madeAtMs + retainMs,
      },
      fresh,
    )
    try {
      await this.#store.keepRecord(walName(sealed.name), sealed.file, madeAtMs + retainMs)
    } catch (error) {
      this.#doubted = true
      throw error
    }
    chain.names.push(sealed.name)
    if (!this.#chains.has(stream)) this.#chains = new Map([...this.#chains, [stream, chain]])
    this.#begun.delete(stream)
    const now: WalStream = {
      upstream,
      upstreamIdentity,
      timeline,
      segmentBytes,
      id: stream,
      damage: null,
      fromLsn: known?.fromLsn ?? showLsn(head),
      toLsn: showLsn(walEnd(sealed.name)),
      pieces: chain.names.length,
      firstAtMs: known?.firstAtMs ?? madeAtMs,
      lastAtMs: madeAtMs,
      storedBytes: (known?.storedBytes ?? 0) + sealed.file.length,
    }
    this.#known.set(stream, now)
    return now
  }

  /** From a position on. */
  read(stream: string, from: bigint): AsyncGenerator<Buffer, void, undefined> {
    const chain = this.#chains.get(stream)
    if (!chain) throw new VaultFailure('not_found', 'There is no such stream.')
    return readWal(this.#store.stores, this.#key, { ...chain, names: [...chain.names] }, from)
  }

  /** Gives every store what it lacks: a store may have been added, or a crash came between two of them. */
  async complete(): Promise<void> {
    const { stores } = this.#store
    if (stores.length < 2) return
    for (const chain of this.#chains.values()) for (const name of chain.names) await this.#completePiece(name)
  }

  async #completeLast(chain: WalChain): Promise<void> {
    const last = chain.names.at(-1)
    if (last && this.#store.stores.length > 1) await this.#completePiece(last).catch(() => undefined)
  }

  async #completePiece(name: WalName): Promise<void> {
    const text = walName(name)
    const lacking = []
    for (const store of this.#store.stores) if ((await store.versions(text)).length === 0) lacking.push(store)
    if (lacking.length === 0) return
    const { head } = await readPiece(this.#store.stores, this.#key.publicKey, name)
    for (const store of this.#store.stores) {
      for (const version of await store.versions(text)) {
        const held = await getUnlessDamaged(store, version, walFileBytesMax)
        if (!held || addressOf(held.bytes) !== name.id) continue
        return await this.#store.keepRecord(text, held.bytes, head.retainUntilMs)
      }
    }
  }

  /** Lets the beginnings of streams go whose retention has ended, by the clock and by the vault's age. How many pieces went. */
  async expire(): Promise<number> {
    let gone = 0
    for (const stream of this.#chains.keys()) gone += await this.#inTurn(() => this.#expireBeginning(stream))
    return gone
  }

  async #expireBeginning(stream: string): Promise<number> {
    const chain = this.#chains.get(stream)
    if (!chain || chain.damage !== null) return 0
    const [nowMs, agedMs] = [this.#clock.nowMs(), this.#age.nowMs()]
    let ended = 0
    for (const name of chain.names) {
      const { head } = await readPiece(this.#store.stores, this.#key.publicKey, name)
      const isOver = head.retainUntilMs <= nowMs && agedMs - head.agedMs >= head.retainUntilMs - head.madeAtMs
      if (!isOver) break
      ended += 1
    }
    // The whole of it, or enough to be worth a record.
    if (ended === 0 || (ended < chain.names.length && ended < expireAtOnce)) return 0
    const leaving = chain.names.slice(0, ended)
    const last = leaving.at(-1)
    if (!last) return 0
    const content = { v: 1, stream, sequence: last.sequence, id: last.id, atMs: nowMs, agedMs } as const
    const record = signRecord(this.#key, walExpiryRecord, content)
    await this.#store.keepRecord(record.name, record.bytes, nowMs + recordMs)
    for (const name of leaving) await this.#remove(name)
    await this.load()
    return ended
  }

  async #remove(name: WalName): Promise<void> {
    for (const store of this.#store.stores)
      for (const version of await store.versions(walName(name))) await store.remove(version, this.#clock.nowMs())
  }

  #inTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(job)
    this.#turn = result.catch(() => undefined)
    return result
  }
}
