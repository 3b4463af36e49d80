import { nameOnVolume, type Json } from '@sallyport/core'
import { z } from 'zod'
import { volumeTableSchema } from './base-backup-tables.ts'

const hex64 = z.string().regex(/^[0-9a-f]{64}$/)

const volumeCopySchema = z.object({
  /** The provider's own id of the volume. */
  volume: z.string(),
  /** Name of the part that holds the tar file. */
  part: z.string(),
  partSha256: hex64,
  bytes: z.number().int().min(0),
  /** Which database was compared. */
  database: z.string(),
  /** Name of the server's bootstrap superuser. */
  superuser: z.string(),
  /** PostgreSQL's major version: only programs of the same start it. */
  major: z.number().int(),
  systemIdentifier: z.string().nullable(),
  /** Databases of the same server that are in the copy too, and were not compared. */
  otherDatabases: z.array(z.string()),
  tables: z.array(volumeTableSchema.extend({ rows: z.number().int().min(0), sha256: hex64 })),
})
/** The copy of one volume: a base backup of the server whose data lies on it. */
export type VolumeCopy = z.infer<typeof volumeCopySchema>

/** Everything restore needs besides the parts. Read back through this schema: what lies in the vault is not trusted for its shape. */
export const baseBackupManifestSchema = z.object({
  version: z.literal(1),
  connector: z.literal('railway'),
  kind: z.literal('base-backup'),
  volumes: z.array(volumeCopySchema).min(1),
})

/** The manifest as JSON that the vault can seal. */
export function baseBackupManifest(volumes: readonly VolumeCopy[]): Json {
  return z.json().parse({ version: 1, connector: 'railway', kind: 'base-backup', volumes })
}

/** One name a table, with its volume in front. */
export function nameSums(volumes: readonly VolumeCopy[]): { readonly [table: string]: string } {
  return Object.fromEntries(
    volumes.flatMap(({ volume, tables }) => tables.map(({ label, sha256 }) => [nameOnVolume(volume, label), sha256])),
  )
}
