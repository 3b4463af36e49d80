import pg from 'pg'
import { z } from 'zod'
import { visibleLine } from '@sallyport/core'
import { clientConfig, type DatabaseUrl } from '../database-url.ts'
import { CommandFailure, exitCodes } from '../failure.ts'

const statementTimeoutMs = 60_000
/** SQLSTATE of what went well. */
export const done = '00000'

export interface Attempted {
  /** `00000` when it went through. */
  readonly sqlState: string
  /** The server's own words; empty when it went through. */
  readonly message: string
}

/** One connection that says what the server answered, by SQLSTATE. */
export class SqlLine {
  readonly #client: pg.Client
  readonly #label: string

  private constructor(client: pg.Client, label: string) {
    this.#client = client
    this.#label = label
  }

  /** @throws CommandFailure, with nothing of the URL but its label */
  static async open(database: DatabaseUrl, name: string): Promise<SqlLine> {
    const client = new pg.Client({
      ...clientConfig(database),
      application_name: name,
      query_timeout: statementTimeoutMs,
    })
    // Noticed by the next statement.
    client.on('error', () => undefined)
    try {
      await client.connect()
    } catch (error) {
      await client.end().catch(() => undefined)
      throw new CommandFailure(
        exitCodes.failed,
        'upstream_unavailable',
        `${database.label} does not let us in (${codeOf(error)}).`,
        'Nothing was done with that connection.',
        'Check that the server lets this role in from here (pg_hba.conf), and try again.',
      )
    }
    return new SqlLine(client, database.label)
  }

  async query<Shape>(shape: z.ZodType<Shape>, sql: string, values: readonly unknown[] = []): Promise<readonly Shape[]> {
    try {
      const result = await this.#client.query<Record<string, unknown>>(sql, [...values])
      return z.array(shape).parse(result.rows)
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** One value of one row. */
  async value<Shape>(shape: z.ZodType<Shape>, sql: string, values: readonly unknown[] = []): Promise<Shape> {
    const rows = await this.query(z.record(z.string(), z.unknown()), sql, values)
    return shape.parse(Object.values(rows[0] ?? {})[0])
  }

  /** @throws CommandFailure with the server's words */
  async run(sql: string): Promise<void> {
    const { sqlState, message } = await this.attempt(sql)
    if (sqlState !== done) throw this.#refused(sqlState, message)
  }

  /** Never throws for what the server refuses. `08006`: the connection is gone. */
  async attempt(sql: string): Promise<Attempted> {
    try {
      await this.#client.query(sql)
      return { sqlState: done, message: '' }
    } catch (error) {
      return { sqlState: codeOf(error), message: error instanceof pg.DatabaseError ? error.message : 'the connection is gone' }
    }
  }

  /** All of it or nothing. */
  async transact(work: () => Promise<void>): Promise<void> {
    await this.run('BEGIN')
    try {
      await work()
      await this.run('COMMIT')
    } catch (error) {
      await this.attempt('ROLLBACK')
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined)
  }

  #failure(error: unknown): unknown {
    return error instanceof pg.DatabaseError ? this.#refused(codeOf(error), error.message) : error
  }

  #refused(sqlState: string, message: string): CommandFailure {
    return new CommandFailure(
      exitCodes.failed,
      'upstream_failed',
      `${this.#label}: ${visibleLine(message.slice(0, 300))} (${sqlState}).`,
      'This step was not done, and nothing of its transaction stays.',
      'Mend what the server names, then run the same command again.',
    )
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : '08006'
}

/** Text in single quotes for SQL that takes no parameters. Backslashes count for nothing: `standard_conforming_strings` is made sure of. */
export const literal = pg.escapeLiteral
export const identifier = pg.escapeIdentifier
export const qualified = (schema: string, name: string): string => `${identifier(schema)}.${identifier(name)}`
