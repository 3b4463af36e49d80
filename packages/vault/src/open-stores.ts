import { readBucketPlace } from './bucket-place.ts'
import { BucketStore } from './bucket-store.ts'
import type { CopyStore } from './copy-store.ts'
import type { Fastener } from './fastener.ts'
import { FolderStore } from './folder-store.ts'

/** Where copies are to lie. Several places: every copy goes to each of them. */
export interface StoreSettings {
  /** `s3://BUCKET/PREFIX?…`; empty: none. */
  readonly buckets: readonly string[]
  /** For the buckets; null: what the machine offers. */
  readonly bucketCredentialFile: string | null
  /** Whether copies lie in the vault's folder too. Where there is no bucket they always do. */
  readonly folderToo: boolean
}

export async function openStores(
  folder: string,
  settings: StoreSettings,
  nowMs: () => number,
  fastener: Fastener | null = null,
): Promise<readonly CopyStore[]> {
  const buckets: CopyStore[] = []
  for (const text of settings.buckets) {
    buckets.push(await BucketStore.open(await readBucketPlace(text, settings.bucketCredentialFile), nowMs))
  }
  return settings.folderToo || buckets.length === 0 ? [new FolderStore(folder, fastener), ...buckets] : buckets
}
