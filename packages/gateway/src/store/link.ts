import type { DatabaseSync } from 'node:sqlite'
import { isSamePerson } from '@sallyport/core'
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
  return row === undefined ? null : readLink(row['body'])
}

export function readLink(body: unknown): StoredLink {
  return link.parse(JSON.parse(String(body)))
}

export function isOpen(found: StoredLink, nowMs: number): boolean {
  return found.usedAtMs === null && found.withdrawnAtMs === null && found.expiresAtMs > nowMs
}

/** Whether this person invited with it, or confirmed it. */
export function restsOn({ invitedBy, confirmation }: StoredLink, name: string): boolean {
  return isSamePerson(invitedBy ?? '', name) || isSamePerson(confirmation?.person ?? '', name)
}

export function listOpen(database: DatabaseSync, nowMs: number): readonly StoredLink[] {
  return database
    .prepare('SELECT body FROM links WHERE expiresAtMs > ? ORDER BY rowid')
    .all(nowMs)
    .map((row) => readLink(row['body']))
    .filter((found) => isOpen(found, nowMs))
}

export function keepLink(database: DatabaseSync, changed: StoredLink): void {
  database.prepare('UPDATE links SET body = ? WHERE tokenSha256 = ?').run(JSON.stringify(changed), changed.tokenSha256)
}
