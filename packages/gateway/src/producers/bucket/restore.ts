import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open as openFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotReader } from '@sallyport/core'
import { readEntryList } from '../entry-list.ts'
import { PartReading } from '../part-reading.ts'
import { entrySchema, type BucketCopy, type Entry } from './entry.ts'
import type { CopyOptions } from './copy.ts'
import { readBody, type OpenBucket } from './place.ts'

/** S3 takes no more in one request. */
const putBytesMax = 5 * 2 ** 30
/** Signed with its hash; larger ones are sent as they are read. */
const inMemoryBytesMax = 16 << 20

/** Writes each object of a copy to a scratch file, proves it, hands it on, and takes it away. How many there were. */
export async function eachObject(
  copy: BucketCopy,
  reader: Pick<SnapshotReader, 'read'>,
  scratch: string,
  { report, signal }: CopyOptions,
  work: (entry: Entry, file: string) => Promise<void>,
): Promise<number> {
  const entries = await readEntryList(copy, copy.objects, entrySchema, reader)
  let done = 0
  for (const [part, name] of copy.dataParts.entries()) {
    const source = new PartReading(reader.read(name))
    try {
      for (const entry of entries.filter((one) => one.part === part)) {
        signal.throwIfAborted()
        const file = join(scratch, 'object')
        await writeObject(entry, file, source)
        await work(entry, file)
        await rm(file)
        done += 1
        report({ step: 'comparing', done, total: entries.length })
      }
      await source.end()
    } finally {
      await source.close()
    }
  }
  if (done !== entries.length) throw new Error('it names a part that it does not have, so it cannot be restored')
  return done
}

/** @throws Error when the bytes are not the object's */
async function writeObject({ key, bytes, sha256, at }: Entry, file: string, source: PartReading): Promise<void> {
  const hash = createHash('sha256')
  if (at !== source.at) throw new Error('its entries do not follow one another, so it cannot be restored')
  await using to = await openFile(file, 'wx', 0o600)
  for await (const piece of source.take(bytes)) {
    hash.update(piece)
    await to.writeFile(piece)
  }
  if (hash.digest('hex') !== sha256) throw differs(key)
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
