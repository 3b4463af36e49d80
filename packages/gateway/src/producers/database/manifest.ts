import type { Json } from '@sallyport/core'
import { z } from 'zod'
import { dumpedTableSchema } from './table-sum.ts'

const sumSchema = z.object({ rows: z.int().min(0), sha256: z.string().regex(/^([0-9a-f]{64})?$/) })

/** What it takes to restore a dump and to know that it is whole. */
export const databaseCopySchema = z.object({
  v: z.literal(1),
  /** As `pg_dump --format=directory` writes it, uncompressed; its files are the parts below `dump/`. */
  format: z.literal('pg_dump directory'),
  database: z.string(),
  serverMajor: z.int(),
  programsMajor: z.int(),
  encoding: z.string(),
  collate: z.string(),
  ctype: z.string(),
  icu: z.string().nullable(),
  /** Roles that objects of the database may belong to or be granted to; no passwords. */
  roles: z.array(z.object({ name: z.string(), superuser: z.boolean(), bypassRls: z.boolean() })),
  memberships: z.array(z.object({ role: z.string(), member: z.string() })),
  files: z.array(
    z.object({
      name: z.string().regex(/^[a-z0-9_]+(\.[a-z0-9]+)*$/),
      bytes: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  tables: z.array(dumpedTableSchema.extend(sumSchema.shape)),
  largeObjects: sumSchema,
})
export type DumpFile = DatabaseCopy['files'][number]
export type DatabaseCopy = z.infer<typeof databaseCopySchema>

const json: z.ZodType<Json> = z.json()

export function toManifest(copy: DatabaseCopy): Json {
  return json.parse(copy)
}

/** Where in the vault a file of the dump lies. */
export function partOf(file: string): string {
  return `dump/${file}`
}

export const largeObjectsLabel = 'large objects'
