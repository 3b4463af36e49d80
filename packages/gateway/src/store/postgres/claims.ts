import type { Connection } from './connection.ts'

/** Who does what only one gate may do at a time. */
export interface Claims {
  /** True: this gate does it, for so long unless it asks again. False: another one does. */
  take(name: string, forMs: number): Promise<boolean>
  drop(name: string): Promise<void>
}

/** Which gate it is changes only when a claim ran out, by the database's own time. A claim saves work and noise; what must run once is a grant's to say. */
export function openClaims({ run }: Connection, gate: string, life: string): Claims {
  return {
    take: async (name, forMs) => {
      const { count } = await run(
        `INSERT INTO claims (name, gate, life, until) VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 millisecond')
         ON CONFLICT (name) DO UPDATE SET gate = excluded.gate, life = excluded.life, until = excluded.until
         WHERE claims.until < clock_timestamp() OR claims.life = excluded.life`,
        [name, gate, life, forMs],
      )
      return count === 1
    },
    drop: async (name) => {
      await run('DELETE FROM claims WHERE name = $1 AND life = $2', [name, life])
    },
  }
}
