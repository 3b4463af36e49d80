import type { FactsView } from '../store.ts'
import type { Connection } from './connection.ts'

/** Small facts that all gates share. */
export interface SharedFacts {
  get(name: string): Promise<string | null>
  set(name: string, value: string): Promise<void>
  /** Resolves with what is known of these now; they are read again while it is open. */
  view(names: readonly string[]): Promise<FactsView>
  close(): void
}

/** How long what another gate wrote may stay unseen. Nothing is written by what was seen: each write says what it takes for granted. */
const readAgainMs = 1_000

export function openFacts({ run }: Connection): SharedFacts {
  const reading: NodeJS.Timeout[] = []
  const set = async (name: string, value: string): Promise<void> => {
    await run('INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value', [
      name,
      value,
    ])
  }
  const swap = async (name: string, before: string | null, after: string): Promise<boolean> => {
    const { count } = await (before === null
      ? run('INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING', [name, after])
      : run('UPDATE facts SET value = $2 WHERE name = $1 AND value = $3', [name, after, before]))
    return count === 1
  }
  return {
    get: async (name) => {
      const { rows } = await run('SELECT value FROM facts WHERE name = $1', [name])
      return rows[0] === undefined ? null : String(rows[0]['value'])
    },
    set,
    view: async (names) => {
      const known = new Map<string, string>()
      const read = async (): Promise<void> => {
        const { rows } = await run('SELECT name, value FROM facts WHERE name = ANY($1)', [names])
        for (const row of rows) known.set(String(row['name']), String(row['value']))
      }
      await read()
      reading.push(setInterval(() => void read().catch(() => undefined), readAgainMs).unref())
      return {
        get: (name) => known.get(name) ?? null,
        set: async (name, value) => {
          await set(name, value)
          known.set(name, value)
        },
        swap: async (name, before, after) => {
          const swapped = await swap(name, before, after)
          await read()
          return swapped
        },
      }
    },
    close: () => reading.forEach((timer) => clearInterval(timer)),
  }
}
