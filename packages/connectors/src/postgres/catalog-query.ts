import { SallyportError, type SqlAccess, type SqlChannel, type Upstream } from '@sallyport/core'
import type { z } from 'zod'

/** A query whose only value is one JSON text. Parsed here, so that nothing past this line trusts the server's shape. */
export async function readJson<Out>(
  channel: SqlChannel,
  schema: z.ZodType<Out>,
  sql: string,
  values: readonly (string | null)[] = [],
): Promise<Out> {
  const rows = await channel.query(sql, values)
  const text = rows[0]?.[0]
  if (typeof text !== 'string') throw new Error('a catalog query answered nothing')
  const json: unknown = JSON.parse(text)
  return schema.parse(json)
}

interface Bounds {
  readonly lockTimeoutMs: number
  readonly statementTimeoutMs: number
}

/**
 * Settings under which catalogs print and parse the same text every time (what pg_dump sets, too): without them a default such as
 * a date is printed in the style of whoever looks. `pg_temp` last, so that a temporary object can't stand in front of a catalog.
 */
function settings(bounds: Bounds): readonly (readonly [string, string])[] {
  return [
    ['search_path', 'pg_catalog, pg_temp'],
    ['lock_timeout', String(bounds.lockTimeoutMs)],
    ['statement_timeout', String(bounds.statementTimeoutMs)],
    ['row_security', 'off'],
    ['datestyle', 'ISO'],
    ['intervalstyle', 'postgres'],
    ['timezone', 'UTC'],
    ['extra_float_digits', '3'],
    ['standard_conforming_strings', 'on'],
    ['quote_all_identifiers', 'off'],
    ['check_function_bodies', 'off'],
    ['default_tablespace', ''],
    ['xmloption', 'content'],
  ]
}

/**
 * Runs `work` in a transaction of the protect connection and ends it: COMMIT only for `commit`, ROLLBACK for all else, scratch tables
 * included. It begins anew, since a snapshot older than a lock would miss rows (DESIGN §7).
 */
export async function inProtect<Out>(
  channel: SqlChannel,
  how: 'read' | 'scratch' | 'commit',
  bounds: Bounds,
  work: () => Promise<Out>,
): Promise<Out> {
  await channel.query('ROLLBACK')
  await channel.query(`BEGIN ISOLATION LEVEL READ COMMITTED, ${how === 'read' ? 'READ ONLY' : 'READ WRITE'}, NOT DEFERRABLE`)
  try {
    const list = settings(bounds)
    const calls = list.map((_, index) => `pg_catalog.set_config($${index * 2 + 1}, $${index * 2 + 2}, true)`)
    await channel.query(`SELECT ${calls.join(', ')}`, list.flat())
    const out = await work()
    await channel.query(how === 'commit' ? 'COMMIT' : 'ROLLBACK')
    return out
  } catch (error) {
    await rollBack(channel)
    throw error
  }
}

/** The first error is the one to report: a connection that can't even roll back has lost its transaction with it. */
async function rollBack(channel: SqlChannel): Promise<void> {
  try {
    await channel.query('ROLLBACK')
  } catch {
    return
  }
}

type Attempted<Out> = { readonly ok: true; readonly out: Out } | { readonly ok: false; readonly why: string }

/** Tries `work` on a channel that is in a transaction; nothing of it is left behind when the server refuses or is too slow. */
export async function attempt<Out>(channel: SqlChannel, work: () => Promise<Out>): Promise<Attempted<Out>> {
  await channel.query('SAVEPOINT sallyport_attempt')
  try {
    const out = await work()
    await channel.query('RELEASE SAVEPOINT sallyport_attempt')
    return { ok: true, out }
  } catch (error) {
    await channel.query('ROLLBACK TO SAVEPOINT sallyport_attempt')
    await channel.query('RELEASE SAVEPOINT sallyport_attempt')
    return { ok: false, why: sayError(error) }
  }
}

export function sqlAccess(upstream: Upstream): SqlAccess {
  const { access } = upstream
  if (access.kind === 'sql') return access
  throw new SallyportError(
    'upstream_unavailable',
    `There is no connection to ${upstream.name}.`,
    'Nothing was looked up, copied or changed.',
    'Ask through a running gate.',
  )
}

/** What the server or a channel said, without anything a client could have put a secret into. */
export function sayError(error: unknown): string {
  if (error instanceof Error) return error.message.slice(0, 500)
  return 'an error without a message'
}
