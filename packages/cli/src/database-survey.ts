import pg from 'pg'
import { z } from 'zod'
import { clientConfig, type DatabaseUrl } from './database-url.ts'
import { CommandFailure, exitCodes } from './failure.ts'

/** What can be seen of a database with one credential. */
export interface Survey {
  readonly version: string
  readonly bytes: number
  readonly tables: number
  readonly superuser: boolean
  readonly replication: boolean
  /** True when this role may read every table without owning it. */
  readonly readsAll: boolean
  /** Of the tables, how many this role owns: only those can it copy under lock and put back. */
  readonly owned: number
  readonly encrypted: boolean
}

const rowShape = z.object({
  version: z.string(),
  bytes: z.coerce.number(),
  tables: z.coerce.number(),
  owned: z.coerce.number(),
  superuser: z.boolean(),
  replication: z.boolean(),
  reads_all: z.boolean(),
  encrypted: z.boolean(),
})

const surveySql = `
SELECT current_setting('server_version') AS version,
  pg_database_size(current_database()) AS bytes,
  (SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema') AS tables,
  (SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' AND pg_has_role(relowner, 'USAGE')) AS owned,
  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
  (SELECT rolreplication FROM pg_roles WHERE rolname = current_user) AS replication,
  coalesce((SELECT pg_has_role(current_user, oid, 'USAGE') FROM pg_roles WHERE rolname = 'pg_read_all_data'), false) AS reads_all,
  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted`

/** Connects once and looks. Changes nothing. */
export async function surveyDatabase(database: DatabaseUrl): Promise<Survey> {
  const client = new pg.Client(clientConfig(database))
  client.on('error', () => undefined)
  try {
    await client.connect()
    const result = await client.query(surveySql)
    const { reads_all: readsAll, ...row } = rowShape.parse(result.rows[0])
    return { ...row, readsAll }
  } catch (error) {
    throw connectFailure(database, error)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** By code, never by the driver's text: that may repeat what was in the URL. */
function connectFailure(database: DatabaseUrl, error: unknown): CommandFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const [what, next] = connectErrors.get(code) ?? explainMessage(code, error instanceof Error ? error.message : '')
  return new CommandFailure(exitCodes.failed, 'upstream_unavailable', `${database.label}: ${what}`, 'Nothing was written.', next)
}

type Explained = readonly [what: string, next: string]

const silent: Explained = ['the host does not answer.', 'Check host, network and firewall.']
const unknownHost: Explained = ['the host’s name is not known here.', 'Check the host in the URL.']

/** SQLSTATEs of a refused connection, and the system's own codes. */
const connectErrors: ReadonlyMap<string, Explained> = new Map([
  ['28P01', ['the server refused the password.', 'Check user and password; in a URL, special characters are written as %XX.']],
  ['28000', ['the server lets this user in from here in no way.', 'See the server’s pg_hba.conf, or add sslmode=require.']],
  ['3D000', ['the server has no database of that name.', 'Check the last part of the URL.']],
  ['53300', ['the server has no connection left.', 'Try again later, or raise max_connections.']],
  ['ECONNREFUSED', ['nobody listens at that host and port.', 'Check host and port, and that the server runs.']],
  ['ENOTFOUND', unknownHost],
  ['EAI_AGAIN', unknownHost],
  ['ETIMEDOUT', silent],
  ['EHOSTUNREACH', silent],
  ['ENETUNREACH', silent],
])

/** The driver has no code for these. */
function explainMessage(code: string, message: string): Explained {
  if (message.includes('does not support SSL'))
    return ['the server does not speak TLS.', 'Add sslmode=disable if the network between is your own.']
  if (code.includes('CERT') || code.includes('SELF_SIGNED')) {
    return [
      'the server’s certificate is not trusted here.',
      'Name its authority with sslrootcert=FILE, or use sslmode=require to encrypt without checking.',
    ]
  }
  if (message.toLowerCase().includes('timeout')) return ['the host does not answer in time.', 'Check host, network and firewall.']
  return [`it cannot be connected to${code === '' ? '' : ` (${code})`}.`, 'Check that a PostgreSQL server answers there.']
}

/** What was seen and what it is worth, for a person. */
export function describeSurvey(survey: Survey): readonly string[] {
  const lines = [
    `PostgreSQL ${survey.version}, ${formatBytes(survey.bytes)} in ${survey.tables} tables${survey.encrypted ? ', encrypted on the way' : ', not encrypted on the way'}.`,
  ]
  if (survey.superuser) {
    lines.push(
      'This role is a superuser. Whatever gets past the gate’s checks can do anything to the whole server; the gate is the only fence.',
    )
    lines.push(
      'Better: a role that owns what agents work on and nothing else for `use`, and one with REPLICATION and pg_read_all_data for `protect`.',
    )
    return lines
  }
  lines.push('This role is no superuser: the server itself is a second fence behind the gate.')
  if (survey.owned < survey.tables) {
    lines.push(
      `It owns ${survey.owned} of ${survey.tables} tables; what it does not own can be neither copied under lock nor dropped through this credential.`,
    )
  }
  if (!survey.replication) lines.push('It may not replicate, so copies are made table by table, not from the write-ahead log.')
  return lines
}

function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const exponent = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3))
  const value = bytes / 1000 ** exponent
  return `${value < 10 && exponent > 0 ? value.toFixed(1) : Math.round(value)} ${units[exponent] ?? ''}`
}
