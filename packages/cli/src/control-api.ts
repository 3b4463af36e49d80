import { z } from 'zod'

/** The part of the people's API that these commands use. */
export const paths = {
  handles: '/api/v1/handles',
  revokeHandle: (id: string): string => `/api/v1/handles/${encodeURIComponent(id)}/revoke`,
  rotateHandle: (id: string): string => `/api/v1/handles/${encodeURIComponent(id)}/rotate`,
  snapshots: '/api/v1/snapshots',
  undo: '/api/v1/undo',
  copies: '/api/v1/copies',
  quarantine: '/api/v1/quarantine',
  reread: '/api/v1/configuration/reread',
} as const

/** A handle just issued. The only time its secret is seen. */
export const issuedShape = z.object({
  id: z.string(),
  handle: z.string(),
  expiresAtMs: z.number(),
})
export type Issued = z.infer<typeof issuedShape>

export const copiedShape = z.object({
  id: z.string(),
  kind: z.string(),
  upstream: z.string(),
  madeAtMs: z.number(),
  rows: z.number(),
  bytes: z.number(),
  checksums: z.record(z.string(), z.string()),
  retainUntilMs: z.number(),
})
export const snapshotsShape = z.object({ snapshots: z.array(copiedShape) })
export type ListedSnapshot = z.infer<typeof snapshotsShape>['snapshots'][number]

export const undoneShape = z.object({
  rows: z.number(),
  tables: z.array(z.string()),
  /** True only when the checksums after the restore equal those of the snapshot. */
  verified: z.boolean(),
  note: z.string(),
})
