import type { DatabaseSync } from 'node:sqlite'

/** Small facts about the store itself. */
export interface MetaStore {
  get(name: string): string | null
  set(name: string, value: string): void
  /** Only if it still is what it was thought to be. */
  swap(name: string, before: string | null, after: string): boolean
}

export function openMeta(database: DatabaseSync): MetaStore {
  return {
    get: (name) => {
      const row = database.prepare('SELECT value FROM meta WHERE name = ?').get(name)
      return row === undefined ? null : String(row['value'])
    },
    set: (name, value) => {
      database
        .prepare('INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value')
        .run(name, value)
    },
    swap: (name, before, after) =>
      (before === null
        ? database.prepare('INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING').run(name, after)
        : database.prepare('UPDATE meta SET value = ? WHERE name = ? AND value = ?').run(after, name, before)
      ).changes === 1,
  }
}
