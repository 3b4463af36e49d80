import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open as openFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotReader } from '@sallyport/core'
import { entrySchema, type BucketCopy, type Entry } from './entry.ts'
import type { CopyOptions } from './copy.ts'
import { readBody, type OpenBucket } from './place.ts'

/** One entry is a line of JSON: a key, headers, the user's metadata (2 KiB at S3) and tags. */
const entriesBytesMax = 4 * 2 ** 30
const lineBytesMax = 64 << 10
/** S3 takes no more in one request. */
const putBytesMax = 5 * 2 ** 30
/** Signed with its hash; larger ones are sent as they are read. */
const inMemoryBytesMax = 16 << 20

export interface RestoredBucket {
  /** Put where nothing was. */
  readonly put: number
  /** There already, with the same bytes. */
  readonly same: number
  /** There with other bytes, or too large: left as they are. */
  readonly left: readonly string[]
}

/** The entries of a copy, proven against its manifest. @throws Error when they are not what was copied */
export async function readEntries(copy: BucketCopy, reader: Pick<SnapshotReader, 'read'>): Promise<readonly Entry[]> {
  const hash = createHash('sha256')
  const entries: Entry[] = []
  let [rest, bytes] = [Buffer.alloc(0), 0]
  for await (const piece of reader.read(copy.entriesPart)) {
    hash.update(piece)
    bytes += piece.length
    if (bytes > entriesBytesMax) throw new Error('its entries are larger than they can be, so they cannot be read')
    rest = Buffer.concat([rest, piece])
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      entries.push(entrySchema.parse(JSON.parse(rest.subarray(0, end).toString('utf8'))))
      rest = rest.subarray(end + 1)
    }
    if (rest.length > lineBytesMax) throw new Error('an entry of it is longer than it can be, so it cannot be read')
  }
  if (hash.digest('hex') !== copy.entriesSha256 || rest.length > 0 || entries.length !== copy.objects)
    throw new Error('its entries are not the ones that were sealed, so it cannot be restored')
  return entries
}

/** Writes each object of a copy to a scratch file, proves it, hands it on, and takes it away. How many there were. */
export async function eachObject(
  copy: BucketCopy,
  reader: Pick<SnapshotReader, 'read'>,
  scratch: string,
  { report, signal }: CopyOptions,
  work: (entry: Entry, file: string) => Promise<void>,
): Promise<number> {
  const entries = await readEntries(copy, reader)
  let done = 0
  for (const [part, name] of copy.dataParts.entries()) {
    const source = new PartReading(reader.read(name))
    for (const entry of entries.filter((one) => one.part === part)) {
      signal.throwIfAborted()
      const file = join(scratch, 'object')
      await source.write(entry, file)
      await work(entry, file)
      await rm(file)
      done += 1
      report({ step: 'comparing', done, total: entries.length })
    }
    await source.end()
  }
  if (done !== entries.length) throw new Error('it names a part that it does not have, so it cannot be restored')
  return done
}

/** A part of a copy from its beginning to its end, object after object. */
class PartReading {
  readonly #pieces: AsyncIterator<Uint8Array>
  #held: Uint8Array = new Uint8Array()
  #at = 0

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#pieces = bytes[Symbol.asyncIterator]()
  }

  /** @throws Error when the bytes are not the object's */
  async write({ key, bytes, sha256, at }: Entry, file: string): Promise<void> {
    const hash = createHash('sha256')
    if (at !== this.#at) throw new Error('its entries do not follow one another, so it cannot be restored')
    await using to = await openFile(file, 'wx', 0o600)
    for (let left = bytes; left > 0;) {
      const piece = await this.#take(left)
      if (piece === null) throw differs(key)
      hash.update(piece)
      await to.writeFile(piece)
      left -= piece.length
    }
    if (hash.digest('hex') !== sha256) throw differs(key)
  }

  /** @throws Error when more follows than the objects are */
  async end(): Promise<void> {
    if ((await this.#take(1)) !== null) throw new Error('a part of it holds more than its objects, so it cannot be restored')
  }

  async #take(max: number): Promise<Uint8Array | null> {
    while (this.#held.length === 0) {
      const next = await this.#pieces.next()
      if (next.done === true) return null
      this.#held = next.value
    }
    const piece = this.#held.subarray(0, max)
    this.#held = this.#held.subarray(piece.length)
    this.#at += piece.length
    return piece
  }
}

function differs(key: string): Error {
  return new Error(`object ${JSON.stringify(key.slice(0, 200))} is not the one that was copied, so it cannot be restored`)
}

/** Puts an object back where there is none. Nothing is ever overwritten. */
export async function putBack(open: OpenBucket, entry: Entry, file: string, key: string): Promise<'put' | 'same' | 'left'> {
  const there = await findObject(open, key)
  if (there !== null) return there.bytes === entry.bytes && (await there.sha256()) === entry.sha256 ? 'same' : 'left'
  if (entry.bytes > putBytesMax) return 'left'
  const { sdk, client, bucket } = open
  const { contentType, contentEncoding, contentDisposition, contentLanguage, cacheControl } = entry.headers
  const tags = new URLSearchParams(entry.tags).toString()
  await client.send(
    new sdk.PutObjectCommand({
      Bucket: bucket,
      Key: key,
      // Somebody may put one in between; not every server knows this.
      IfNoneMatch: '*',
      ContentLength: entry.bytes,
      Body: entry.bytes <= inMemoryBytesMax ? await readFile(file) : createReadStream(file),
      Metadata: entry.metadata,
      ...(contentType === null ? {} : { ContentType: contentType }),
      ...(contentEncoding === null ? {} : { ContentEncoding: contentEncoding }),
      ...(contentDisposition === null ? {} : { ContentDisposition: contentDisposition }),
      ...(contentLanguage === null ? {} : { ContentLanguage: contentLanguage }),
      ...(cacheControl === null ? {} : { CacheControl: cacheControl }),
      ...(tags === '' ? {} : { Tagging: tags }),
    }),
  )
  const now = await findObject(open, key)
  if (now === null || now.bytes !== entry.bytes || (await now.sha256()) !== entry.sha256)
    throw new Error(`object ${JSON.stringify(key.slice(0, 200))} could not be read back as it was put`)
  return 'put'
}

async function findObject(
  { sdk, client, bucket }: OpenBucket,
  key: string,
): Promise<{ readonly bytes: number; sha256(): Promise<string> } | null> {
  try {
    const { ContentLength = -1 } = await client.send(new sdk.HeadObjectCommand({ Bucket: bucket, Key: key }))
    const sha256 = async (): Promise<string> => {
      const hash = createHash('sha256')
      const got = await client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key }))
      for await (const piece of readBody(got)) hash.update(piece)
      return hash.digest('hex')
    }
    return { bytes: ContentLength, sha256 }
  } catch (error) {
    if (error instanceof sdk.S3ServiceException && error.$metadata.httpStatusCode === 404) return null
    throw error
  }
}
