import { z } from 'zod'
import type { DatabaseUrl } from '../database-url.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { SqlLine } from './sql-line.ts'

/** What the administrator is, and may do, on this server. */
export interface Administrator {
  readonly line: SqlLine
  readonly name: string
  readonly database: string
  /** As the server counts: 150004 is 15.4. */
  readonly version: number
  readonly superuser: boolean
  /** System identifier and database oid: the same for every way into the same database of the same server. */
  readonly identity: string
}

const shape = z.object({
  name: z.string(),
  database: z.string(),
  version: z.coerce.number(),
  superuser: z.boolean(),
  createrole: z.boolean(),
  standby: z.boolean(),
  conforming: z.string(),
})

const versionMin = 140_000

/** @throws CommandFailure when it is nobody who could make a role here */
export async function openAdministrator(database: DatabaseUrl): Promise<Administrator> {
  const line = await SqlLine.open(database, 'sallyport upstream provision')
  try {
    // Before anything else: an object in a schema that somebody else may fill must not stand in for one of the system's.
    await line.run("SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)")
    await line.run("SET lock_timeout = '10s'; SET client_min_messages = error; SET standard_conforming_strings = on")
    const [facts] = await line.query(
      shape,
      `SELECT current_user::text AS name, current_database()::text AS database, current_setting('server_version_num') AS version,
         rolsuper AS superuser, rolcreaterole AS createrole, pg_is_in_recovery() AS standby,
         current_setting('standard_conforming_strings') AS conforming
       FROM pg_roles WHERE rolname = current_user`,
    )
    if (facts === undefined) throw unfit(database.label, 'is no role that this server knows')
    if (facts.version < versionMin) throw unfit(database.label, 'is on a server older than PostgreSQL 14')
    if (facts.standby) throw unfit(database.label, 'is on a standby, where nothing can be written')
    if (!facts.superuser && !facts.createrole) throw unfit(database.label, 'is neither a superuser nor has CREATEROLE')
    return { line, ...facts, identity: await readIdentity(line) }
  } catch (error) {
    await line.close()
    throw error
  }
}

/** On servers that keep the identifier to superusers, the oid alone: the gate then compares addresses as well. */
export async function readIdentity(line: SqlLine): Promise<string> {
  const oid = await line.value(z.string(), 'SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()')
  const system = await line
    .value(z.string(), 'SELECT system_identifier::text FROM pg_catalog.pg_control_system()')
    .catch(() => 'unknown')
  return `${system}:${oid}`
}

function unfit(label: string, why: string): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'not_supported',
    `${label} ${why}.`,
    'No role was made and nothing was changed.',
    'Give the URL of an administrator of this database: a superuser, or a role with CREATEROLE that owns (or is a member of the owner of) what the agent is to reach.',
  )
}
