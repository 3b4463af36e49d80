import { randomInt } from 'node:crypto'
import { z } from 'zod'
import type { Administrator } from './administrator.ts'
import { readIdentity } from './administrator.ts'
import type { DatabaseUrl } from '../database-url.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import { listAttempts, type Attempt, type ProofGround } from './proof-attempt.ts'
import { writesOf, type PublicFinding } from './public-finding.ts'
import type { RolePrivileges } from './role-privileges.ts'
import type { RoleKind } from './role-scope.ts'
import { done, qualified, SqlLine, type Attempted } from './sql-line.ts'

/** `held`: the server said no. `known`: it went through, by something that was found and said before. `open`: it went through. */
export type Verdict = 'held' | 'known' | 'absent' | 'open'

export interface ProofLine {
  readonly what: string
  readonly verdict: Verdict
  readonly sqlState: string
}

/** What came of trying, as the role, all that it must not do, and of reading what it may. */
export interface RoleProof {
  readonly lines: readonly ProofLine[]
  readonly holds: boolean
}

const insufficientPrivilege = '42501'
/** The server has no such extension to be made. */
const notInstalled = '58P01'

export interface ProofOrder {
  readonly role: string
  readonly kind: Exclude<RoleKind, 'owner'>
  readonly privileges: RolePrivileges
  readonly findings: readonly PublicFinding[]
  readonly accepted: ReadonlySet<string>
}

/** @param login the way in that the gate will use */
export async function proveRole(
  admin: Administrator,
  administratorUrl: DatabaseUrl,
  login: DatabaseUrl,
  content: ProofGround['content'],
  order: ProofOrder,
): Promise<RoleProof> {
  const bystander = await SqlLine.open(administratorUrl, 'sallyport provision bystander')
  const line = await SqlLine.open(login, 'sallyport provision proof').catch(async (error: unknown) => {
    await bystander.close()
    throw error
  })
  try {
    // A function that somebody put before one of the system's must not answer for it.
    await line.run("SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)")
    await requireSameDatabase(admin, line)
    const ground = await readGround(admin, bystander, content, order)
    const lines = [
      ...(await readExcess(admin, order)),
      ...(await proveReading(line, order)),
      ...(await proveSecondFence(line, order.kind)),
      ...(await tryAll(line, listAttempts(ground), order)),
    ]
    return { lines, holds: lines.every(({ verdict }) => verdict !== 'open') }
  } finally {
    await Promise.all([line.close(), bystander.close()])
  }
}

/** The role's way in must lead where the administrator's does: same identifier, and a lock taken there is held here. */
async function requireSameDatabase({ line: administrator, identity }: Administrator, line: SqlLine): Promise<void> {
  const key = String(randomInt(1, 2 ** 47))
  const isSame = (await readIdentity(line)) === identity
  await administrator.run(`SELECT pg_advisory_lock(${key})`)
  const isFree = await line.value(z.boolean(), 'SELECT pg_catalog.pg_try_advisory_lock($1)', [key])
  await administrator.run(`SELECT pg_advisory_unlock(${key})`)
  if (isSame && !isFree) return
  throw new CommandFailure(
    exitCodes.failed,
    'target_changed',
    'The administrator’s URL and the upstream’s lead to different databases.',
    'No usable role was left.',
    'Give the administrator’s URL of the very server and database that the upstream’s `use` names.',
  )
}

async function readGround(
  admin: Administrator,
  bystander: SqlLine,
  content: ProofGround['content'],
  { kind, privileges, role }: ProofOrder,
): Promise<ProofGround> {
  const text = z.object({ name: z.string() })
  const owners = content.makers.map(({ owner }) => owner)
  const dangerous = await admin.line.query(
    text,
    `SELECT rolname::text AS name FROM pg_roles WHERE rolname <> $1 AND rolname IN ('pg_execute_server_program', 'pg_read_server_files',
       'pg_write_server_files', 'pg_signal_backend', 'pg_write_all_data', 'pg_maintain', 'pg_checkpoint', 'pg_create_subscription') ORDER BY 1`,
    [role],
  )
  const [largeObject] = await admin.line.query(
    text,
    `SELECT min(oid)::text AS name FROM pg_largeobject_metadata WHERE lomowner <> (SELECT oid FROM pg_roles WHERE rolname = $1)
       AND NOT EXISTS (SELECT FROM aclexplode(lomacl) WHERE grantee = 0) HAVING count(*) > 0`,
    [role],
  )
  const [dblink] = await admin.line.query(
    text,
    "SELECT extnamespace::regnamespace::text AS name FROM pg_extension WHERE extname = 'dblink'",
  )
  return {
    kind,
    content,
    privileges,
    database: admin.database,
    bystanderPid: await bystander.value(z.number(), 'SELECT pg_catalog.pg_backend_pid()'),
    roles: [...new Set([admin.name, ...owners, ...dangerous.map(({ name }) => name)])],
    largeObject: largeObject?.name ?? null,
    dblinkSchema: dblink?.name ?? null,
  }
}

/** What the catalog says about everything there is, not only about what is tried. */
async function readExcess(admin: Administrator, { role, kind, findings, accepted }: ProofOrder): Promise<readonly ProofLine[]> {
  const rows = await admin.line.query(
    z.object({ id: z.string() }),
    `SELECT 'relation ' || nspname || '.' || relname AS id FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid <> 'pg_settings'::regclass AND has_table_privilege($1, c.oid, $2)
     UNION ALL SELECT 'relation ' || nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE CASE relkind WHEN 'S' THEN has_sequence_privilege($1, c.oid, $3) ELSE false END
     UNION ALL SELECT 'columns ' || nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('r', 'p', 'v', 'f') AND c.oid <> 'pg_settings'::regclass AND $4 AND has_any_column_privilege($1, c.oid, 'INSERT, UPDATE')
         AND NOT has_table_privilege($1, c.oid, 'INSERT, UPDATE')
     UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast)' AND has_schema_privilege($1, oid, 'CREATE')
     UNION ALL SELECT 'database ' || datname || ' create' FROM pg_database WHERE has_database_privilege($1, oid, 'CREATE')
     UNION ALL SELECT 'member of ' || pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = (SELECT oid FROM pg_roles WHERE rolname = $1)
     UNION ALL SELECT 'attribute' FROM pg_roles WHERE rolname = $1
       AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls OR rolinherit)
     LIMIT 200`,
    [role, writesOf(kind).join(', '), kind === 'writer' ? 'UPDATE' : 'USAGE, UPDATE', kind === 'reader'],
  )
  const ids = [...rows.map(({ id }) => id), ...findings.filter(({ hole }) => hole).map(({ id }) => id)]
  if (ids.length === 0) return [{ what: 'the catalog: no privilege beyond the plan', verdict: 'held', sqlState: done }]
  return [...new Set(ids)].map((id) => ({
    what: `the catalog: ${id}`,
    verdict: accepted.has(id) ? ('known' as const) : ('open' as const),
    sqlState: done,
  }))
}

const readsTriedMax = 25

/** A role that could do nothing at all would hold everything. */
async function proveReading(line: SqlLine, { kind, privileges }: ProofOrder): Promise<readonly ProofLine[]> {
  const lines: ProofLine[] = []
  for (const { schema, name, kind: relationKind } of privileges.readable.slice(0, readsTriedMax)) {
    // A view may fail for what its owner lacks, or was never filled.
    if (relationKind !== 'r' && relationKind !== 'p') continue
    const table = qualified(schema, name)
    // The server checks the privilege and reads nothing.
    const { sqlState } = await line.attempt(`EXPLAIN SELECT FROM ${table}`)
    if (sqlState === insufficientPrivilege)
      lines.push({ what: `may not read ${table}, which it should`, verdict: 'open', sqlState })
  }
  if (kind === 'reader') return lines
  for (const { schema, name, kind: relationKind } of privileges.writable.slice(0, readsTriedMax)) {
    if (relationKind !== 'r' && relationKind !== 'p') continue
    const table = qualified(schema, name)
    // EXPLAIN fires no trigger.
    const { sqlState } = await rolledBack(line, `EXPLAIN DELETE FROM ${table}`)
    if (sqlState === insufficientPrivilege)
      lines.push({ what: `may not write ${table}, which it should`, verdict: 'open', sqlState })
  }
  return lines
}

async function proveSecondFence(line: SqlLine, kind: RoleKind): Promise<readonly ProofLine[]> {
  if (kind !== 'reader') return []
  const setting = await line.value(z.string(), 'SHOW transaction_read_only')
  return [{ what: 'its transactions begin read-only', verdict: setting === 'on' ? 'held' : 'open', sqlState: done }]
}

async function tryAll(line: SqlLine, attempts: readonly Attempt[], order: ProofOrder): Promise<readonly ProofLine[]> {
  // The second fence taken away as anyone can take it away (DESIGN §13): what holds from here on is the role.
  await line.run("SELECT set_config('default_transaction_' || 'read_only', 'off', false)")
  await line.run("SET statement_timeout = '20s'; SET lock_timeout = '2s'")
  const lines: ProofLine[] = []
  for (const attempt of attempts) lines.push(judge(attempt, await tryOne(line, attempt), order))
  return lines
}

async function tryOne(line: SqlLine, { sql, inTransaction, undo }: Attempt): Promise<Attempted> {
  if (inTransaction) return rolledBack(line, sql)
  const attempted = await line.attempt(sql)
  if (attempted.sqlState === done && undo !== null) await line.attempt(undo)
  return attempted
}

async function rolledBack(line: SqlLine, sql: string): Promise<Attempted> {
  await line.run('BEGIN READ WRITE')
  const attempted = await line.attempt(sql)
  await line.attempt('ROLLBACK')
  return attempted
}

/** Only the server's word that the role may not counts as held: a read-only transaction, a time-out or a missing object proves nothing. */
function judge({ what, finding }: Attempt, { sqlState }: Attempted, { findings, accepted }: ProofOrder): ProofLine {
  if (sqlState === insufficientPrivilege) return { what, verdict: 'held', sqlState }
  if (sqlState === notInstalled) return { what, verdict: 'absent', sqlState }
  const known = findings.find(({ id }) => id === finding)
  const isKnown = known !== undefined && (!known.hole || accepted.has(known.id))
  return { what, verdict: isKnown ? 'known' : 'open', sqlState }
}
