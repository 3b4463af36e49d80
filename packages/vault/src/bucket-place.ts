import { readWhole } from './disk.ts'
import { lstat } from 'node:fs/promises'
import { VaultFailure } from './failure.ts'

/** Where a bucket is and how to come in. */
export interface BucketPlace {
  readonly bucket: string
  /** Before every name, without a slash at its end; empty for none. */
  readonly prefix: string
  readonly region: string
  /** Null: the one of AWS for the region. */
  readonly endpoint: string | null
  /** Null: what the machine offers (an instance role, …). */
  readonly credential: { readonly accessKeyId: string; readonly secretAccessKey: string } | null
}

const credentialBytesMax = 4096

/**
 * `s3://BUCKET/PREFIX?region=…&endpoint=…`, and the file with `ACCESS_KEY_ID:SECRET_ACCESS_KEY`.
 * @throws VaultFailure `bad_request`
 */
export async function readBucketPlace(text: string, credentialFile: string | null): Promise<BucketPlace> {
  const url = parseUrl(text)
  const endpoint = url.searchParams.get('endpoint')
  const unknown = [...url.searchParams.keys()].find((name) => name !== 'endpoint' && name !== 'region')
  if (url.protocol !== 's3:' || url.hostname === '' || url.username !== '' || unknown !== undefined) throw wrongPlace()
  if (endpoint !== null && !isHttp(endpoint)) throw wrongPlace()
  return {
    bucket: url.hostname,
    prefix: url.pathname.replace(/^\/+|\/+$/g, ''),
    region: url.searchParams.get('region') ?? 'us-east-1',
    endpoint,
    credential: credentialFile === null ? null : await readCredential(credentialFile),
  }
}

function parseUrl(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw wrongPlace()
  }
}

function isHttp(endpoint: string): boolean {
  return URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol)
}

function wrongPlace(): VaultFailure {
  return new VaultFailure(
    'bad_request',
    'A bucket is written like s3://BUCKET/PREFIX?region=REGION&endpoint=https://HOST, without a credential in it. Nothing was started.',
  )
}

async function readCredential(path: string): Promise<BucketPlace['credential']> {
  if (((await lstat(path)).mode & 0o077) !== 0)
    throw new VaultFailure(
      'bad_request',
      "Others can read the file with the bucket's credential: chmod 0600 it. Nothing was started.",
    )
  const text = (await readWhole(path, credentialBytesMax)).toString('utf8').trim()
  const [, accessKeyId, secretAccessKey] = /^([^:\s]+):(\S+)$/.exec(text) ?? []
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new VaultFailure(
      'bad_request',
      "The file with the bucket's credential does not hold ACCESS_KEY_ID:SECRET_ACCESS_KEY. Nothing was started.",
    )
  return { accessKeyId, secretAccessKey }
}
