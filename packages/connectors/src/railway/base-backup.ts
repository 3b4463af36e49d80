import { SallyportError, type Seal, type SqlAccess, type Upstream } from '@sallyport/core'
import type { VolumeCopy } from './base-backup-manifest.ts'
import { inOwnTransaction, readServer, readSystemIdentifier, sqlAccessOf } from './base-backup-source.ts'
import {
  listOtherDatabases,
  listStrangeTypes,
  listTables,
  sumTables,
  type Ask,
  type TableSum,
  type VolumeTable,
} from './base-backup-tables.ts'
import { unpackTar } from './base-backup-tar.ts'
import { makeScratchPlace, removeScratch, startScratchServer, type ScratchPlace } from './scratch-server.ts'

/** How long writers are waited for. A lock that stands in a queue also holds up who comes after it. */
const lockTimeoutMs = 5_000
/** One statement of a copy. */
const statementTimeoutMs = 3_600_000

/**
 * A base backup of the database that lies on a volume, sealed and proven. In this order: writers are locked out of every table, since what is
 * written after the copy would be lost with the volume; the whole server goes into the vault while its tables are summed up; it is read back
 * out of the vault, started as a scratch server, and every table is summed up again. Any difference, and there is no copy.
 *
 * The locks stay until whoever gave the connection ends its transaction, which should be after the volume's deletion was sent.
 */
export async function copyVolume(volume: string, upstream: Upstream, seal: Seal): Promise<VolumeCopy> {
  const access = sqlAccessOf(upstream)
  try {
    return await inOwnTransaction(access, { readOnly: false, keep: true, statementTimeoutMs }, (ask) =>
      copyLocked(volume, access, ask, seal),
    )
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw copyFailed(sayReason(error), error)
  }
}

async function copyLocked(volume: string, access: SqlAccess, ask: Ask, seal: Seal): Promise<VolumeCopy> {
  if (access.baseBackup === undefined) throw copyFailed('the gate has no way to take a base backup of this database')
  const server = await readServer(ask)
  const tables = await listTables(ask)
  await lockWriters(ask, tables)
  const part = `volumes/${volume}/base.tar`
  const [put, live] = await allOrFirstError(seal.put({ name: part, bytes: access.baseBackup() }), sumTables(ask, tables))
  if (!sameLabels(await listTables(ask), tables)) throw copyFailed('a table was made or dropped while it was copied; try again')
  const copy: VolumeCopy = {
    volume,
    part,
    partSha256: put.sha256,
    bytes: put.bytes,
    database: server.database,
    superuser: server.superuser,
    major: server.major,
    systemIdentifier: await readSystemIdentifier(ask),
    otherDatabases: [...(await listOtherDatabases(ask))],
    tables: tables.map((table) => ({ ...table, columns: [...table.columns], ...sumOf(live, table.label) })),
  }
  await proveCopy(copy, seal)
  return copy
}

/** Both are waited for, so that nothing runs on behind an error. */
async function allOrFirstError<Left, Right>(left: Promise<Left>, right: Promise<Right>): Promise<[Left, Right]> {
  const [first, second] = await Promise.allSettled([left, right])
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  return [first.value, second.value]
}

async function lockWriters(ask: Ask, tables: readonly VolumeTable[]): Promise<void> {
  const names = tables.filter(({ lockable }) => lockable).map(({ label }) => `ONLY ${label}`)
  if (names.length === 0) return
  await ask(`SELECT pg_catalog.set_config('lock_timeout', $1, true)`, [String(lockTimeoutMs)])
  try {
    // SHARE lets everybody read, and nobody write or change the shape.
    await ask(`LOCK TABLE ${names.join(', ')} IN SHARE MODE`)
  } catch (error) {
    throw copyFailed(
      `writers could not be locked out of its tables within ${lockTimeoutMs / 1000} s (${sayReason(error)})`,
      error,
    )
  }
}

/** Starts what now lies in the vault, and compares it table by table. */
async function proveCopy(copy: VolumeCopy, seal: Seal): Promise<void> {
  const place = makeScratchPlace()
  try {
    await unpackTar(seal.read(copy.part), place.data, place.owner)
    await compareCopy(copy, place, true)
  } finally {
    removeScratch(place)
  }
}

/** Starts the data directory in `place` and compares every table. Throws, naming the first that differs. */
export async function compareCopy(copy: VolumeCopy, place: ScratchPlace, remove: boolean): Promise<void> {
  const { superuser, database } = copy
  const scratch = await startScratchServer({ place, superuser, database, remove })
  try {
    const strangers = await listStrangeTypes(scratch.ask)
    if (strangers.length > 0)
      throw copyFailed(`type ${strangers[0] ?? ''} runs code of its own when it is read, which the gate does not`)
    const tables = await listTables(scratch.ask)
    if (!sameLabels(tables, copy.tables)) throw copyFailed('the copy, started as a server, has other tables than the original')
    if (copy.systemIdentifier !== null) {
      const identifier = await readSystemIdentifier(scratch.ask)
      if (identifier !== copy.systemIdentifier) throw copyFailed('the copy is of another server than the one that was looked at')
    }
    const sums = await sumTables(scratch.ask, copy.tables)
    for (const { label, rows, sha256 } of copy.tables) {
      const sum = sums.get(label)
      if (sum?.rows !== rows)
        throw copyFailed(`table ${label} has ${sum?.rows ?? 'no'} rows in the copy, and ${rows} in the original`)
      if (sum.sha256 !== sha256) throw copyFailed(`table ${label} has other rows in the copy than in the original`)
    }
  } finally {
    await scratch.stop()
  }
}

function sumOf(sums: ReadonlyMap<string, TableSum>, label: string): TableSum {
  const sum = sums.get(label)
  if (sum === undefined) throw copyFailed(`table ${label} was not summed up`)
  return sum
}

function sameLabels(left: readonly VolumeTable[], right: readonly VolumeTable[]): boolean {
  const line = ({ label, columns }: VolumeTable): string => JSON.stringify([label, columns])
  return left.map(line).join('\n') === right.map(line).join('\n')
}

function copyFailed(why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `No proven copy of the volume's database could be made: ${why}.`,
    'The volume was not deleted; no copy counts.',
    'Mend what the message names, then ask again.',
    { cause },
  )
}

/** What a server, a channel or the disk said, bounded. Never holds a credential: neither the copy nor the scratch server has one of ours. */
function sayReason(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 300) : 'an error without a message'
}
