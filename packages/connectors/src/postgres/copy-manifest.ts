import type { Json } from '@sallyport/core'
import { z } from 'zod'
import { tableShapeSchema, viewShapeSchema } from './catalog-shape.ts'
import { placeOfSchema } from './quarantine.ts'
import { movedDatabaseSchema } from './quarantine-database.ts'
import { foreignKeySchema, namespaceSchema, undoSchema } from './copy-plan.ts'

const copiedTableSchema = z.object({
  shape: tableShapeSchema,
  mode: z.enum(['whole', 'rows']),
  undo: undoSchema,
  /** Name of the part that holds its rows: binary COPY of `columns`, in this order. */
  part: z.string(),
  partSha256: z.string(),
  columns: z.array(z.string()),
  /** Null: the table has none. */
  key: z.array(z.string()).nullable(),
  rows: z.number(),
  sha256: z.string(),
  /** The transaction id that the statement's own writes carry, where it could be learned: tells its rows from later ones. */
  writer: z.string().nullable(),
  sequenceValues: z.array(z.object({ schema: z.string(), name: z.string(), last: z.string(), called: z.boolean() })),
})
export type CopiedTable = z.infer<typeof copiedTableSchema>

/** Everything restore needs besides the parts. Read back through this schema: what lies in the vault is not trusted for its shape. */
export const manifestSchema = z.object({
  version: z.literal(1),
  connector: z.literal('postgres'),
  tables: z.array(copiedTableSchema),
  views: z.array(viewShapeSchema),
  foreignKeys: z.array(foreignKeySchema),
  namespaces: z.array(namespaceSchema),
  /** Where it was moved to instead of being dropped at once. Manifests of before have none. */
  quarantine: placeOfSchema.nullable().default(null),
  /** A whole database that was moved: nothing of it is in this copy. */
  database: movedDatabaseSchema.nullable().default(null),
})
export type CopyManifest = z.infer<typeof manifestSchema>

/** The manifest as JSON that the vault can seal. */
export function manifestJson(manifest: CopyManifest): Json {
  return z.json().parse(manifest)
}
