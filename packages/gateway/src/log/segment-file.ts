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
import { type FileSystem, type LogFile, readInto, writeWhole } from './file-system.ts'

/** Where a group begins, remembered about every so many entries so that reading need not walk a whole segment. */
interface Mark {
  readonly index: number
  readonly position: number
}
const markEveryEntries = 1024
const headerWalkBytes = 64 * 1024

/** One segment of the log on disk. Only the last one grows. */
export class SegmentFile {
  readonly firstIndex: number
  readonly #file: LogFile
  readonly #marks: Mark[]
  #nextIndex: number
  /** Of the end of the last durable group. */
  #end: number

  private constructor(file: LogFile, firstIndex: number, nextIndex: number, end: number) {
    this.#file = file
    this.firstIndex = firstIndex
    this.#nextIndex = nextIndex
    this.#end = end
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

  /** Writes one group behind the last one; durable only after `sync`. */
  async write(entries: readonly Uint8Array[]): Promise<number> {
    const bytes = encodeGroup(this.#nextIndex, entries)
    await writeWhole(this.#file, bytes, this.#end)
    return bytes.length
  }

  async sync(): Promise<void> {
    await this.#file.datasync()
  }

  /** Counts a group that is durable now. */
  advance(entries: number, bytes: number): void {
    this.#mark(this.#nextIndex, this.#end)
    this.#nextIndex += entries
    this.#end += bytes
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

  async close(): Promise<void> {
    await this.#file.close()
  }
}
