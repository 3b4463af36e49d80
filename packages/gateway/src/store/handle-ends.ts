import type { DatabaseSync } from 'node:sqlite'

/** A handle and, transitively, every one narrowed from it: those that are in force end by `endsAtMs`, or as before where that is sooner. Their ids. */
export function endBy(database: DatabaseSync, id: string, endsAtMs: number, nowMs: number): readonly string[] {
  return database
    .prepare(
      `WITH RECURSIVE tree(id) AS (SELECT ?1 UNION SELECT handles.id FROM handles JOIN tree ON handles.parent = tree.id)
       UPDATE handles SET expiresAtMs = min(expiresAtMs, ?2) WHERE id IN (SELECT id FROM tree) AND revokedAtMs IS NULL AND expiresAtMs > ?3 RETURNING id`,
    )
    .all(id, endsAtMs, nowMs)
    .map((row) => String(row['id']))
}
