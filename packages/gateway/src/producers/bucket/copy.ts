import { createHash } from 'node:crypto'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Progress, Seal } from '@sallyport/core'
import { partBytes, sealPacking } from '../entry-list.ts'
import type { BucketCopy, Entry } from './entry.ts'
import { isSame, listBucket, type Listed, type Listing } from './listing.ts'
import { readBody, type OpenBucket } from './place.ts'

export interface CopyOptions {
  readonly report: (progress: Progress) => void
  readonly signal: AbortSignal
}

/** A bucket without versions in which something changes all the time is read anew so often. */
const triesMax = 3
/** Each try has parts of its own, since a part is written once. */
export async function copyBucket(open: OpenBucket, seal: Seal, options: CopyOptions): Promise<BucketCopy> {
  for (let attempt = 1; attempt <= triesMax; attempt += 1) {
    const listing = await listBucket(open)
    const copied = await copyListed(open, listing, seal, `try-${attempt}`, options)
    if (copied === null) continue
    if (listing.momentMs !== null || isSame(listing, await listBucket(open))) return copied
  }
  throw new Error(
    `something in it changed while it was read, ${triesMax} times over: turn its versioning on, and any moment can be copied`,
  )
}

/** Null: an object went or changed under the reading. */
async function copyListed(
  open: OpenBucket,
  { objects, momentMs }: Listing,
  seal: Seal,
  prefix: string,
  options: CopyOptions,
): Promise<BucketCopy | null> {
  const packing = new Packing(open, objects, options)
  const sealed = await sealPacking(packing, seal, prefix)
  if (sealed === null) return null
  return {
    v: 1,
    format: 'sallyport bucket',
    momentMs,
    ...sealed,
    objects: packing.entries.length,
    bytes: packing.entries.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** Takes what was listed in order, object after object into one part after the other. */
class Packing {
  readonly entries: Entry[] = []
  /** False once an object was gone, or not what was listed. */
  whole = true
  readonly #open: OpenBucket
  readonly #listed: readonly Listed[]
  readonly #options: CopyOptions
  #next = 0

  constructor(open: OpenBucket, listed: readonly Listed[], options: CopyOptions) {
    this.#open = open
    this.#listed = listed
    this.#options = options
  }

  hasMore(): boolean {
    return this.whole && this.#next < this.#listed.length
  }

  async *pack(part: number): AsyncIterable<Uint8Array> {
    const { report, signal } = this.#options
    let at = 0
    while (at < partBytes && this.hasMore()) {
      const one = this.#listed[this.#next]
      if (one === undefined) return
      this.#next += 1
      signal.throwIfAborted()
      report({ step: 'sealing', done: this.#next, total: this.#listed.length })
      const got = await this.#get(one)
      if (got === null) return void (this.whole = false)
      const [sha256, md5] = [createHash('sha256'), createHash('md5')]
      const from = at
      for await (const piece of readBody(got)) {
        at += piece.length
        if (at - from > one.bytes) break
        sha256.update(piece)
        md5.update(piece)
        yield piece
      }
      if (at - from !== one.bytes || !isExpected(got, one, md5.digest('hex'))) return void (this.whole = false)
      this.entries.push({ ...(await this.#describe(one, got)), sha256: sha256.digest('hex'), part, at: from })
    }
  }

  async #get({ key, version, etag }: Listed): Promise<GetObjectCommandOutput | null> {
    const { sdk, client, bucket } = this.#open
    const which = version === null ? { IfMatch: `"${etag}"` } : { VersionId: version }
    try {
      return await client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key, ...which }))
    } catch (error) {
      const status = error instanceof sdk.S3ServiceException ? error.$metadata.httpStatusCode : undefined
      if (status === 404 || status === 412) return null
      throw error
    }
  }

  async #describe(one: Listed, got: GetObjectCommandOutput): Promise<Omit<Entry, 'sha256' | 'part' | 'at'>> {
    const { key, version, bytes, modifiedMs } = one
    return {
      key,
      version,
      bytes,
      modifiedMs,
      headers: {
        contentType: got.ContentType ?? null,
        contentEncoding: got.ContentEncoding ?? null,
        contentDisposition: got.ContentDisposition ?? null,
        contentLanguage: got.ContentLanguage ?? null,
        cacheControl: got.CacheControl ?? null,
      },
      metadata: { ...got.Metadata },
      tags: (got.TagCount ?? 0) > 0 ? await this.#tags(one) : {},
    }
  }

  async #tags({ key, version }: Listed): Promise<Record<string, string>> {
    const { sdk, client, bucket } = this.#open
    const which = version === null ? {} : { VersionId: version }
    const { TagSet = [] } = await client.send(new sdk.GetObjectTaggingCommand({ Bucket: bucket, Key: key, ...which }))
    return Object.fromEntries(TagSet.map(({ Key = '', Value = '' }) => [Key, Value]))
  }
}

/** An ETag is the MD5 of the bytes, unless the object came in several parts or is under a key of KMS or of the client's. */
function isExpected(got: GetObjectCommandOutput, { etag }: Listed, md5: string): boolean {
  const isPlain = /^[0-9a-f]{32}$/.test(etag) && (got.ServerSideEncryption ?? 'AES256') === 'AES256'
  return !isPlain || got.SSECustomerAlgorithm !== undefined || etag === md5
}
