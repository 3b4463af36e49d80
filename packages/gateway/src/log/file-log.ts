import { join } from 'node:path'
import {
  type ArchivedRange,
  type Clock,
  coveredUntil,
  decodeEntry,
  type Event,
  type Hash,
  type Log,
  type NoteSigner,
  segmentName,
  type TileTree,
  type Witness,
} from '@sallyport/core'
import { ArchivedEntries, type ArchiveVault, readReceipts } from './archived-entries.ts'
import { type Claims, readClaims, writeKeys } from './claims.ts'
import { Cosigners } from './cosigners.ts'
import { diskFileSystem, type FileSystem } from './file-system.ts'
import { GroupCommit } from './group-commit.ts'
import { lockLog } from './lock.ts'
import type { LogHealth } from './log-health.ts'
import { type FilledTile, Publisher, type TreeState } from './publisher.ts'
import type { EncodedEvent } from './read-counts.ts'
import { entriesDirectory, recover, type Recovered } from './recovery.ts'
import { makeSalts } from './salt.ts'
import { TileFiles } from './tile-files.ts'

export interface LogSettings {
  readonly directory: string
  /** Signs checkpoints; its name is the log's origin. */
  readonly signer: NoteSigner
  readonly clock: Clock
  readonly witness: Witness | null
  /** Witnesses beside it, and how many cosignatures of all are wanted. */
  readonly further?: { readonly witnesses: readonly Witness[]; readonly needed: number }
  /** Where what was archived lies. Without it such entries cannot be read. */
  readonly archive?: ArchiveVault | null
  readonly system?: FileSystem
  readonly monotonicMs?: () => number
  /** Default: random. */
  readonly salt?: () => string
  /** A new segment is begun when the last one has this many bytes. Default 64 MiB. */
  readonly segmentBytesMax?: number
  /** Up to this many bytes of entries are all read at each start; above, only those since the last checkpoint. Default 32 MiB, about half a second. */
  readonly scanBytesMax?: number
  /** How long counted reads are gathered. Default 5 ms. */
  readonly readsFlushAfterMs?: number
  /** The limit of promise 7. Default 10 ms. */
  readonly readsDurableWithinMs?: number
  /** The shortest time between two checkpoints. Default 1 s. */
  readonly checkpointEveryMs?: number
  /** How long the witness may take to answer. Default 5 s. */
  readonly witnessTimeoutMs?: number
  /** Hears of what went wrong in the background. */
  readonly report?: (problem: string) => void
}

export interface LoggedEvent {
  readonly index: number
  readonly event: Event
}

/**
 * The log in a directory. How promise 7 is met: an awaited `append` resolves only after fdatasync. A counted read is written within
 * `readsFlushAfterMs` and durable one fdatasync later; as soon as the oldest one that is not durable is older than
 * `readsDurableWithinMs` (10 ms), `appendRead` throws, so no further read is let through until the disk has caught up. A caller that would
 * rather wait than refuse awaits an `append` of its own, which resolves when the disk has.
 */
export interface FileLog extends Log {
  catchUp(): Promise<void>
  /** Entries that are durable. */
  size(): number
  /** Durable events from this index on, at most `count`. */
  read(from: number, count: number): Promise<readonly LoggedEvent[]>
  /** The same as bytes; those that lie in the vault and not here are fetched. */
  entries(from: number, count: number): Promise<readonly Uint8Array[]>
  /** What lies here in segments, oldest first. The last one grows. */
  segments(): readonly { readonly first: number; readonly next: number }[]
  /** What receipts say lies in the vault. */
  archived(): readonly ArchivedRange[]
  /** One whose receipt is durable beside the log. */
  addArchived(range: ArchivedRange): void
  /** Removes the segments before this entry, for good. Only for what was archived and read back. */
  dropBefore(next: number): Promise<void>
  /** Hears of events once they are durable, in order; ends with the function returned. A listener that throws is reported, not obeyed. */
  subscribe(listener: (events: readonly LoggedEvent[]) => void): () => void
  /** The newest signed checkpoint. */
  checkpoint(): string | null
  /** The newest checkpoint with the witness's cosignature. */
  witnessed(): string | null
  onCheckpoint(listener: (text: string) => void): () => void
  /** Signs what is durable now and has it witnessed, without waiting for its turn. */
  publish(): Promise<void>
  /** As `publish`, signed by the key that takes the place of the log's own, too. */
  publishWith(successor: NoteSigner): Promise<void>
  health(): LogHealth
  /** Has on disk, signed and witnessed what was appended so far. */
  close(): Promise<void>
}

const defaults = {
  segmentBytesMax: 64 * 1024 * 1024,
  scanBytesMax: 32 * 1024 * 1024,
  readsFlushAfterMs: 5,
  readsDurableWithinMs: 10,
  checkpointEveryMs: 1000,
  witnessTimeoutMs: 5000,
}
const readCountMax = 10_000

/** @throws SallyportError `log_unavailable` when the log cannot be believed or is open elsewhere; `vault_unavailable` when its witness cannot be asked */
export async function openLog(settings: LogSettings): Promise<FileLog> {
  const system = settings.system ?? diskFileSystem
  const { directory } = settings
  await system.makeDirectory(join(directory, entriesDirectory))
  const unlock = await lockLog(system, directory)
  const claimSettings = {
    ...settings,
    report: settings.report ?? (() => {}),
    witnessTimeoutMs: settings.witnessTimeoutMs ?? defaults.witnessTimeoutMs,
  }
  try {
    const tiles = new TileFiles(system, directory)
    const { claims, own, witnessed } = await readClaims(claimSettings, system)
    const filled: FilledTile[] = []
    let isOpen = false
    const expected = { origin: settings.signer.key.name, vault: settings.archive?.publicKey ?? '' }
    const ranges = settings.archive ? await readReceipts(system, directory, expected, claimSettings.report) : []
    const recovered = await recover({
      system,
      archivedUntil: coveredUntil(ranges),
      directory,
      tiles,
      claims,
      scanBytesMax: settings.scanBytesMax ?? defaults.scanBytesMax,
      full: (tile, entries) => filled.push({ tile, entries, mayExist: !isOpen }),
    })
    isOpen = true
    await writeKeys(claimSettings, system)
    const log = new DirectoryLog({
      settings,
      system,
      tiles,
      recovered,
      filled,
      own,
      witnessed,
      unlock,
      old: new ArchivedEntries(tiles, settings.archive ?? null, ranges),
    })
    await log.publish()
    const { failure } = log.health()
    if (failure === null) return log
    await log.close()
    throw failure
  } catch (error) {
    await unlock()
    throw error
  }
}

interface Parts {
  readonly settings: LogSettings
  readonly system: FileSystem
  readonly tiles: TileFiles
  readonly recovered: Recovered
  readonly filled: FilledTile[]
  readonly own: Claims['own']
  readonly witnessed: Claims['witnessed']
  readonly unlock: () => Promise<void>
  readonly old: ArchivedEntries
}

class DirectoryLog implements FileLog {
  readonly #commit: GroupCommit
  readonly #publisher: Publisher
  readonly #tree: TileTree
  readonly #bundle: Uint8Array[]
  readonly #listeners = new Set<(events: readonly LoggedEvent[]) => void>()
  readonly #report: (problem: string) => void
  readonly #readsDurableWithinMs: number
  readonly #parts: Parts
  readonly #filled: FilledTile[]
  readonly #reading = new Set<Promise<unknown>>()
  #closing: Promise<void> | null = null

  constructor(parts: Parts) {
    const { settings, system, tiles, recovered } = parts
    this.#parts = parts
    this.#tree = recovered.tree
    this.#bundle = recovered.bundle
    this.#filled = parts.filled
    this.#report = settings.report ?? (() => {})
    this.#readsDurableWithinMs = settings.readsDurableWithinMs ?? defaults.readsDurableWithinMs
    this.#commit = new GroupCommit(
      {
        system,
        entriesDirectory: join(settings.directory, entriesDirectory),
        clock: settings.clock,
        monotonicMs: settings.monotonicMs ?? (() => performance.now()),
        salt: settings.salt ?? makeSalts(),
        segmentBytesMax: settings.segmentBytesMax ?? defaults.segmentBytesMax,
        readsFlushAfterMs: settings.readsFlushAfterMs ?? defaults.readsFlushAfterMs,
        readsDurableWithinMs: this.#readsDurableWithinMs,
        durable: (firstIndex, group, leaves) => this.#grow(firstIndex, group, leaves),
      },
      recovered.segments,
    )
    this.#publisher = new Publisher(
      {
        system,
        directory: settings.directory,
        tiles,
        signer: settings.signer,
        witness: settings.witness,
        further:
          settings.further === undefined || settings.further.witnesses.length === 0
            ? null
            : {
                cosigners: new Cosigners(settings.further.witnesses, settings.witnessTimeoutMs ?? defaults.witnessTimeoutMs),
                needed: settings.further.needed,
              },
        everyMs: settings.checkpointEveryMs ?? defaults.checkpointEveryMs,
        witnessTimeoutMs: settings.witnessTimeoutMs ?? defaults.witnessTimeoutMs,
        size: () => this.#commit.size,
        capture: () => this.#capture(),
        restore: (filled) => this.#filled.unshift(...filled),
        frozen: (failure) => this.#commit.fail(failure),
        report: this.#report,
      },
      parts.own,
      parts.witnessed,
    )
  }

  append(event: Event): Promise<number> {
    return this.#commit.append(event)
  }

  appendRead(session: string, agent: string, key: string): void {
    this.#commit.countRead(session, agent, key)
  }

  takeRead(session: string, agent: string, key: string): boolean {
    return this.#commit.takeRead(session, agent, key)
  }

  #grow(firstIndex: number, group: readonly EncodedEvent[], leaves: readonly Hash[]): void {
    group.forEach(({ bytes }, place) => {
      const leaf = leaves[place]
      if (leaf === undefined) return
      // Before the leaf, for a leaf that fills a tile takes the bundle with it.
      this.#bundle.push(bytes)
      this.#tree.append(leaf)
    })
    this.#publisher.poke()
    if (this.#listeners.size === 0) return
    const events = group.map(({ event }, place) => ({ index: firstIndex + place, event }))
    for (const listener of this.#listeners) {
      try {
        listener(events)
      } catch (error) {
        this.#report(`A listener of the log failed: ${error instanceof Error ? error.message : 'unknown error'}.`)
      }
    }
  }

  #capture(): TreeState {
    return {
      size: this.#tree.size,
      root: this.#tree.root(),
      edge: this.#tree.partialTiles(),
      bundle: [...this.#bundle],
      filled: this.#filled.splice(0),
    }
  }

  catchUp(): Promise<void> {
    return this.#commit.catchUp()
  }

  size(): number {
    return this.#commit.size
  }

  async read(from: number, count: number): Promise<readonly LoggedEvent[]> {
    const first = Math.max(0, from)
    const entries = await this.entries(first, Math.min(count, readCountMax))
    return entries.map((entry, place) => ({ index: first + place, event: decodeEntry(entry) }))
  }

  async entries(from: number, count: number): Promise<readonly Uint8Array[]> {
    const reading = this.#readEntries(from, count)
    this.#reading.add(reading)
    try {
      return await reading
    } finally {
      this.#reading.delete(reading)
    }
  }

  async #readEntries(from: number, count: number): Promise<readonly Uint8Array[]> {
    const entries: Uint8Array[] = []
    const next = (): number => from + entries.length
    const segments = [...this.#commit.segments]
    const { firstIndex = 0 } = segments[0] ?? {}
    while (next() < firstIndex && entries.length < count)
      entries.push(...(await this.#parts.old.read(next(), Math.min(count - entries.length, firstIndex - next()))))
    for (const segment of segments) {
      if (segment.nextIndex <= next() || entries.length >= count) continue
      entries.push(...(await segment.read(next(), count - entries.length)))
    }
    return entries
  }

  segments(): readonly { readonly first: number; readonly next: number }[] {
    return this.#commit.segments.map(({ firstIndex, nextIndex }) => ({ first: firstIndex, next: nextIndex }))
  }

  archived(): readonly ArchivedRange[] {
    return this.#parts.old.ranges
  }

  addArchived(range: ArchivedRange): void {
    this.#parts.old.add(range)
  }

  async dropBefore(next: number): Promise<void> {
    const { system, settings } = this.#parts
    const directory = join(settings.directory, entriesDirectory)
    const gone = this.#commit.forgetBefore(next)
    // Whoever began to read it still has it open.
    await Promise.allSettled(this.#reading)
    for (const segment of gone) {
      await segment.close()
      await system.remove(join(directory, segmentName(segment.firstIndex)))
    }
    await system.syncDirectory(directory)
  }

  subscribe(listener: (events: readonly LoggedEvent[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  checkpoint(): string | null {
    return this.#publisher.published?.text ?? null
  }

  witnessed(): string | null {
    return this.#publisher.witnessed?.text ?? null
  }

  onCheckpoint(listener: (text: string) => void): () => void {
    return this.#publisher.onCheckpoint(listener)
  }

  publish(): Promise<void> {
    return this.#publisher.publish()
  }

  publishWith(successor: NoteSigner): Promise<void> {
    return this.#publisher.publishWith(successor)
  }

  health(): LogHealth {
    const { failure } = this.#commit
    const oldestReadAgeMs = this.#commit.oldestReadAgeMs()
    return {
      state: failure ? 'failed' : oldestReadAgeMs > this.#readsDurableWithinMs ? 'behind' : 'ok',
      failure,
      size: this.#commit.size,
      oldestReadAgeMs,
      checkpointSize: this.#publisher.published?.size ?? null,
      witnessedSize: this.#publisher.witnessed?.size ?? null,
      problem: this.#publisher.problem,
      torn: this.#parts.recovered.torn,
      scannedAll: this.#parts.recovered.scannedAll,
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#commit.close()
    await this.#publisher.close()
    for (const segment of this.#commit.segments) await segment.close()
    await this.#parts.unlock()
  }
}
