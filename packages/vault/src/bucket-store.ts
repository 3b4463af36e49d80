import { createHash } from 'node:crypto'
import type { ListObjectVersionsCommandOutput, PutObjectCommandOutput, S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { BucketInspection } from './bucket-inspection.ts'
import type { BucketPlace } from './bucket-place.ts'
import { readBucketSetup } from './bucket-setup.ts'
import { wholeSeconds, type CopyStore, type Held, type Staged, type Version } from './copy-store.ts'
import { forEachWide, readWhole } from './disk.ts'
import { systemCode, VaultFailure } from './failure.ts'
import type { Finding } from './trace-book.ts'

type Sdk = typeof import('@aws-sdk/client-s3')

const widthMax = 16
const connectMs = 5_000
const answerMs = 60_000
const attemptsMax = 4
/** What is put is a chunk or a manifest: see `manifestBytesMax`. */
const thingBytesMax = 128 << 20
/** A lock can't end in the past, and must not end before it was read back. */
const lockMsMin = 60_000

/**
 * Copies as objects of a versioned bucket under Object Lock in COMPLIANCE mode: until its retention ends nobody can remove a version or
 * shorten its lock, whoever's credential it is. An overwrite or a plain delete only adds a version or a marker, so everything is read by
 * version id, oldest first.
 */
export class BucketStore implements CopyStore {
  readonly place: string
  readonly worth =
    'Object Lock in COMPLIANCE mode: no credential removes a copy before its retention ends. Whoever runs the storage itself, or can close the account, still can.'
  readonly locks = true
  readonly fastens = false
  readonly #at: BucketPlace
  readonly #sdk: Sdk
  readonly #client: S3Client
  readonly #nowMs: () => number
  /** Version ids of every name, oldest first: what a start listed, and what was put since. Null: not listed, so each name is asked for. */
  #index: Map<string, Version[]> | null = null
  readonly #putting = new Map<string, number>()
  /** Of a put that got no answer, or was sent twice, the MD5 of its bytes: there may be more of it than we know. */
  readonly #unsure = new Map<string, string>()
  #inspection: BucketInspection | null = null

  private constructor(at: BucketPlace, sdk: Sdk, client: S3Client, nowMs: () => number) {
    this.#at = at
    this.#sdk = sdk
    this.#client = client
    this.#nowMs = nowMs
    this.place = `bucket ${at.bucket}${at.prefix === '' ? '' : `/${at.prefix}`}`
  }

  static async open(at: BucketPlace, nowMs: () => number): Promise<BucketStore> {
    // Loaded only where there is a bucket: it takes a quarter of a second.
    const sdk = await import('@aws-sdk/client-s3')
    const client = new sdk.S3Client({
      region: at.region,
      maxAttempts: attemptsMax,
      // Compatible servers do not know the newer checksums; MD5 goes with every put, and SHA-256 is compared when it is read back.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: connectMs, requestTimeout: answerMs },
      ...(at.endpoint === null ? {} : { endpoint: at.endpoint, forcePathStyle: true }),
      ...(at.credential === null ? {} : { credentials: at.credential }),
    })
    return new BucketStore(at, sdk, client, nowMs)
  }

  /** No lock, no start. */
  async prepare(): Promise<void> {
    const Bucket = this.#at.bucket
    const { Status } = await this.#ask(() => this.#client.send(new this.#sdk.GetBucketVersioningCommand({ Bucket })))
    const locked = await this.#isLocked()
    if (!locked || Status !== 'Enabled') {
      throw new VaultFailure(
        'bad_request',
        `${this.place} has no ${locked ? 'versioning' : 'Object Lock'}: whoever holds its credential could delete copies. Nothing was started. Make a new bucket with Object Lock enabled (a lock can only be chosen when a bucket is made), without a default retention, and name it instead.`,
      )
    }
    const index = new Map<string, Version[]>()
    for await (const version of this.list('')) index.set(version.name, [version, ...(index.get(version.name) ?? [])])
    this.#index = index
  }

  async put(staged: readonly Staged[], retainUntilMs: number): Promise<void> {
    const index = this.#index
    if (!index) throw new VaultFailure('storage_failed', 'The bucket was opened for reading.')
    const until = new Date(wholeSeconds(Math.max(retainUntilMs, this.#nowMs() + lockMsMin)))
    await forEachWide(staged, widthMax, async ({ name, path }) => {
      const bytes = await readWhole(path, thingBytesMax)
      const { VersionId } = await this.#putOne(name, bytes, until)
      if (VersionId === undefined)
        throw new VaultFailure(
          'read_back_failed',
          `${this.place} gave ${name} no version: its versioning is off. Nothing was sealed.`,
        )
      index.set(name, [...(index.get(name) ?? []), { name, version: VersionId, bytes: bytes.length }])
    })
  }

  async #putOne(name: string, bytes: Buffer, until: Date): Promise<PutObjectCommandOutput> {
    const md5 = createHash('md5').update(bytes)
    const command = new this.#sdk.PutObjectCommand({
      Bucket: this.#at.bucket,
      Key: this.#key(name),
      Body: bytes,
      ContentMD5: md5.copy().digest('base64'),
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: until,
    })
    this.#putting.set(name, (this.#putting.get(name) ?? 0) + 1)
    let attempts = 2
    try {
      const answer = await this.#ask(() => this.#client.send(command))
      attempts = answer.$metadata.attempts ?? 1
      return answer
    } finally {
      if (attempts > 1) this.#unsure.set(name, md5.digest('hex'))
      const others = (this.#putting.get(name) ?? 1) - 1
      if (others > 0) this.#putting.set(name, others)
      else this.#putting.delete(name)
    }
  }

  /** Its lock is all there is, and enough. */
  async fasten(): Promise<void> {}

  async versions(name: string): Promise<readonly Version[]> {
    if (this.#index) return this.#index.get(name) ?? []
    const found: Version[] = []
    for await (const version of this.list(name)) if (version.name === name) found.unshift(version)
    return found
  }

  async get({ name, version }: Version, bytesMax: number): Promise<Held | null> {
    const got = await this.#askForVersion(() =>
      this.#client.send(new this.#sdk.GetObjectCommand({ Bucket: this.#at.bucket, Key: this.#key(name), VersionId: version })),
    )
    if (!got?.Body) return null
    if ((got.ContentLength ?? Number.POSITIVE_INFINITY) > bytesMax) {
      // Nobody reads the rest: the connection goes with it.
      await got.Body.transformToWebStream().cancel()
      throw new VaultFailure('damaged', 'An object of the vault is larger than it can be.')
    }
    const bytes = await this.#ask(() => got.Body?.transformToByteArray() ?? Promise.resolve(new Uint8Array()))
    return { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), retainUntilMs: lockOf(got) }
  }

  async head({ name, version }: Version): Promise<number> {
    const got = await this.#askForVersion(() =>
      this.#client.send(new this.#sdk.HeadObjectCommand({ Bucket: this.#at.bucket, Key: this.#key(name), VersionId: version })),
    )
    return got ? lockOf(got) : 0
  }

  async extend({ name, version }: Version, retainUntilMs: number): Promise<void> {
    await this.#ask(() =>
      this.#client.send(
        new this.#sdk.PutObjectRetentionCommand({
          Bucket: this.#at.bucket,
          Key: this.#key(name),
          VersionId: version,
          Retention: { Mode: 'COMPLIANCE', RetainUntilDate: new Date(wholeSeconds(retainUntilMs)) },
        }),
      ),
    )
  }

  /** Newest first within a name. */
  async *list(prefix: string): AsyncGenerator<Version, void, undefined> {
    for await (const { Versions } of this.#pages(prefix)) {
      for (const { Key, VersionId, Size } of Versions ?? []) {
        if (Key === undefined || VersionId === undefined) continue
        yield { name: Key.slice(this.#key('').length), version: VersionId, bytes: Size ?? 0 }
      }
    }
  }

  describe({ name, version }: Version): string {
    return `${this.place}: ${name}, version ${version}`
  }

  async *hidden(): AsyncGenerator<string, void, undefined> {
    for await (const { DeleteMarkers } of this.#pages('')) {
      for (const { Key } of DeleteMarkers ?? []) if (Key !== undefined) yield Key.slice(this.#key('').length)
    }
  }

  async *inspect(): AsyncGenerator<Omit<Finding, 'place'>, void, undefined> {
    const index = this.#index
    if (!index) throw new VaultFailure('storage_failed', 'The bucket was opened for reading.')
    const adopt = (version: Version, etag: string): boolean => {
      if (this.#unsure.get(version.name) !== etag.replaceAll('"', '')) return false
      index.set(version.name, [...(index.get(version.name) ?? []), version])
      return true
    }
    this.#inspection ??= new BucketInspection(this, { index, putting: this.#putting, adopt })
    const prefixLength = this.#key('').length
    yield* this.#inspection.inspect(this.#pages(''), (key) => key.slice(prefixLength))
  }

  async setup(): Promise<Readonly<Record<string, string>>> {
    return await this.#ask(() => readBucketSetup(this.#sdk, this.#client, this.#at.bucket, (error) => this.#statusOf(error)))
  }

  async remove(version: Version, nowMs: number): Promise<void> {
    const inForce = new VaultFailure('retention_in_force', `${version.name} is kept for longer; it was not removed.`)
    if ((await this.head(version)) > nowMs) throw inForce
    const { name } = version
    const key = { Bucket: this.#at.bucket, Key: this.#key(name), VersionId: version.version }
    await this.#ask(() => this.#client.send(new this.#sdk.DeleteObjectCommand(key)))
    const rest = (this.#index?.get(name) ?? []).filter((one) => one.version !== version.version)
    if (rest.length > 0) this.#index?.set(name, rest)
    else this.#index?.delete(name)
  }

  async *#pages(prefix: string): AsyncGenerator<ListObjectVersionsCommandOutput, void, undefined> {
    const at = { Bucket: this.#at.bucket, Prefix: this.#key(prefix) }
    let from: Pick<ListObjectVersionsCommandOutput, 'KeyMarker' | 'VersionIdMarker'> = {}
    for (;;) {
      const command = new this.#sdk.ListObjectVersionsCommand({ ...at, ...from })
      const page = await this.#ask(() => this.#client.send(command))
      yield page
      if (page.IsTruncated !== true) return
      from = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
    }
  }

  async #isLocked(): Promise<boolean> {
    try {
      const { ObjectLockConfiguration } = await this.#client.send(
        new this.#sdk.GetObjectLockConfigurationCommand({ Bucket: this.#at.bucket }),
      )
      return ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled'
    } catch (error) {
      const status = this.#statusOf(error)
      // 404: no lock on this bucket. 405, 501: a server that has none at all.
      if (status === 404 || status === 405 || status === 501) return false
      throw this.#toFailure(error)
    }
  }

  async #ask<Answer>(request: () => Promise<Answer>): Promise<Answer> {
    try {
      return await request()
    } catch (error) {
      throw this.#toFailure(error)
    }
  }

  /** Null: there is no such version. */
  async #askForVersion<Answer>(request: () => Promise<Answer>): Promise<Answer | null> {
    try {
      return await request()
    } catch (error) {
      if (this.#statusOf(error) === 404) return null
      throw this.#toFailure(error)
    }
  }

  #key(name: string): string {
    return this.#at.prefix === '' ? name : `${this.#at.prefix}/${name}`
  }

  #statusOf(error: unknown): number | null {
    return this.#isService(error) ? (error.$metadata.httpStatusCode ?? null) : null
  }

  #isService(error: unknown): error is S3ServiceException {
    return error instanceof this.#sdk.S3ServiceException
  }

  #toFailure(error: unknown): VaultFailure {
    if (error instanceof VaultFailure) return error
    // The server's own words could quote a key id.
    const what = this.#isService(error)
      ? `answered ${error.name} (${error.$metadata.httpStatusCode ?? 'no status'})`
      : `cannot be reached (${systemCode(error) ?? (error instanceof Error ? error.name : 'unknown')})`
    const status = this.#statusOf(error)
    const code = status === null || status >= 500 ? 'store_unreachable' : 'storage_failed'
    return new VaultFailure(code, `The ${this.place} ${what}.`, { cause: error })
  }
}

function lockOf(answer: {
  readonly ObjectLockMode?: string | undefined
  readonly ObjectLockRetainUntilDate?: Date | undefined
}): number {
  return answer.ObjectLockMode === 'COMPLIANCE' ? (answer.ObjectLockRetainUntilDate?.getTime() ?? 0) : 0
}
