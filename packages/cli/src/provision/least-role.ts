import { z } from 'zod'
import type { Administrator } from './administrator.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import type { RoleKind } from './role-scope.ts'
import { identifier, literal } from './sql-line.ts'

/** A role on the server, as far as it is ours. */
export interface RoleState {
  readonly exists: boolean
  /** Attributes that a least role must not have and this one has. */
  readonly excess: readonly string[]
  /** Roles it is a member of. */
  readonly memberOf: readonly string[]
  readonly canLogin: boolean
}

const stateShape = z.object({
  mark: z.string().nullable(),
  superuser: z.boolean(),
  createdb: z.boolean(),
  createrole: z.boolean(),
  replication: z.boolean(),
  bypassrls: z.boolean(),
  inherit: z.boolean(),
  login: z.boolean(),
  member_of: z.array(z.string()),
})

/** @throws CommandFailure for a role of that name that is not ours */
export async function readRole({ line }: Administrator, role: string, mark: string): Promise<RoleState> {
  const [found] = await line.query(
    stateShape,
    `SELECT shobj_description(oid, 'pg_authid') AS mark, rolsuper AS superuser, rolcreatedb AS createdb, rolcreaterole AS createrole,
       rolreplication AS replication, rolbypassrls AS bypassrls, rolinherit AS inherit, rolcanlogin AS login,
       ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE member = pg_roles.oid) AS member_of
     FROM pg_roles WHERE rolname = $1`,
    [role],
  )
  if (found === undefined) return { exists: false, excess: [], memberOf: [], canLogin: false }
  if (found.mark !== mark) throw foreignRole(role)
  const { superuser, createdb, createrole, replication, bypassrls, inherit } = found
  const held = Object.entries({
    SUPERUSER: superuser,
    CREATEDB: createdb,
    CREATEROLE: createrole,
    REPLICATION: replication,
    BYPASSRLS: bypassrls,
    INHERIT: inherit,
  })
  return {
    exists: true,
    excess: held.filter(([, has]) => has).map(([name]) => name),
    memberOf: found.member_of,
    canLogin: found.login,
  }
}

function foreignRole(role: string): CommandFailure {
  return new CommandFailure(
    exitCodes.failed,
    'exists',
    `The server has a role ${role} that this command did not make.`,
    'It was not touched, and nothing else was changed.',
    'Rename that role, or the agent.',
  )
}

/** How long the server lets one statement of an agent run, one transaction of its idle, and one lock of its wait. */
const settings = { statement_timeout: '5min', idle_in_transaction_session_timeout: '10min', lock_timeout: '30s' }
const connectionsMax = 20
/** Until its proof has held, a role ends by itself, should we not live to end it. */
const proofMinutes = 5

export interface RoleOrder {
  readonly role: string
  readonly mark: string
  readonly kind: Exclude<RoleKind, 'owner'>
  /** GRANTs, in order. */
  readonly statements: readonly string[]
  /** Role whose search_path is taken over, so that names mean what they meant with the shared credential. */
  readonly namesLike: string
}

/** Inside a transaction of the caller's. Whatever the role had before that the order does not name, it loses. */
export async function applyRole(admin: Administrator, order: RoleOrder, state: RoleState): Promise<void> {
  const { line } = admin
  const role = identifier(order.role)
  if (!state.exists) {
    await line.run(
      `CREATE ROLE ${role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT CONNECTION LIMIT ${connectionsMax}`,
    )
    await line.run(`COMMENT ON ROLE ${role} IS ${literal(order.mark)}`)
  } else {
    // Only those that it has: naming SUPERUSER or REPLICATION at all takes a superuser.
    const less = state.excess.map((name) => `NO${name}`).join(' ')
    await line.run(`ALTER ROLE ${role} ${less} CONNECTION LIMIT ${connectionsMax}`)
    for (const group of state.memberOf) await line.run(`REVOKE ${identifier(group)} FROM ${role}`)
    await requireNothingOwned(admin, order.role)
    await takePrivileges(admin, order.role)
  }
  await resetSettings(admin, order.role)
  for (const [name, value] of Object.entries(settings)) await line.run(`ALTER ROLE ${role} SET ${name} = ${literal(value)}`)
  if (order.kind === 'reader') await line.run(`ALTER ROLE ${role} SET default_transaction_read_only = on`)
  const path = await readSearchPath(admin, order.namesLike)
  if (path !== null) await line.run(`ALTER ROLE ${role} SET search_path = ${path}`)
  for (const statement of order.statements) await line.run(statement)
}

/** What a role owns would be dropped with its privileges. A least role can own nothing but large objects; somebody may have given it more. */
async function requireNothingOwned({ line }: Administrator, role: string): Promise<void> {
  const owned = await line.value(
    z.coerce.number(),
    `SELECT count(*) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o'
       AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1)`,
    [role],
  )
  if (owned === 0) return
  throw new CommandFailure(
    exitCodes.failed,
    'exists',
    `The role ${role} owns ${owned} things, which would be lost.`,
    'None of them was dropped, and its privileges are as they were.',
    `Look at them (\\dl and pg_shdepend), give them to another role with REASSIGN OWNED BY, or drop them yourself.`,
  )
}

/** A superuser acts for anyone; another administrator has to be a member for a moment. */
async function actAs({ line, superuser, version }: Administrator, role: string, work: () => Promise<void>): Promise<void> {
  if (superuser) return work()
  const options = version >= 160_000 ? ' WITH INHERIT TRUE, SET TRUE' : ''
  await line.run(`GRANT ${identifier(role)} TO CURRENT_USER${options}`)
  const leave = `REVOKE ${identifier(role)} FROM CURRENT_USER`
  try {
    await work()
  } catch (error) {
    await line.attempt(leave)
    throw error
  }
  await line.run(leave)
}

/** Everything that it was granted, here and in what is shared. DROP OWNED takes what owners gave; what others passed on, only they can take back. */
async function takePrivileges(admin: Administrator, role: string): Promise<void> {
  const { line } = admin
  const passedOn = await line.query(
    z.object({ grantor: z.string(), what: z.string() }),
    `SELECT DISTINCT pg_get_userbyid(grantor)::text AS grantor,
       format('%s %I.%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname) AS what
     FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace, aclexplode(relacl)
     WHERE grantee = (SELECT oid FROM pg_roles WHERE rolname = $1) AND grantor <> relowner
     UNION SELECT pg_get_userbyid(grantor)::text, format('SCHEMA %I', nspname) FROM pg_namespace, aclexplode(nspacl)
     WHERE grantee = (SELECT oid FROM pg_roles WHERE rolname = $1) AND grantor <> nspowner`,
    [role],
  )
  for (const { grantor, what } of passedOn) {
    await line.run(`SET LOCAL ROLE ${identifier(grantor)}`)
    await line.run(`REVOKE ALL PRIVILEGES ON ${what} FROM ${identifier(role)}`)
    await line.run('RESET ROLE')
  }
  await actAs(admin, role, () => line.run(`DROP OWNED BY ${identifier(role)}`))
}

/** A role may set its own defaults, also for one database only. */
async function resetSettings({ line }: Administrator, role: string): Promise<void> {
  await line.run(`ALTER ROLE ${identifier(role)} RESET ALL`)
  const databases = await line.query(
    z.object({ name: z.string() }),
    `SELECT datname::text AS name FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
     WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = $1)`,
    [role],
  )
  for (const { name } of databases) await line.run(`ALTER ROLE ${identifier(role)} IN DATABASE ${identifier(name)} RESET ALL`)
}

async function readSearchPath({ line }: Administrator, role: string): Promise<string | null> {
  const [found] = await line.query(
    z.object({ setting: z.string() }),
    `SELECT substr(setting, length('search_path=') + 1) AS setting FROM pg_db_role_setting, unnest(setconfig) setting
     WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = $1) AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
       AND setting LIKE 'search\\_path=%' ORDER BY setdatabase DESC LIMIT 1`,
    [role],
  )
  return found === undefined ? null : quoteSearchPath(found.setting)
}

const pathElement = /\s*(?:"((?:[^"]|"")*)"|([a-z_][a-z0-9_$]*))\s*(?:,|$)/iy

/**
 * A kept search_path, each name of it quoted anew: the server takes `public;DROP/**\/TABLE/**\/orders` for one name, and whoever has that role may have
 * put it there for an administrator to run. @returns null for what is no list of names
 */
export function quoteSearchPath(text: string): string | null {
  const names: string[] = []
  pathElement.lastIndex = 0
  while (pathElement.lastIndex < text.length) {
    const found = pathElement.exec(text)
    if (found === null) return null
    names.push(identifier(found[1]?.replaceAll('""', '"') ?? (found[2] ?? '').toLowerCase()))
  }
  return names.length === 0 ? null : names.join(', ')
}

/** Lets the role in, for as long as its proof may take. */
export async function openForProof({ line }: Administrator, role: string, verifier: string): Promise<void> {
  const until = await line.value(z.string(), `SELECT (now() + interval '${proofMinutes} minutes')::text`)
  await line.run(`ALTER ROLE ${identifier(role)} LOGIN PASSWORD ${literal(verifier)} VALID UNTIL ${literal(until)}`)
}

/** The server's clock counts, since it is the server that refuses. @returns when it ends, in ms since 1970 */
export async function openUntil({ line }: Administrator, role: string, expiresMs: number): Promise<number> {
  const [until] = await line.query(
    z.object({ text: z.string(), at_ms: z.coerce.number() }),
    `SELECT at::text AS text, floor(extract(epoch FROM at) * 1000) AS at_ms FROM (SELECT date_trunc('second', now() + $1 * interval '1 ms') AS at) AS ends`,
    [expiresMs],
  )
  await line.run(`ALTER ROLE ${identifier(role)} VALID UNTIL ${literal(until?.text ?? '-infinity')}`)
  return until?.at_ms ?? 0
}

/** Nobody comes in by it any more, and who is in goes out. */
export async function closeRole(admin: Administrator, role: string): Promise<number> {
  const { line } = admin
  await line.run(`ALTER ROLE ${identifier(role)} NOLOGIN`)
  let ended = 0
  await actAs(admin, role, async () => {
    ended = await line.value(
      z.coerce.number(),
      'SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = $1',
      [role],
    )
  })
  return ended
}

/** Privileges here and in what is shared, then the role itself. @throws CommandFailure when it has something in another database */
export async function dropRole(admin: Administrator, role: string): Promise<number> {
  const { line } = admin
  const ended = await closeRole(admin, role)
  await requireNothingOwned(admin, role)
  await line.transact(async () => {
    await takePrivileges(admin, role)
    await line.run(`DROP ROLE ${identifier(role)}`)
  })
  return ended
}
