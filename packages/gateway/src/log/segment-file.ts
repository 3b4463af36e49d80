import { join } from 'node:path'
import {
  decodeGroup,
  decodeGroupHeader,
  encodeGroup,
  encodeSegmentHeader,
  groupHeaderBytes,
  segmentHeaderBytes,
  segmentName,
} from '@sallyport/core'
import { type FileSystem, type LogFile, readInto, writeWhole, writeWholeDurably } from './file-system.ts'

/** Where a group begins, remembered about every so many entries so that reading need not walk a whole segment. */
interface Mark {
  readonly index: number
  readonly position: number
}
const markEveryEntries = 1024
const headerWalkBytes = 64 * 1024
/**
 * Zeros are written ahead of the groups, as many as there is in the segment within these bounds: a group that makes the file longer waits for the
 * file system to write that down, and with it whatever else it has to; one that is written over zeros waits for its own bytes alone.
 */
const reservedBytes = { least: 64 * 1024, most: 1024 * 1024 } as const

/** One segment of the log on disk. Only the last one grows. */
export class SegmentFile {
  readonly firstIndex: number
  readonly #file: LogFile
  readonly #marks: Mark[]
  #nextIndex: number
  /** Of the end of the last durable group. */
  #end: number
  /** Up to here the file is there, groups and zeros. */
  #reserved: number
  #reserving: Promise<void> | null = null
  #failure: Error | null = null

  private constructor(file: LogFile, firstIndex: number, nextIndex: number, end: number) {
    this.#file = file
    this.firstIndex = firstIndex
    this.#nextIndex = nextIndex
    this.#end = end
    this.#reserved = end
    this.#marks = [{ index: firstIndex, position: segmentHeaderBytes }]
  }

  /** A new, empty segment, durable with its name before it resolves. */
  static async create(system: FileSystem, directory: string, firstIndex: number): Promise<SegmentFile> {
    const file = await system.open(join(directory, segmentName(firstIndex)), 'create')
    if (file === null) throw new Error(`${directory} is not there`)
    await writeWhole(file, encodeSegmentHeader(firstIndex), 0)
    await file.datasync()
    await system.syncDirectory(directory)
    return new SegmentFile(file, firstIndex, firstIndex, segmentHeaderBytes)
  }

  /** A segment whose content was checked, or is to be believed, up to `end`. */
  static existing(file: LogFile, firstIndex: number, nextIndex: number, end: number): SegmentFile {
    return new SegmentFile(file, firstIndex, nextIndex, end)
  }

  get nextIndex(): number {
    return this.#nextIndex
  }

  get bytes(): number {
    return this.#end
  }

  /** Writes one group behind the last one. Resolves with its bytes once they are durable. */
  async append(entries: readonly Uint8Array[]): Promise<number> {
    const bytes = encodeGroup(this.#nextIndex, entries)
    // Zeros that are being written must not come over a group.
    if (this.#reserving !== null && this.#end + bytes.length > this.#reserved) await this.#reserving
    if (this.#failure !== null) throw this.#failure
    await writeWholeDurably(this.#file, bytes, this.#end)
    this.#reserved = Math.max(this.#reserved, this.#end + bytes.length)
    return bytes.length
  }

  /** Goes on while groups are written. */
  #reserve(): void {
    const bytes = Math.min(reservedBytes.most, Math.max(reservedBytes.least, this.#end))
    if (this.#reserving !== null || this.#reserved - this.#end > bytes / 2) return
    const to = this.#reserved + bytes
    this.#reserving = this.#file
      .reserve(this.#reserved, to)
      .then(() => void (this.#reserved = to))
      .catch(
        (error: unknown) => void (this.#failure = error instanceof Error ? error : new Error('the disk could not be reserved')),
      )
      .finally(() => (this.#reserving = null))
  }

  /** Ends the file with its last group: no more is written to it. */
  async finish(): Promise<void> {
    if (this.#reserving !== null) await this.#reserving
    if (this.#reserved === this.#end) return
    await this.#file.truncate(this.#end)
    await this.#file.datasync()
    this.#reserved = this.#end
  }

  /** Counts a group that is durable now. */
  advance(entries: number, bytes: number): void {
    this.#mark(this.#nextIndex, this.#end)
    this.#nextIndex += entries
    this.#end += bytes
    this.#reserve()
  }

  #mark(index: number, position: number): void {
    const last = this.#marks.at(-1)
    if (last === undefined || index - last.index >= markEveryEntries) this.#marks.push({ index, position })
  }

  /** Entries from this index on, at most `count`, as far as this segment goes. */
  async read(from: number, count: number): Promise<readonly Uint8Array[]> {
    const entries: Uint8Array[] = []
    let position = this.#positionBefore(from)
    while (entries.length < count && position < this.#end) {
      const header = await this.#headerAt(position)
      const end = position + groupHeaderBytes + header.bodyBytes
      if (header.firstIndex + header.count > from) {
        const bytes = Buffer.alloc(end - position)
        await readInto(this.#file, bytes, position)
        const group = decodeGroup(bytes, 0)
        if (!group?.intact) throw new Error(`segment ${segmentName(this.firstIndex)} is damaged at byte ${position}`)
        entries.push(...group.entries.slice(Math.max(0, from - group.firstIndex), from - group.firstIndex + count))
      }
      this.#mark(header.firstIndex, position)
      position = end
    }
    return entries.slice(0, count)
  }

  #positionBefore(index: number): number {
    let low = 0
    let high = this.#marks.length
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if ((this.#marks[middle]?.index ?? 0) <= index) low = middle + 1
      else high = middle
    }
    return this.#marks[low - 1]?.position ?? segmentHeaderBytes
  }

  /** The segment read ahead in one piece, so that walking over small groups costs few calls. */
  #ahead: { readonly position: number; readonly bytes: Buffer } | null = null

  async #headerAt(
    position: number,
  ): Promise<{ readonly firstIndex: number; readonly count: number; readonly bodyBytes: number }> {
    let ahead = this.#ahead
    if (ahead === null || position < ahead.position || position + groupHeaderBytes > ahead.position + ahead.bytes.length) {
      const bytes = Buffer.alloc(headerWalkBytes)
      const read = await readInto(this.#file, bytes, position)
      // Not past the last durable group: what lies there now may be half a write.
      ahead = { position, bytes: bytes.subarray(0, Math.min(read, this.#end - position)) }
      this.#ahead = ahead
    }
    const header = decodeGroupHeader(ahead.bytes, position - ahead.position)
    if (!header) throw new Error(`segment ${segmentName(this.firstIndex)} is damaged at byte ${position}`)
    return header
  }

  /** After a failure too, where the disk may take nothing more. */
  async close(): Promise<void> {
    await this.finish().catch(() => undefined)
    await this.#file.close()
  }
}
