import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { SallyportError, type Producer, type SnapshotReader } from '@sallyport/core'
import { copyBucket } from './copy.ts'
import { bucketCopySchema, type BucketCopy } from './entry.ts'
import { withBucket, type KeptBucket } from './place.ts'
import { eachObject, putBack } from './restore.ts'

export type { KeptBucket } from './place.ts'

/** Objects of an S3 bucket, as they were at one moment. */
export const bucket = { id: 'bucket', open }

const leftMax = 100

function open(kept: KeptBucket): Producer {
  return {
    kind: 'bucket',
    identity: () =>
      counted(null, () =>
        withBucket(kept, async ({ sdk, client, bucket: Bucket, name }) => {
          await client.send(new sdk.HeadBucketCommand({ Bucket }))
          return name
        }),
      ),
    copy: (seal, options) =>
      counted(options.signal, async () => {
        const copy = await withBucket(kept, (there) => copyBucket(there, seal, options))
        await withScratch((scratch) => eachObject(copy, seal, scratch, options, async () => undefined))
        const checksums = { '.': copy.entriesSha256 }
        return { kind: 'bucket', rows: copy.objects, bytes: copy.bytes, checksums, manifest: copy }
      }),
    prove: (reader, { checks, ...options }) =>
      counted(options.signal, async () => {
        if (checks.length > 0) throw new Error('a bucket is no database, and answers no questions: leave its checks out')
        const copy = readCopy(reader)
        const compared = await withScratch((scratch) => eachObject(copy, reader, scratch, options, async () => undefined))
        return { rows: copy.objects, bytes: copy.bytes, compared, answers: [], place: 'scratch files, one after the other' }
      }),
    extract: (reader, name, shelf, signal) =>
      counted(signal, async () => {
        const copy = readCopy(reader)
        const options = { report: () => undefined, signal }
        let sha256 = ''
        const file = join(shelf, safeName(name))
        await mkdir(shelf, { recursive: true, mode: 0o700 })
        await withScratch((scratch) =>
          eachObject(copy, reader, scratch, options, async (entry, object) => {
            if (entry.key !== name) return
            await copyFile(object, `${file}.new`)
            await rename(`${file}.new`, file)
            sha256 = entry.sha256
          }),
        )
        if (sha256 === '') throw new Error(`there is no object ${JSON.stringify(name.slice(0, 200))} in the copy`)
        return { file, rows: 1, sha256 }
      }),
    restore: (reader, { beside, ...options }) =>
      counted(options.signal, async () => {
        const copy = readCopy(reader)
        return withBucket(kept, (there) =>
          withScratch(async (scratch) => {
            const counts = { put: 0, same: 0, left: 0 }
            const left: string[] = []
            await eachObject(copy, reader, scratch, options, async (entry, file) => {
              const key = beside === null ? entry.key : `${beside}${entry.key}`
              const done = await putBack(there, entry, file, key)
              counts[done] += 1
              if (done === 'left' && left.length < leftMax) left.push(key)
            })
            return { ...counts, leftNames: left, place: beside === null ? there.name : `${there.name} under ${beside}` }
          }),
        )
      }),
  }
}

function safeName(name: string): string {
  const safe = basename(name)
    .replaceAll(/[^A-Za-z0-9_.-]/g, '_')
    .slice(0, 100)
    .replace(/^\.+/, '_')
  return safe === '' ? '_' : safe
}

function readCopy({ manifest, checksums }: SnapshotReader): BucketCopy {
  const parsed = bucketCopySchema.safeParse(manifest)
  if (!parsed.success) throw new Error('it was not made by this producer, or by another version of it, and cannot be read')
  if (checksums['.'] !== parsed.data.entriesSha256) throw new Error('its manifest says two things of it, and cannot be read')
  return parsed.data
}

async function withScratch<Result>(work: (scratch: string) => Promise<Result>): Promise<Result> {
  const scratch = await mkdtemp(join(tmpdir(), `sallyport-scratch-${process.pid}-`))
  try {
    return await work(scratch)
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function counted<Result>(signal: AbortSignal | null, work: () => Promise<Result>): Promise<Result> {
  try {
    signal?.throwIfAborted()
    return await work()
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof SallyportError) throw error
    throw new SallyportError(
      'copy_failed',
      `The bucket could not be copied, or the copy not be proven: ${error instanceof Error ? error.message.slice(0, 500) : 'no reason was given'}.`,
      'No copy counts that was not restored and compared.',
      'Mend what the message names, then try again.',
      { cause: error },
    )
  }
}
