import { setTimeout as sleep } from 'node:timers/promises'
import type { OpenBucket } from './place.ts'

/** An object as a listing told it. */
export interface Listed {
  readonly key: string
  /** Null in a bucket without versions. */
  readonly version: string | null
  readonly etag: string
  readonly bytes: number
  readonly modifiedMs: number
}

interface Version extends Listed {
  /** A delete marker: from then on there was nothing under the key. */
  readonly isGone: boolean
}

/** Servers tell times in whole seconds: after this long, what comes is younger than what was there. */
const settleMs = 1_100

export interface Listing {
  readonly objects: readonly Listed[]
  /** As of when, where the server's own times say it; null: as long as it does not change. */
  readonly momentMs: number | null
}

/** What lies in the bucket. In a versioned one as of a moment that nothing written later changes; elsewhere as it is now. */
export async function listBucket(open: OpenBucket): Promise<Listing> {
  const { Status } = await open.client.send(new open.sdk.GetBucketVersioningCommand({ Bucket: open.bucket }))
  const first = await listVersions(open)
  if (Status !== 'Enabled') return { objects: first.filter(isNewest).filter(({ isGone }) => !isGone), momentMs: null }
  const momentMs = first.reduce((latest, { modifiedMs }) => Math.max(latest, modifiedMs), 0)
  await sleep(settleMs)
  const then = (await listVersions(open)).filter(({ modifiedMs }) => modifiedMs <= momentMs)
  return { objects: then.filter(isNewest).filter(({ isGone }) => !isGone), momentMs }
}

/** Whether two listings of a bucket without versions tell of the same objects. */
export function isSame(left: Listing, right: Listing): boolean {
  return JSON.stringify(left.objects) === JSON.stringify(right.objects)
}

/** The first of its key in a list sorted by key, the newest first. */
function isNewest(one: Version, index: number, all: readonly Version[]): boolean {
  return all[index - 1]?.key !== one.key
}

/** Every version below the prefix, sorted by key, the newest of each first. */
async function listVersions({ sdk, client, bucket, prefix }: OpenBucket): Promise<readonly Version[]> {
  const found: Version[] = []
  let from: { KeyMarker?: string; VersionIdMarker?: string } = {}
  for (;;) {
    // Keys can hold what XML cannot.
    const asked = { Bucket: bucket, Prefix: prefix, EncodingType: 'url' as const, ...from }
    const page = await client.send(new sdk.ListObjectVersionsCommand(asked))
    for (const { Key, VersionId, ETag, Size, LastModified } of page.Versions ?? []) {
      const known = { key: decode(Key), version: asVersion(VersionId), etag: (ETag ?? '').replaceAll('"', '') }
      found.push({ ...known, bytes: Size ?? 0, modifiedMs: LastModified?.getTime() ?? 0, isGone: false })
    }
    for (const { Key, VersionId, LastModified } of page.DeleteMarkers ?? []) {
      const known = { key: decode(Key), version: asVersion(VersionId), etag: '', bytes: 0, isGone: true }
      found.push({ ...known, modifiedMs: LastModified?.getTime() ?? 0 })
    }
    if (page.IsTruncated !== true) break
    from = {
      KeyMarker: decode(page.NextKeyMarker),
      ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
    }
  }
  // Delete markers come in a list of their own; a stable sort keeps the server's order of versions of one time.
  return found.sort((left, right) => compare(left.key, right.key) || right.modifiedMs - left.modifiedMs)
}

function asVersion(id: string | undefined): string | null {
  return id === undefined || id === 'null' ? null : id
}

function decode(key: string | undefined): string {
  return decodeURIComponent((key ?? '').replaceAll('+', '%20'))
}

function compare(left: string, right: string): number {
  if (left === right) return 0
  return left < right ? -1 : 1
}
