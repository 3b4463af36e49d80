import { z } from 'zod'

const text = z.string().nullable()
const hex64 = z.string().regex(/^[0-9a-f]{64}$/)

/** One object of a copy, and where its bytes lie. */
export const entrySchema = z.strictObject({
  key: z.string().min(1).max(2_048),
  version: text,
  bytes: z.int().min(0),
  sha256: hex64,
  modifiedMs: z.int().min(0),
  part: z.int().min(0),
  at: z.int().min(0),
  headers: z.strictObject({
    contentType: text,
    contentEncoding: text,
    contentDisposition: text,
    contentLanguage: text,
    cacheControl: text,
  }),
  metadata: z.record(z.string(), z.string()),
  tags: z.record(z.string(), z.string()),
})
export type Entry = z.infer<typeof entrySchema>

/** What a copy of a bucket says of itself; the entries are a part of their own, one JSON a line. */
export const bucketCopySchema = z.object({
  v: z.literal(1),
  format: z.literal('sallyport bucket'),
  momentMs: z.int().min(0).nullable(),
  entriesPart: z.string(),
  entriesSha256: hex64,
  objects: z.int().min(0),
  bytes: z.int().min(0),
  dataParts: z.array(z.string()),
})
export type BucketCopy = z.infer<typeof bucketCopySchema>
