import { lstatSync, readFileSync } from 'node:fs'
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'

/** Where a kept bucket is and how to come in. */
export interface KeptBucket {
  /** `s3://BUCKET/PREFIX?region=…&endpoint=…` */
  readonly url: string
  /** A file with `ACCESS_KEY_ID:SECRET_ACCESS_KEY`; null: what the machine offers. */
  readonly credentialFile: string | null
}

type Sdk = typeof import('@aws-sdk/client-s3')

/** An open way in. */
export interface OpenBucket {
  readonly sdk: Sdk
  readonly client: S3Client
  readonly bucket: string
  /** What the keys that are kept begin with; empty for all. */
  readonly prefix: string
  /** For people, and as its identity. */
  readonly name: string
}

const connectMs = 5_000
const answerMs = 120_000
const attemptsMax = 4

/** Calls `work` with a client that is closed after it. @throws Error without anything of the credential */
export async function withBucket<Result>(kept: KeptBucket, work: (open: OpenBucket) => Promise<Result>): Promise<Result> {
  const url = new URL(kept.url)
  const endpoint = url.searchParams.get('endpoint')
  // Loaded only where a bucket is kept: it takes a quarter of a second.
  const sdk = await import('@aws-sdk/client-s3')
  const credentials = kept.credentialFile === null ? null : readCredential(kept.credentialFile)
  const client = new sdk.S3Client({
    region: url.searchParams.get('region') ?? 'us-east-1',
    maxAttempts: attemptsMax,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: connectMs, requestTimeout: answerMs },
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === null ? {} : { credentials }),
  })
  const prefix = url.pathname.replace(/^\/+/, '')
  const name = `bucket ${endpoint === null ? '' : `${new URL(endpoint).host} `}${url.hostname}/${prefix}`
  try {
    return await work({ sdk, client, bucket: url.hostname, prefix, name })
  } catch (error) {
    throw clear(sdk, name, error)
  } finally {
    client.destroy()
  }
}

/** The server's own words could quote a key id. */
function clear(sdk: Sdk, name: string, error: unknown): Error {
  if (error instanceof sdk.S3ServiceException)
    return new Error(`${name} cannot be used: it answered ${error.name} (${error.$metadata.httpStatusCode ?? 'no status'})`)
  if (error instanceof Error && 'code' in error && typeof error.code === 'string')
    return new Error(`${name} cannot be reached (${error.code})`)
  return error instanceof Error ? error : new Error('it failed without a reason')
}

function readCredential(path: string): { readonly accessKeyId: string; readonly secretAccessKey: string } {
  if ((lstatSync(path).mode & 0o077) !== 0)
    throw new Error('others can read the file with the bucket’s credential, so it cannot be used: chmod 0600 it')
  const [, accessKeyId, secretAccessKey] = /^([^:\s]+):(\S+)$/.exec(readFileSync(path, 'utf8').trim()) ?? []
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new Error('the file with the bucket’s credential cannot be read: it holds ACCESS_KEY_ID:SECRET_ACCESS_KEY')
  return { accessKeyId, secretAccessKey }
}

/** The bytes of an object as they come. */
export async function* readBody({ Body }: GetObjectCommandOutput): AsyncGenerator<Uint8Array, void, undefined> {
  if (Body === undefined) return
  for await (const piece of Body.transformToWebStream()) {
    const bytes: unknown = piece
    if (!(bytes instanceof Uint8Array)) throw new Error('an object of the bucket cannot be read as bytes')
    yield bytes
  }
}
