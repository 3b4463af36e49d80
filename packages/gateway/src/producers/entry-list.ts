import { createHash } from 'node:crypto'
import type { Seal, SnapshotReader } from '@sallyport/core'
import type { z } from 'zod'

/**
 * What a copy of many things says of each of them: a part of its own, one line of JSON a thing, in the order in which their bytes follow one another in
 * the parts of data. Folders and buckets are kept like this (their README.md).
 */
export interface EntryList {
  readonly entriesPart: string
  readonly entriesSha256: string
}

/** Files or objects share a part until it is so large: a copy has a bounded number of parts, and what is copied any number of things. */
export const partBytes = 1 << 30
const pieceBytes = 1 << 18
const entriesBytesMax = 4 * 2 ** 30
/** A path or key, headers, the user's metadata, tags, the stretches of a file with holes. */
const lineBytesMax = 16 << 20

/** What takes things in order, one after the other into one part after the other. */
interface Packing {
  readonly entries: readonly object[]
  /** False once something was not what was found at first. */
  readonly whole: boolean
  hasMore(): boolean
  pack(part: number): AsyncIterable<Uint8Array>
}

/** Seals all of it: the data in as few parts as there can be, then the entries. Null when something changed under the reading. */
export async function sealPacking(
  packing: Packing,
  seal: Seal,
  prefix: string,
): Promise<(EntryList & { readonly dataParts: string[] }) | null> {
  const dataParts: string[] = []
  while (packing.hasMore()) {
    const name = `${prefix}/data/${dataParts.length}`
    await seal.put({ name, bytes: packing.pack(dataParts.length) })
    dataParts.push(name)
  }
  if (!packing.whole) return null
  const text = Buffer.from(packing.entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  const entriesPart = `${prefix}/entries`
  await seal.put({ name: entriesPart, bytes: inPieces(text) })
  return { entriesPart, entriesSha256: createHash('sha256').update(text).digest('hex'), dataParts }
}

/** The entries as they were sealed. @throws Error when they are others */
export async function readEntryList<Schema extends z.ZodType>(
  { entriesPart, entriesSha256 }: EntryList,
  count: number,
  schema: Schema,
  reader: Pick<SnapshotReader, 'read'>,
): Promise<readonly z.infer<Schema>[]> {
  const hash = createHash('sha256')
  const entries: z.infer<Schema>[] = []
  let [rest, bytes] = [Buffer.alloc(0), 0]
  for await (const piece of reader.read(entriesPart)) {
    hash.update(piece)
    bytes += piece.length
    if (bytes > entriesBytesMax) throw new Error('its list of entries is larger than any that is written')
    rest = Buffer.concat([rest, piece])
    let from = 0
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10, from)) {
      if (entries.length >= count) throw new Error('its list of entries has another length')
      entries.push(schema.parse(JSON.parse(rest.subarray(from, end).toString('utf8'))))
      from = end + 1
    }
    rest = rest.subarray(from)
    if (rest.length > lineBytesMax) throw new Error('an entry of it is longer than any that is written')
  }
  if (hash.digest('hex') !== entriesSha256) throw new Error('its list of entries is not the one that was sealed')
  if (rest.length > 0 || entries.length !== count) throw new Error('its list of entries has another length')
  return entries
}

async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}
