import type { Producer } from '@sallyport/core'
import { database, type DumpSource } from './database/index.ts'
import { bucket, type KeptBucket } from './bucket/index.ts'
import { folder } from './folder/index.ts'
import { sqlite } from './sqlite/index.ts'

export type { DumpSource } from './database/index.ts'

/** Where a kept thing lies. */
export type KeptPlace =
  | ({ readonly kind: 'bucket' } & KeptBucket)
  | { readonly kind: 'database'; readonly upstream: string }
  | { readonly kind: 'folder' | 'sqlite'; readonly path: string }

/** The producer for a thing. One line a kind, each in a folder of its own; a spec compares them with the folders. */
export function openProducer(place: KeptPlace, sourceOf: (upstream: string) => DumpSource): Producer {
  switch (place.kind) {
    case 'database':
      return database.open(sourceOf(place.upstream))
    case 'bucket':
      return bucket.open(place)
    case 'folder':
      return folder.open(place.path)
    case 'sqlite':
      return sqlite.open(place.path)
  }
}
