import {
  parseLsn,
  SallyportError,
  showLsn,
  type Json,
  type ProtectionState,
  type RestorePoint,
  type WalServer,
  type WalStream,
} from '@sallyport/core'
import { BaseKeeper } from './base-keeper.ts'
import { drillChain } from './chain-drill.ts'
import {
  currentKey,
  notProtected,
  readProven,
  writeProven,
  type ContinuousPorts,
  type ContinuousSettings,
  type ContinuousStatus,
} from './continuous-status.ts'
import { WalReceiver } from './wal-receiver.ts'

const retryMsMin = 250
const retryMsMax = 10_000
const impossibleEveryMs = 60_000
const lookEveryMs = 10_000
const markTimeoutMs = 10_000
const drillTimeoutMs = 60_000
const hourMs = 3_600_000
/** A server that may keep less than this many files of WAL for us is close to letting some go. */
const filesKeptMin = 4

/** What no longer rings once WAL is durable again. */
const recovered = [
  'protection_impossible',
  'protection_interrupted',
  'protection_broken',
  'protection_slot',
  'protection_stalled',
] as const

/** One PostgreSQL upstream under continuous protection: keeps a stream of WAL and base copies in the vault, for as long as the gate runs. */
export class Continuous {
  readonly #ports: ContinuousPorts
  readonly #settings: ContinuousSettings
  readonly #slot: string
  readonly #stopped = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #receiver: WalReceiver | null = null
  #server: WalServer | null = null
  #stream: WalStream | null = null
  readonly #bases: BaseKeeper
  /** The slot is of no use as it is. */
  #renewSlot = false
  #state: ContinuousStatus['state'] = 'starting'
  #why: string | null = null
  /** Alarms that ring now: each once. */
  readonly #ringing = new Set<string>()

  constructor(ports: ContinuousPorts, settings: ContinuousSettings, slot: string) {
    this.#ports = ports
    this.#settings = settings
    this.#slot = slot
    const { upstream, baseEveryMs } = settings
    this.#bases = new BaseKeeper(
      ports,
      { upstream, everyMs: baseEveryMs, retainMs: this.#retainMs() },
      {
        note: (data) => this.#note('snapshot.sealed', data),
        sealed: (snapshot) => this.#drill(snapshot),
        // The gate may have been stopped before it was tried.
        found: async (snapshot) => (this.#provenAtMs() === null ? this.#drill(snapshot) : undefined),
        failed: (why) => this.#ring('protection_base', `No base copy could be taken: ${why}`, 'It is tried again.'),
      },
    )
  }

  start(): void {
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    this.#receiver?.close()
    this.#ports.source.close()
    this.#bases.close()
    await this.#running
  }

  get status(): ContinuousStatus {
    const [stream, receiver, base] = [this.#stream, this.#receiver, this.#bases.current]
    return {
      upstream: this.#settings.upstream,
      state: this.#state,
      why: this.#why,
      stream: stream?.id ?? null,
      durableLsn: stream?.toLsn ?? null,
      durableAtMs: stream?.lastAtMs ?? null,
      behindBytes: receiver === null ? null : Number(receiver.received - receiver.durable),
      base: base === null ? null : { snapshot: base.snapshot.id, atMs: base.snapshot.madeAtMs },
      provenAtMs: this.#provenAtMs(),
      restoreTookMs: readProven(this.#ports.memory, stream?.id ?? null)?.tookMs ?? null,
    }
  }

  /** Null unless the chain reaches from a base to this moment. */
  get protection(): ProtectionState | null {
    const [receiver, stream, base] = [this.#receiver, this.#stream, this.#bases.current]
    if (this.#state !== 'streaming' || receiver === null || stream === null || base === null) return null
    if (base.endLsn > receiver.durable) return null
    return { stream: stream.id, base: base.snapshot.id, durableLsn: showLsn(receiver.durable), provenAtMs: this.#provenAtMs() }
  }

  async mark(name: string): Promise<RestorePoint> {
    const [receiver, stream] = [this.#receiver, this.#stream]
    if (this.protection === null || receiver === null || stream === null) throw notProtected(this.#settings.upstream, this.#why)
    const { lsn, named } = await this.#ports.source.mark(name)
    await receiver.waitFor(parseLsn(lsn), markTimeoutMs)
    return { name, lsn, stream: stream.id, named }
  }

  async #run(): Promise<void> {
    const { clock } = this.#ports
    const { signal } = this.#stopped
    let delayMs = retryMsMin
    while (!signal.aborted) {
      const beganMs = clock.nowMs()
      try {
        const server = await this.#ports.source.look(this.#slot)
        this.#server = server
        if (server.obstacle !== null) {
          await this.#tellImpossible(server.obstacle)
          await clock.sleep(impossibleEveryMs, signal)
          continue
        }
        await this.#receive(server)
      } catch (error) {
        if (signal.aborted) return
        await this.#break(error)
      }
      // One that ran for a while before it broke is tried again at once.
      delayMs = clock.nowMs() - beganMs > retryMsMax ? retryMsMin : Math.min(retryMsMax, delayMs * 2)
      await clock.sleep(delayMs, signal)
    }
  }

  async #tellImpossible({ reason, remedy }: { readonly reason: string; readonly remedy: string }): Promise<void> {
    this.#state = 'impossible'
    this.#why = `${reason}. ${remedy}`
    await this.#ring('protection_impossible', `Continuous protection is not possible: ${reason}.`, remedy)
  }

  async #break(error: unknown): Promise<void> {
    const why = error instanceof SallyportError ? error.message : 'it failed in a way that was not expected'
    this.#state = 'waiting'
    this.#why = why
    // WAL is gone that the vault lacks, or it is another server or timeline: what is there stays, and something new begins.
    if (error instanceof SallyportError && error.code === 'target_changed') await this.#giveUpStream(why)
    await this.#ring('protection_interrupted', why, 'The gate tries again by itself; the server keeps WAL for its slot.')
  }

  async #giveUpStream(why: string): Promise<void> {
    const stream = this.#stream
    this.#stream = null
    this.#bases.forget()
    this.#renewSlot = true
    this.#ports.memory.set(currentKey(this.#settings.upstream), '')
    await this.#note('protection.broken', { stream: stream?.id ?? null, toLsn: stream?.toLsn ?? null, why })
    await this.#ring(
      'protection_broken',
      why,
      'A new base copy and a new stream begin now. What was received before can still be restored.',
    )
  }

  async #receive(server: WalServer): Promise<void> {
    const { source, vault, clock } = this.#ports
    const known = await this.#findStream(server)
    await this.#mendSlot(server, known !== null)
    const stream = known ?? (await this.#beginStream(server))
    const from = parseLsn(stream.toLsn)
    const feed = await source.feed(this.#slot, { lsn: from, timeline: server.timeline })
    const receiver = new WalReceiver(
      {
        vault: vault.wal,
        clock,
        pieceEveryMs: this.#settings.pieceEveryMs,
        retainMs: this.#retainMs(),
        advanced: (now) => this.#advance(now),
        stalled: (why) => void this.#stall(why),
      },
      feed,
      stream.id,
      from,
    )
    this.#receiver = receiver
    if (known !== null) this.#advance(known)
    const watched = new AbortController()
    const watching = this.#watch(AbortSignal.any([watched.signal, this.#stopped.signal]))
    try {
      await receiver.run()
    } finally {
      watched.abort()
      this.#receiver = null
      await watching
    }
  }

  /** The stream that was received into last, if this server still goes on from it. */
  async #findStream(server: WalServer): Promise<WalStream | null> {
    const { vault, memory } = this.#ports
    const id = memory.get(currentKey(this.#settings.upstream))
    if (id === null || id === '') return null
    const stream = (await vault.wal.list(this.#settings.upstream)).find((one) => one.id === id) ?? null
    if (stream === null) return null
    this.#stream = stream
    const other =
      stream.damage ??
      (stream.upstreamIdentity !== server.identity ? 'the upstream is another server or database than before' : null) ??
      (stream.timeline !== server.timeline ? `the server went from timeline ${stream.timeline} to ${server.timeline}` : null) ??
      (parseLsn(stream.toLsn) > parseLsn(server.endLsn) ? 'the server is behind what it sent before: it was put back' : null)
    if (other !== null) {
      await this.#giveUpStream(other)
      return null
    }
    return stream
  }

  /** A slot that is gone or lost is made anew. Whether WAL is missing shows when the stream goes on. */
  async #mendSlot({ slot }: WalServer, expected: boolean): Promise<void> {
    const isUsable = slot !== null && slot.lostWhy === null && (expected || slot.restartLsn !== null)
    if (isUsable && !this.#renewSlot) return
    if (expected)
      await this.#ring(
        'protection_slot',
        slot === null
          ? `The replication slot ${this.#slot} was dropped.`
          : `The replication slot ${this.#slot} was invalidated: ${slot.lostWhy ?? ''}.`,
        'It is made anew. If WAL was lost in between, a new base copy is taken.',
      )
    await this.#ports.source.makeSlot(this.#slot)
    this.#renewSlot = false
  }

  async #beginStream(server: WalServer): Promise<WalStream> {
    const { source, vault, memory, clock } = this.#ports
    const { upstream } = this.#settings
    const { slot } = await source.look(this.#slot)
    const restart = parseLsn(slot?.restartLsn ?? server.endLsn)
    // A WAL file is read from its first page on, so the stream begins with one.
    const from = showLsn(restart - (restart % BigInt(server.segmentBytes)))
    const about = { upstream, upstreamIdentity: server.identity, timeline: server.timeline, segmentBytes: server.segmentBytes }
    const id = await vault.wal.begin(about)
    memory.set(currentKey(upstream), id)
    await this.#note('protection.began', { stream: id, fromLsn: from, slot: this.#slot, timeline: server.timeline })
    const atMs = clock.nowMs()
    this.#bases.forget()
    this.#stream = {
      ...about,
      id,
      fromLsn: from,
      toLsn: from,
      pieces: 1,
      firstAtMs: atMs,
      lastAtMs: atMs,
      storedBytes: 0,
      damage: null,
    }
    return this.#stream
  }

  #advance(stream: WalStream): void {
    this.#stream = stream
    this.#state = 'streaming'
    this.#why = null
    for (const kind of recovered) this.#ringing.delete(kind)
    if (this.#server !== null) this.#bases.look(stream, this.#server)
  }

  async #stall(why: string | null): Promise<void> {
    if (why === null) return
    this.#state = 'stalled'
    this.#why = why
    await this.#ring(
      'protection_stalled',
      `The vault does not take WAL: ${why}`,
      'Nothing is confirmed to the server, which keeps its WAL until then.',
    )
  }

  /** Looks at the slot while WAL comes: how much the server still keeps, and whether it is there at all. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { source, clock } = this.#ports
    while (!signal.aborted) {
      await clock.sleep(lookEveryMs, signal)
      if (signal.aborted) return
      const server = await source.look(this.#slot).catch(() => null)
      if (server === null || signal.aborted) continue
      this.#server = server
      if (server.slot === null || server.slot.lostWhy !== null) this.#receiver?.close()
      if (server.keepsBytes !== null && server.keepsBytes < filesKeptMin * server.segmentBytes)
        await this.#ring(
          'protection_lag',
          `The server keeps only ${server.keepsBytes} bytes more of WAL for the gate.`,
          'Raise max_slot_wal_keep_size, or find out why the vault is slow.',
        )
    }
  }

  /** A restore point is one only when a restore from it was made and verified (DESIGN §2). */
  async #drill(base: string): Promise<void> {
    const { source, vault, clock } = this.#ports
    const stream = this.#stream
    if (!this.#settings.drill || stream === null || this.#stopped.signal.aborted) return
    const beganMs = clock.nowMs()
    const about = { drill: 'chain', stream: stream.id, base }
    const untilDurable = async (lsn: bigint): Promise<void> => {
      if (this.#receiver === null) throw notProtected(this.#settings.upstream, this.#why)
      await this.#receiver.waitFor(lsn, drillTimeoutMs)
    }
    try {
      const { lsn, tables, rows } = await drillChain({ source, vault, untilDurable }, stream, base)
      writeProven(this.#ports.memory, stream.id, clock.nowMs(), clock.nowMs() - beganMs)
      this.#ringing.delete('protection_drill')
      await this.#note('drill', {
        ...about,
        passed: true,
        lsn,
        tables,
        rows,
        tookMs: clock.nowMs() - beganMs,
        why: 'every table was compared',
      })
    } catch (error) {
      if (this.#stopped.signal.aborted) return
      const why =
        error instanceof SallyportError ? error.message : error instanceof Error ? error.message.slice(0, 300) : 'it failed'
      await this.#note('drill', { ...about, passed: false, lsn: null, tables: 0, rows: 0, tookMs: clock.nowMs() - beganMs, why })
      await this.#ring(
        'protection_drill',
        `A restore of this chain was tried and failed: ${why}`,
        'Its restore points count for nothing until one passed.',
      )
    }
  }

  #retainMs(): number {
    return this.#settings.keepMs + 2 * this.#settings.baseEveryMs + hourMs
  }

  #provenAtMs(): number | null {
    return readProven(this.#ports.memory, this.#stream?.id ?? null)?.atMs ?? null
  }

  async #ring(kind: string, what: string, next: string): Promise<void> {
    if (this.#ringing.has(kind) || this.#stopped.signal.aborted) return
    this.#ringing.add(kind)
    await this.#note('alarm', { kind, what, next })
  }

  async #note(
    type: 'alarm' | 'drill' | 'protection.began' | 'protection.broken' | 'snapshot.sealed',
    data: Readonly<Record<string, Json>>,
  ): Promise<void> {
    const { log, clock } = this.#ports
    await log.append({ type, atMs: clock.nowMs(), data: { upstream: this.#settings.upstream, ...data } })
  }
}
