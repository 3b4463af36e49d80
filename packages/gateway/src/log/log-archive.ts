import { join } from 'node:path'
import {
  archiveDigest,
  type ArchivedRange,
  archiveUpstream,
  type Clock,
  encodeEntryBundle,
  encodeTile,
  leafHash,
  openCheckpoint,
  readReceipt,
  receiptName,
  receiptsDirectory,
  SallyportError,
  sha256Hex,
  tilePath,
  tileWidth,
  type Vault,
} from '@sallyport/core'
import { type ArchiveVault, collect } from './archived-entries.ts'
import type { FileLog } from './file-log.ts'
import { type FileSystem, readWhole, writeWhole } from './file-system.ts'

export interface ArchiveSettings {
  /** Entries older than this are archived. */
  readonly afterMs: number
  /** How long the vault must keep them. */
  readonly forMs: number
  /** Whether they are dropped here then. */
  readonly drop: boolean
}

export interface ArchivePorts {
  readonly log: Pick<
    FileLog,
    'append' | 'archived' | 'entries' | 'segments' | 'dropBefore' | 'addArchived' | 'witnessed' | 'read'
  >
  readonly vault: ArchiveVault & Pick<Vault, 'seal'> & { receipt(id: string): Promise<Uint8Array> }
  readonly system: FileSystem
  /** The log's. */
  readonly directory: string
  readonly origin: string
  readonly clock: Clock
}

interface Segment {
  readonly first: number
  readonly next: number
}

/**
 * Seals old entries into the vault, a segment at a time, and drops them here where that is set. Each step is durable before the next one begins, and a
 * segment goes only after the vault's signed receipt was checked, every entry was read back out of the vault and compared, and the hashes of all of
 * them lie here for good: a crash between any two steps leaves at worst a copy too many.
 */
export class LogArchive {
  readonly #ports: ArchivePorts
  readonly #settings: ArchiveSettings
  #isSwept = false

  constructor(ports: ArchivePorts, settings: ArchiveSettings) {
    this.#ports = ports
    this.#settings = settings
  }

  /** Archives, and drops, whatever is due. How many segments went. @throws SallyportError; then nothing was lost */
  async look(): Promise<{ readonly archived: number; readonly dropped: number }> {
    const { log } = this.#ports
    await this.#sweep()
    let [archived, dropped] = [0, 0]
    // The last one grows.
    for (const segment of log.segments().slice(0, -1)) {
      if (!(await this.#isDue(segment))) break
      const known = log.archived().find(({ first, next }) => first === segment.first && next === segment.next)
      const range = known ?? (await this.#archive(segment))
      if (known === undefined) archived += 1
      if (!this.#settings.drop) continue
      await this.#drop(segment, range)
      dropped += 1
    }
    return { archived, dropped }
  }

  /** Witnessed up to the end of its last bundle, and old enough: the last entry is the newest. */
  async #isDue({ next }: Segment): Promise<boolean> {
    const { log, clock } = this.#ports
    const witnessed = log.witnessed()
    if (witnessed === null || openCheckpoint(witnessed, []).checkpoint.size < lastBundle(next) * tileWidth + tileWidth)
      return false
    const [newest] = await log.read(next - 1, 1)
    return newest !== undefined && newest.event.atMs <= clock.nowMs() - this.#settings.afterMs
  }

  async #archive(segment: Segment): Promise<ArchivedRange> {
    const { log, vault, clock, origin } = this.#ports
    const { first, next } = segment
    const about = {
      upstream: archiveUpstream,
      upstreamIdentity: origin,
      digest: archiveDigest(first, next),
      retainMs: this.#settings.forMs,
    }
    const askedAtMs = clock.nowMs()
    const { id } = await vault.seal(about, async (seal) => {
      let bytes = 0
      for (const index of bundlesOf(segment)) {
        const bundle = encodeEntryBundle(await log.entries(index * tileWidth, tileWidth))
        bytes += (await seal.put({ name: bundlePath(index), bytes: once(bundle) })).bytes
      }
      return { kind: 'log', rows: next - first, bytes, checksums: {}, manifest: { version: 1, origin, first, next } }
    })
    const receipt = await vault.receipt(id)
    const range = this.#check(receipt, id, segment)
    // The vault keeps a clock of its own, so an hour either way is no reason for doubt.
    if (range.retainUntilMs < askedAtMs + this.#settings.forMs - 3_600_000)
      throw notArchived(segment, 'its receipt promises less time than was asked for')
    await this.#keepReceipt(range, receipt)
    await log.append({
      type: 'log.archived',
      atMs: clock.nowMs(),
      data: { first, next, snapshot: id, vault: range.vault, retainUntilMs: range.retainUntilMs },
    })
    log.addArchived(range)
    return range
  }

  #check(receipt: Uint8Array, id: string, { first, next }: Segment): ArchivedRange {
    const { vault, origin } = this.#ports
    const range = readReceipt(receipt)
    const isOurs = range.vault === vault.publicKey && range.origin === origin && range.first === first && range.next === next
    if (sha256Hex(receipt) !== id || !isOurs) throw notArchived({ first, next }, 'the vault’s receipt speaks of something else')
    return range
  }

  async #keepReceipt({ first }: ArchivedRange, receipt: Uint8Array): Promise<void> {
    const { system, directory } = this.#ports
    const folder = join(directory, receiptsDirectory)
    await system.makeDirectory(folder)
    const target = join(folder, receiptName(first))
    const file = await system.open(`${target}.new`, 'scratch')
    if (file === null) throw new Error(`${folder} is not there`)
    try {
      await writeWhole(file, receipt, 0)
      await file.datasync()
    } finally {
      await file.close()
    }
    await system.rename(`${target}.new`, target)
    await system.syncDirectory(folder)
  }

  async #drop(segment: Segment, { snapshot, vault: vaultKey }: ArchivedRange): Promise<void> {
    const { log, system, directory, clock } = this.#ports
    const kept = await readWhole(system, join(directory, receiptsDirectory, receiptName(segment.first)), Infinity)
    if (kept === null) throw notArchived(segment, 'its receipt is gone')
    this.#check(kept, snapshot, segment)
    await this.#readBack(segment, snapshot)
    await this.#syncTiles(segment)
    const { first, next } = segment
    await log.append({ type: 'log.dropped', atMs: clock.nowMs(), data: { first, next, snapshot, vault: vaultKey } })
    await log.dropBefore(next)
    await this.#removeBundles(segment)
  }

  /** Every entry as it lies here, as the vault gives it back, and as the tile says: all three must be one. */
  async #readBack(segment: Segment, snapshot: string): Promise<void> {
    const { log, vault, system, directory, clock } = this.#ports
    const copy = await vault.open(snapshot)
    if (copy.snapshot.retainUntilMs <= clock.nowMs()) throw notArchived(segment, 'the vault may let it go already')
    for (const index of bundlesOf(segment)) {
      const entries = await log.entries(index * tileWidth, tileWidth)
      const bundle = encodeEntryBundle(entries)
      const tile = await readWhole(system, join(directory, tilePath({ level: 0, index, width: tileWidth })), tileWidth * 32)
      const isSame = Buffer.compare(await collect(copy.read(bundlePath(index))), bundle) === 0
      if (!isSame) throw notArchived(segment, `the vault gave back other entries from ${index * tileWidth} on`)
      if (tile === null || Buffer.compare(tile, encodeTile(entries.map(leafHash))) !== 0)
        throw notArchived(segment, `the tile of entries ${index * tileWidth} and on does not hold their hashes`)
    }
  }

  /** Tiles are derived and not synced when they are written; from here on they are all that says here what the entries were. */
  async #syncTiles(segment: Segment): Promise<void> {
    const paths = bundlesOf(segment).map((index) => tilePath({ level: 0, index, width: tileWidth }))
    // The bundle that the next segment shares is needed to go on with it.
    for (const path of [...paths, bundlePath(lastBundle(segment.next))]) {
      const file = await this.#ports.system.open(join(this.#ports.directory, path), 'read')
      if (file === null) throw notArchived(segment, `${path} is not there`)
      await file.datasync()
      await file.close()
    }
    const folders = new Set([...paths, bundlePath(lastBundle(segment.next))].flatMap(foldersOf))
    for (const folder of folders) await this.#ports.system.syncDirectory(join(this.#ports.directory, folder))
  }

  async #removeBundles({ first, next }: Segment): Promise<void> {
    const { system, directory } = this.#ports
    for (let index = Math.floor(first / tileWidth); index < Math.floor(next / tileWidth); index += 1)
      await system.remove(join(directory, bundlePath(index)))
  }

  /** What a crash left of the last segment that was dropped. */
  async #sweep(): Promise<void> {
    const { log } = this.#ports
    const [begin] = log.segments()
    if (this.#isSwept || begin === undefined) return
    this.#isSwept = true
    const last = log.archived().find(({ next }) => next === begin.first)
    if (last !== undefined) await this.#removeBundles(last)
  }
}

/** The bundle that the entry before this one lies in; the next segment may go on in it. */
function lastBundle(next: number): number {
  return Math.ceil(next / tileWidth) - 1
}

function bundlesOf({ first, next }: Segment): readonly number[] {
  const from = Math.floor(first / tileWidth)
  return Array.from({ length: lastBundle(next) - from + 1 }, (_, place) => from + place)
}

function bundlePath(index: number): string {
  return tilePath({ level: 'entries', index, width: tileWidth })
}

/** `tile/0/x001/234`: `tile/0/x001`, `tile/0`, `tile`, and the log's own. */
function foldersOf(path: string): readonly string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, place) => parts.slice(0, place + 1).join('/')).concat('')
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

function notArchived({ first, next }: Segment, why: string): SallyportError {
  return new SallyportError(
    'copy_failed',
    `Entries ${first} to ${next - 1} of the log could not be archived: ${why}.`,
    'Nothing was dropped: they lie in the log as before.',
    'Run `sallyport vault verify` and `sallyport log verify`.',
  )
}
