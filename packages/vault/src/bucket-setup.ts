import type { S3Client } from '@aws-sdk/client-s3'

type Sdk = typeof import('@aws-sdk/client-s3')

const valueLengthMax = 200

/**
 * What of a bucket its owner can change: none of it frees what is locked already, but each is a step of somebody who means to. What the
 * credential may not read says so; becoming unreadable is a change as well.
 */
export async function readBucketSetup(
  sdk: Sdk,
  client: S3Client,
  Bucket: string,
  statusOf: (error: unknown) => number | null,
): Promise<Readonly<Record<string, string>>> {
  const read = async (ask: () => Promise<unknown>): Promise<string> => {
    try {
      return describe(await ask())
    } catch (error) {
      const status = statusOf(error)
      if (status === 404) return 'none'
      if (status === 403) return 'not readable with the vault’s credential'
      if (status === 405 || status === 501) return 'unknown to this server'
      throw error
    }
  }
  return {
    versioning: await read(async () => (await client.send(new sdk.GetBucketVersioningCommand({ Bucket }))).Status),
    'object lock': await read(
      async () => (await client.send(new sdk.GetObjectLockConfigurationCommand({ Bucket }))).ObjectLockConfiguration,
    ),
    'lifecycle rules': await read(
      async () => (await client.send(new sdk.GetBucketLifecycleConfigurationCommand({ Bucket }))).Rules,
    ),
    'bucket policy': await read(async () => (await client.send(new sdk.GetBucketPolicyCommand({ Bucket }))).Policy),
  }
}

function describe(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none')
  return text.length > valueLengthMax ? `${text.slice(0, valueLengthMax)}…` : text
}
