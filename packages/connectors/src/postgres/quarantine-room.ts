import {
  SallyportError,
  type Quarantine,
  type Quarantined,
  type ResolvedOperation,
  type SqlChannel,
  type Upstream,
} from '@sallyport/core'
import { z } from 'zod'
import { oidArray, oidSchema, quoteIdentifier } from './catalog-name.ts'
import { inProtect, readJson, sqlAccess } from './catalog-query.ts'
import { moveDatabase, purgeDatabase, quarantinedDatabase } from './quarantine-database.ts'
import { readDropClosure } from './table-closure.ts'

const bounds = { lockTimeoutMs: 5_000, statementTimeoutMs: 600_000 } as const

const roomSchema = z.object({
  oid: oidSchema,
  name: z.string(),
  owner: z.string(),
  mine: z.boolean(),
  tables: z.array(z.object({ oid: oidSchema, name: z.string() })),
  bytes: z.number(),
  nowMs: z.number(),
  /** Who else may do something in it. */
  guests: z.array(z.string().nullable()),
})
type Room = z.infer<typeof roomSchema>

const roomsSql = `SELECT coalesce(json_agg(json_build_object('oid', n.oid::text, 'name', n.nspname,
    'owner', pg_get_userbyid(n.nspowner), 'mine', n.nspowner = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user),
    'tables', (SELECT coalesce(json_agg(json_build_object('oid', c.oid::text, 'name', c.relname) ORDER BY c.oid), '[]')
      FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'm', 'f')),
    'bytes', (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r'),
    'nowMs', floor(extract(epoch from clock_timestamp()) * 1000)::int8,
    'guests', (SELECT coalesce(json_agg(DISTINCT CASE WHEN x.grantee <> 0 THEN pg_get_userbyid(x.grantee) END), '[]')
      FROM aclexplode(n.nspacl) x WHERE x.grantee <> n.nspowner)) ORDER BY n.oid), '[]')::text
  FROM pg_namespace n WHERE n.nspname = ANY ($1::text[])`

/** Only those that the gate itself moved something into: whatever else has such a name is somebody's. */
async function readRooms(protect: SqlChannel, known: readonly Quarantine[]): Promise<readonly Room[]> {
  return readJson(protect, z.array(roomSchema), roomsSql, [`{${known.map(({ id }) => quoteIdentifier(id)).join(',')}}`])
}

/** Which of these are still there, after their rooms are shut: nobody but the protect credential owns one, or may enter. */
export async function quarantined(upstream: Upstream, known: readonly Quarantine[]): Promise<readonly Quarantined[]> {
  const { protect } = sqlAccess(upstream)
  const rooms = await quarantinedRooms(protect, known)
  const databases: Quarantined[] = []
  for (const one of known) {
    const found = rooms.some(({ id }) => id === one.id) ? null : await quarantinedDatabase(protect, one)
    if (found !== null) databases.push(found)
  }
  return [...rooms, ...databases]
}

async function quarantinedRooms(protect: SqlChannel, known: readonly Quarantine[]): Promise<readonly Quarantined[]> {
  return inProtect(protect, 'commit', bounds, async () => {
    const rooms = await readRooms(protect, known)
    const found: Quarantined[] = []
    for (const one of known) {
      const room = rooms.find(({ name }) => name === one.id)
      // Not there yet, moved back, dropped, or never moved because its statement was rolled back.
      if (room === undefined || !one.identities.every((oid) => room.tables.some((table) => table.oid === oid))) continue
      await shut(protect, room)
      found.push({ ...one, bytes: room.bytes, due: room.nowMs >= one.untilMs })
    }
    return found
  })
}

/** Who moved a schema still owns it, and who moved a table could still put something in. */
async function shut(protect: SqlChannel, room: Room): Promise<void> {
  const name = quoteIdentifier(room.name)
  if (!room.mine) await protect.query(`ALTER SCHEMA ${name} OWNER TO CURRENT_USER`)
  for (const guest of new Set([...room.guests, ...(room.mine ? [] : [room.owner])]))
    await protect.query(`REVOKE ALL ON SCHEMA ${name} FROM ${guest === null ? 'PUBLIC' : quoteIdentifier(guest)}`)
}

/** Tables and schemas were moved with the statement's transaction; a database is moved now. */
export async function moveAway(
  operations: readonly ResolvedOperation[],
  upstream: Upstream,
  quarantine: Quarantine,
): Promise<void> {
  const [operation] = operations
  if (operation?.action === 'postgres.drop_database') await moveDatabase(sqlAccess(upstream), operation, quarantine)
}

function kept(why: string): SallyportError {
  return new SallyportError(
    'target_changed',
    `What is in quarantine was not dropped: ${why}.`,
    'It is still there.',
    'Look at what that is, remove it or undo the drop, and it is tried again.',
  )
}

/** @throws SallyportError when it is not due, when more is in there than was moved, or something outside depends on it */
export async function purge(upstream: Upstream, quarantine: Quarantine): Promise<void> {
  const { protect } = sqlAccess(upstream)
  if (await purgeDatabase(protect, quarantine)) return
  const { id, identities, untilMs } = quarantine
  await inProtect(protect, 'commit', bounds, async () => {
    const [room] = await readRooms(protect, [{ id, identities, untilMs, things: [] }])
    if (room === undefined) throw kept('it is not there')
    if (!room.mine) throw kept('it does not belong to the protect credential')
    if (room.nowMs < untilMs) throw kept('its time is not over')
    const others = room.tables.filter(({ oid }) => !identities.includes(oid))
    if (others.length > 0) throw kept(`${others.map(({ name }) => name).join(', ')} came into it, which nobody approved to drop`)
    // CASCADE inside, and only inside: what came to depend on it from outside was never approved.
    const closure = await readDropClosure(protect, [{ catalog: 'pg_namespace', oid: room.oid, column: 0 }], true)
    await checkInside(protect, room, [...closure.tables, ...closure.views], closure.foreignKeys)
    await protect.query(`DROP SCHEMA ${quoteIdentifier(room.name)} CASCADE`)
  })
}

async function checkInside(
  protect: SqlChannel,
  room: Room,
  relations: readonly string[],
  foreignKeys: readonly string[],
): Promise<void> {
  const [row] = await protect.query(
    `SELECT ((SELECT count(*) FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relnamespace <> $3::oid)
       + (SELECT count(*) FROM pg_constraint k WHERE k.oid = ANY ($2::oid[]) AND k.connamespace <> $3::oid))::text`,
    [oidArray(relations), oidArray(foreignKeys), room.oid],
  )
  if (row?.[0] !== '0') throw kept('something outside of it depends on it')
}
