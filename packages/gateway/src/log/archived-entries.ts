import { join } from 'node:path'
import {
  type ArchivedRange,
  decodeEntryBundle,
  isReceiptName,
  leafHash,
  LogFormatError,
  rangeOf,
  readReceipt,
  receiptBytesMax,
  receiptsDirectory,
  SallyportError,
  tilePath,
  tileWidth,
  type Vault,
} from '@sallyport/core'
import { type FileSystem, readWhole } from './file-system.ts'
import type { TileFiles } from './tile-files.ts'

const bundleBytesMax = tileWidth * (2 + 65_535)

/** What the log asks of the vault that its beginning was sealed into. */
export type ArchiveVault = Pick<Vault, 'open'> & { readonly publicKey: string }

/** The ranges that receipts beside the log speak of: of this log, signed by this vault. What cannot be believed is reported and counts for nothing. */
export async function readReceipts(
  system: FileSystem,
  directory: string,
  expected: { readonly origin: string; readonly vault: string },
  report: (problem: string) => void,
): Promise<readonly ArchivedRange[]> {
  const ranges: ArchivedRange[] = []
  const folder = join(directory, receiptsDirectory)
  for (const name of (await system.list(folder)).filter(isReceiptName).sort()) {
    const bytes = await readWhole(system, join(folder, name), receiptBytesMax)
    try {
      const range = readReceipt(bytes ?? Buffer.alloc(0))
      if (range.origin === expected.origin && range.vault === expected.vault) ranges.push(range)
      else report(`The receipt ${name} is of another log or of another vault; it counts for nothing.`)
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
      report(`The receipt ${name} counts for nothing: ${error.message}.`)
    }
  }
  return ranges
}

/** Entries that lie in the vault and not here, fetched a bundle at a time and believed only by the hashes in the log's own tiles. */
export class ArchivedEntries {
  readonly #tiles: Pick<TileFiles, 'read'>
  readonly #vault: ArchiveVault | null
  readonly #ranges: ArchivedRange[]
  #latest: { readonly index: number; readonly entries: readonly Uint8Array[] } | null = null

  constructor(tiles: Pick<TileFiles, 'read'>, vault: ArchiveVault | null, ranges: readonly ArchivedRange[]) {
    this.#tiles = tiles
    this.#vault = vault
    this.#ranges = [...ranges]
  }

  get ranges(): readonly ArchivedRange[] {
    return this.#ranges
  }

  add(range: ArchivedRange): void {
    this.#ranges.push(range)
  }

  /** Entries from this one on, up to the end of their bundle at most. */
  async read(from: number, count: number): Promise<readonly Uint8Array[]> {
    const index = Math.floor(from / tileWidth)
    if (this.#latest?.index !== index) this.#latest = { index, entries: await this.#fetch(index, from) }
    const first = from - index * tileWidth
    return this.#latest.entries.slice(first, first + count)
  }

  async #fetch(index: number, from: number): Promise<readonly Uint8Array[]> {
    const range = rangeOf(this.#ranges, from)
    if (range === null || this.#vault === null) throw notHad(from, 'no receipt says where it lies')
    const copy = await this.#vault.open(range.snapshot)
    const bytes = await collect(copy.read(tilePath({ level: 'entries', index, width: tileWidth })))
    const leaves = await this.#tiles.read(0, index, tileWidth)
    try {
      const entries = decodeEntryBundle(bytes, tileWidth)
      if (entries.every((entry, place) => Buffer.compare(leafHash(entry), leaves[place] ?? Buffer.alloc(0)) === 0)) return entries
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
    }
    throw notHad(from, 'what the vault gave back is not what the log’s tiles say')
  }
}

/** @throws SallyportError when it is larger than a bundle can be */
export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const piece of pieces) {
    bytes += piece.length
    if (bytes > bundleBytesMax) throw notHad(0, 'the vault gave more than a bundle of entries can be')
    parts.push(piece)
  }
  return Buffer.concat(parts)
}

function notHad(index: number, why: string): SallyportError {
  return new SallyportError(
    'log_unavailable',
    `Entry ${index} of the log was archived and cannot be had: ${why}.`,
    'Nothing was read.',
    'Run `sallyport log verify`: it says what is archived, and in which vault.',
  )
}
