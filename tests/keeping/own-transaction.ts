import pg from 'pg'
import type { SqlChannel } from '@sallyport/core'

/** A transaction on a real server for producers, as the gate gives it: text in, text out. */
export async function beginOwnTransaction(
  connectionString: string,
): Promise<{ readonly identity: string; readonly channel: SqlChannel; end(): Promise<void> }> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => undefined)
  await client.connect()
  await client.query('BEGIN')
  const channel: SqlChannel = {
    query: async (text, values = []) => {
      const types = { getTypeParser: () => (value: string) => value }
      const { rows } = await client.query<(string | null)[]>({ text, values: [...values], rowMode: 'array', types })
      return rows
    },
    copyOut: () => {
      throw new Error('no producer copies rows by itself')
    },
    copyIn: () => Promise.reject(new Error('no producer copies rows by itself')),
  }
  return { identity: `server at ${client.host}:${client.port}`, channel, end: () => client.end() }
}
