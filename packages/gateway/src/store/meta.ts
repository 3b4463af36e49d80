import type { DatabaseSync } from 'node:sqlite'

/** Small facts about the store itself. */
export interface MetaStore {
  get(name: string): string | null
  set(name: string, value: string): void
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
  }
}
