import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'

const link = z.object({
  tokenSha256: z.string(),
  invitedBy: z.string().nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  usedAtMs: z.number().nullable(),
  confirmation: z.object({ person: z.string(), atMs: z.number() }).nullable().default(null),
  withdrawnAtMs: z.number().nullable().default(null),
})
export type StoredLink = z.infer<typeof link>

export function findLink(database: DatabaseSync, tokenSha256: string): StoredLink | null {
  const row = database.prepare('SELECT body FROM links WHERE tokenSha256 = ?').get(tokenSha256)
  return row === undefined ? null : link.parse(JSON.parse(String(row['body'])))
}

export function isOpen(found: StoredLink, nowMs: number): boolean {
  return found.usedAtMs === null && found.withdrawnAtMs === null && found.expiresAtMs > nowMs
}

export function listOpen(database: DatabaseSync, nowMs: number): readonly StoredLink[] {
  return database
    .prepare('SELECT body FROM links WHERE expiresAtMs > ? ORDER BY rowid')
    .all(nowMs)
    .map((row) => link.parse(JSON.parse(String(row['body']))))
    .filter((found) => isOpen(found, nowMs))
}

export function keepLink(database: DatabaseSync, changed: StoredLink): void {
  database.prepare('UPDATE links SET body = ? WHERE tokenSha256 = ?').run(JSON.stringify(changed), changed.tokenSha256)
}
