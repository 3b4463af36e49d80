import {
  SallyportError,
  type Operation,
  type Quarantine,
  type Quarantined,
  type SqlAccess,
  type SqlChannel,
} from '@sallyport/core'
import { z } from 'zod'
import { oidSchema, parseShownName, quoteIdentifier, quoteLiteral } from './catalog-name.ts'
import { inProtect, readJson } from './catalog-query.ts'
import type { Refused } from './copy-plan.ts'
import { refused } from './restore-object.ts'

/**
 * DROP DATABASE as a move out of reach: the database gets another name, owner and no connections, and an empty one of its name is put in its place for the
 * statement to drop. No transaction holds these steps together, so what is under way stands in the database's own comment, which only its owner can
 * change, and that is the protect credential from the first step on: whoever looks later can tell how far it came, and puts back what was not dropped.
 */
const bounds = { lockTimeoutMs: 10_000, statementTimeoutMs: 60_000 } as const
const purgeBounds = { lockTimeoutMs: 5_000, statementTimeoutMs: 600_000 } as const
/** A statement that was cleared runs within this time after the move, or not at all. */
const settledAfterMs = 60_000
const idPattern = /^sallyport_quarantine_[0-9a-f]{12}$/

const foundSchema = z.object({
  oid: oidSchema,
  name: z.string(),
  owner: z.string(),
  template: z.boolean(),
  own: z.boolean(),
  allowed: z.boolean(),
  encoding: z.string(),
  collate: z.string(),
  ctype: z.string(),
  limit: z.number(),
  bytes: z.number(),
  comment: z.string().nullable(),
  connections: z.number(),
  mayMove: z.boolean(),
  nowMs: z.number(),
})
type Found = z.infer<typeof foundSchema>

const foundSql = (where: string): string => `SELECT coalesce(json_agg(json_build_object('oid', d.oid::text, 'name', d.datname,
    'owner', pg_get_userbyid(d.datdba), 'template', d.datistemplate, 'own', d.datname = current_database(), 'allowed', d.datallowconn,
    'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype, 'limit', d.datconnlimit,
    'bytes', pg_database_size(d.oid), 'comment', shobj_description(d.oid, 'pg_database'),
    'connections', (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid),
    'mayMove', pg_has_role(d.datdba, 'USAGE') AND (SELECT r.rolcreatedb OR r.rolsuper FROM pg_roles r WHERE r.rolname = current_user),
    'nowMs', floor(extract(epoch from clock_timestamp()) * 1000)::int8)), '[]')::text FROM pg_database d WHERE ${where}`

/** What the comment says of a database that is moved, or is to be. */
const markSchema = z.object({
  sallyport: z.enum(['moving', 'moved']),
  id: z.string().regex(idPattern),
  name: z.string(),
  owner: z.string(),
  comment: z.string().nullable(),
  atMs: z.number(),
})
type Mark = z.infer<typeof markSchema>

async function find(protect: SqlChannel, where: string, value: string): Promise<Found | null> {
  const [found] = await readJson(protect, z.array(foundSchema), foundSql(where), [value])
  return found ?? null
}

const byName = 'd.datname = $1'
const byOid = 'd.oid = $1::oid'

function readMark({ comment }: Found): Mark | null {
  if (comment === null || !comment.startsWith('{')) return null
  try {
    const parsed = markSchema.safeParse(JSON.parse(comment))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

async function mark(protect: SqlChannel, name: string, said: Mark): Promise<void> {
  await protect.query(`COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(JSON.stringify(said))}`)
}

/** What cannot run in a transaction: the channel's own ends first, and the next query begins none. */
async function runAlone(protect: SqlChannel, sql: string, timeoutMs: number): Promise<void> {
  await protect.query('ROLLBACK')
  await protect.query(`SET statement_timeout = ${timeoutMs}`)
  try {
    await protect.query(sql)
  } finally {
    await protect.query('RESET statement_timeout').catch(() => undefined)
  }
}

export interface DatabasePlan {
  readonly oid: string
  readonly name: string
  readonly bytes: number
}

type PlannedDatabase = { readonly ok: true; readonly plan: DatabasePlan } | ({ readonly ok: false } & Refused)

const cannot = (reason: string, remedy: string): PlannedDatabase => ({ ok: false, reason, remedy })

/** Reads only, in a transaction of the protect channel. */
export async function planDatabase(protect: SqlChannel, operation: Operation): Promise<PlannedDatabase> {
  const parts = parseShownName(operation.resources[0]?.name ?? '')
  const name = parts?.length === 1 ? (parts[0] ?? '') : ''
  const found = name === '' ? null : await find(protect, byName, name)
  if (found === null) return cannot('there is no database of that name', 'Check the name, then ask again.')
  if (found.own) return cannot('it is the database of this upstream itself', 'Drop it from another one.')
  if (found.template || !found.allowed) return cannot('it is a template, or allows no connections', 'Let a person drop it.')
  if (!found.mayMove)
    return cannot(
      `the protect credential may not rename ${quoteIdentifier(name)} and make another database of that name`,
      `Make it a member of the role ${quoteIdentifier(found.owner)}, with CREATEDB.`,
    )
  const forced = operation.context['force'] === true
  if (found.connections > 0 && !forced)
    return cannot(`${found.connections} connections to it are open`, 'End them, or say WITH (FORCE), then ask again.')
  return { ok: true, plan: { oid: found.oid, name, bytes: found.bytes } }
}

/** The place it will be in. Nothing has happened yet: this is kept, durably, before the first step. */
export async function chooseRoom(protect: SqlChannel, { oid, name }: DatabasePlan, keptMs: number): Promise<Quarantine> {
  const { id, nowMs } = await readJson(
    protect,
    z.object({ id: z.string().regex(idPattern), nowMs: z.number() }),
    `SELECT json_build_object('id', 'sallyport_quarantine_' || left(replace(gen_random_uuid()::text, '-', ''), 12),
       'nowMs', floor(extract(epoch from clock_timestamp()) * 1000)::int8)::text`,
  )
  return { id, things: [quoteIdentifier(name)], identities: [oid], untilMs: nowMs + keptMs }
}

/** @throws SallyportError; then it is where it was, or is put back when it is looked at next */
export async function moveDatabase({ protect }: SqlAccess, operation: Operation, { id, identities }: Quarantine): Promise<void> {
  const oid = identities[0] ?? ''
  const planned = await inProtect(protect, 'read', bounds, () => planDatabase(protect, operation))
  if (!planned.ok || planned.plan.oid !== oid) throw changed(planned.ok ? 'another database has its name' : planned.reason)
  const found = await inProtect(protect, 'commit', bounds, async () => {
    const before = await find(protect, byOid, oid)
    if (before === null || before.name !== planned.plan.name) throw changed('it was renamed')
    const { name, owner, comment, nowMs: atMs } = before
    await protect.query(`ALTER DATABASE ${quoteIdentifier(name)} OWNER TO CURRENT_USER`)
    await protect.query(`ALTER DATABASE ${quoteIdentifier(name)} WITH ALLOW_CONNECTIONS false`)
    await mark(protect, name, { sallyport: 'moving', id, name, owner, comment, atMs })
    return before
  })
  try {
    const { name, owner, encoding, collate, ctype, comment, nowMs: atMs } = found
    if (operation.context['force'] === true)
      await inProtect(protect, 'read', bounds, () =>
        protect.query('SELECT pg_terminate_backend(a.pid, 5000) FROM pg_stat_activity a WHERE a.datid = $1::oid', [oid]),
      )
    await inProtect(protect, 'commit', bounds, () =>
      protect.query(`ALTER DATABASE ${quoteIdentifier(name)} RENAME TO ${quoteIdentifier(id)}`),
    )
    const like = `ENCODING ${quoteLiteral(encoding)} LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`
    await runAlone(
      protect,
      `CREATE DATABASE ${quoteIdentifier(name)} OWNER ${quoteIdentifier(owner)} TEMPLATE template0 ${like} ALLOW_CONNECTIONS false`,
      bounds.statementTimeoutMs,
    )
    await inProtect(protect, 'commit', bounds, () => mark(protect, id, { sallyport: 'moved', id, name, owner, comment, atMs }))
  } catch (error) {
    await putBack(protect, oid).catch(() => undefined)
    throw error
  }
}

function changed(why: string): SallyportError {
  return new SallyportError(
    'target_changed',
    `The database could not be moved out of reach: ${why}.`,
    'The statement did not run.',
    'Send the statement again: it will be looked at anew.',
  )
}

/** The empty one that stands in its place, if nobody has opened it since: only then there is nothing in it. */
async function findPlaceholder(protect: SqlChannel, { name }: Mark, oid: string): Promise<Found | null> {
  const there = await find(protect, byName, name)
  return there !== null && there.oid !== oid ? there : null
}

/** Its own name, owner and connections again: it was not dropped. Each step leaves it where the next look finds it and goes on. */
async function putBack(protect: SqlChannel, oid: string): Promise<void> {
  const read = (): Promise<Found | null> => inProtect(protect, 'read', bounds, () => find(protect, byOid, oid))
  const found = await read()
  const said = found === null ? null : readMark(found)
  if (found === null || said === null) return
  // Else a look between the two steps would take it for dropped.
  if (said.sallyport === 'moved')
    await inProtect(protect, 'commit', bounds, () => mark(protect, found.name, { ...said, sallyport: 'moving' }))
  const standing = await inProtect(protect, 'read', bounds, () => findPlaceholder(protect, said, oid))
  if (standing !== null) {
    if (standing.allowed) throw refused(`something else now has the name ${quoteIdentifier(said.name)}`)
    await dropPlaceholder(protect, standing)
  }
  await inProtect(protect, 'commit', bounds, () => restoreDatabase(protect, found, said))
}

/**
 * DROP DATABASE goes by a name, and by then another may have it: another look may just have put the real one back. So it first gets a name that nothing else has,
 * in a transaction that lasts only when it is the one that was meant.
 */
async function dropPlaceholder(protect: SqlChannel, { oid, name }: Found): Promise<void> {
  const away = await inProtect(protect, 'commit', bounds, async () => {
    const [row] = await protect.query("SELECT 'sallyport_empty_' || left(replace(gen_random_uuid()::text, '-', ''), 12)")
    const chosen = row?.[0] ?? ''
    await protect.query(`ALTER DATABASE ${quoteIdentifier(name)} RENAME TO ${quoteIdentifier(chosen)}`)
    const renamed = await find(protect, byName, chosen)
    if (renamed === null || renamed.oid !== oid || renamed.allowed)
      throw refused(`something else now has the name ${quoteIdentifier(name)}`)
    return chosen
  })
  await runAlone(protect, `DROP DATABASE ${quoteIdentifier(away)}`, bounds.statementTimeoutMs)
}

async function restoreDatabase(protect: SqlChannel, { name }: Found, said: Mark): Promise<void> {
  const home = quoteIdentifier(said.name)
  if (name !== said.name) await protect.query(`ALTER DATABASE ${quoteIdentifier(name)} RENAME TO ${home}`)
  await protect.query(`ALTER DATABASE ${home} WITH ALLOW_CONNECTIONS true`)
  await protect.query(`COMMENT ON DATABASE ${home} IS ${said.comment === null ? 'NULL' : quoteLiteral(said.comment)}`)
  await protect.query(`ALTER DATABASE ${home} OWNER TO ${quoteIdentifier(said.owner)}`)
}

/** Null: there is no such database, or it is not moved. One whose statement did not run is put back. */
export async function quarantinedDatabase(protect: SqlChannel, one: Quarantine): Promise<Quarantined | null> {
  const oid = one.identities[0] ?? ''
  const [found, said, standing] = await inProtect(protect, 'read', bounds, async () => {
    const there = one.identities.length === 1 ? await find(protect, byOid, oid) : null
    const its = there === null ? null : readMark(there)
    return [there, its, its === null ? null : await findPlaceholder(protect, its, oid)] as const
  })
  if (found === null || said === null || said.id !== one.id) return null
  if (found.name === one.id && said.sallyport === 'moved' && (standing === null || standing.allowed))
    return { ...one, bytes: found.bytes, due: found.nowMs >= one.untilMs }
  // Two may look at once: what one of them cannot do the next look finds.
  if (found.nowMs - said.atMs > settledAfterMs) await putBack(protect, oid).catch(() => undefined)
  return null
}

/** By its oid, never by a name that something else may have: the name is looked up right before, and only the protect credential can give it away. */
export async function purgeDatabase(protect: SqlChannel, one: Quarantine): Promise<boolean> {
  const found = await quarantinedDatabase(protect, one)
  if (found === null) return false
  if (!found.due) throw refused('its time is not over')
  const owned = await inProtect(protect, 'read', bounds, () => find(protect, byOid, one.identities[0] ?? ''))
  if (owned === null || owned.name !== one.id || owned.allowed) throw refused('somebody has opened or renamed it')
  await runAlone(protect, `DROP DATABASE ${quoteIdentifier(one.id)}`, purgeBounds.statementTimeoutMs)
  return true
}

export const movedDatabaseSchema = z.object({ id: z.string().regex(idPattern), oid: oidSchema, name: z.string() })
export type MovedDatabase = z.infer<typeof movedDatabaseSchema>

/** Undo. Whatever took its name meanwhile is left alone. */
export async function takeBackDatabase(protect: SqlChannel, { id, oid, name }: MovedDatabase): Promise<void> {
  await inProtect(protect, 'commit', bounds, async () => {
    const found = await find(protect, byOid, oid)
    const said = found === null ? null : readMark(found)
    if (found === null || said === null || said.id !== id)
      throw refused('the database is not in quarantine any more, and no copy of it was made')
    if ((await findPlaceholder(protect, said, oid)) !== null)
      throw refused(`something else now has the name ${quoteIdentifier(name)}`)
    await restoreDatabase(protect, found, said)
  })
}
