import { arrange } from '../servers/gate.ts'
import type { PostgresServer } from '../servers/postgres.ts'

/** What the agent of a story wants to destroy, and what lies beside it. */
export const tables = ['notes', 'orders']
export const drop = 'DROP TABLE notes'

export function prepareNotes(postgres: PostgresServer, database = 'postgres'): Promise<void> {
  return arrange(
    postgres,
    `CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 2000) n;
     CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 2000)`,
    database,
  )
}
