import { createHash } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SallyportError, type Progress, type Restored, type SnapshotReader, type Upstream } from '@sallyport/core'
import { compareCopy } from './base-backup.ts'
import { baseBackupManifestSchema, type VolumeCopy } from './base-backup-manifest.ts'
import { unpackTar } from './base-backup-tar.ts'
import { findScratchUser, type ScratchPlace } from './scratch-server.ts'

/**
 * Puts every volume of a snapshot back as a data directory in a new folder, starts it once and compares every table. A provider gives nobody a
 * way to write into a volume from outside, so the last step, moving the directory to where a server shall run, is a person's.
 */
export async function restore(
  snapshot: SnapshotReader,
  _upstream: Upstream,
  report: (progress: Progress) => void,
): Promise<Restored> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-restored-'))
  chmodSync(folder, findScratchUser() === null ? 0o700 : 0o711)
  return restoreVolumes(snapshot, folder, report)
}

/** As `restore`, into a folder that must be empty or not there. Where we are root the directories belong to the user that servers run as. */
export async function restoreVolumes(
  snapshot: SnapshotReader,
  folder: string,
  report: (progress: Progress) => void,
): Promise<Restored> {
  const manifest = baseBackupManifestSchema.safeParse(snapshot.manifest)
  if (!manifest.success) throw notRestored('the copy was not made by this connector, or by another version of it', manifest.error)
  const { volumes } = manifest.data
  const notes: string[] = []
  for (const [index, volume] of volumes.entries()) {
    report({ step: `volume ${volume.volume}`, done: index, total: volumes.length })
    const data = await restoreVolume(snapshot, volume, join(folder, `volume-${index + 1}`))
    notes.push(`${volume.database} lies in ${data}: start it there with PostgreSQL ${volume.major}`)
  }
  report({ step: 'done', done: volumes.length, total: volumes.length })
  const tables = volumes.flatMap((volume) => volume.tables)
  return {
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    tables: tables.map(({ label }) => label),
    verified: true,
    note: `${notes.join('; ')}. Every table was compared with its checksum.`,
  }
}

async function restoreVolume(snapshot: SnapshotReader, copy: VolumeCopy, folder: string): Promise<string> {
  if (existsSync(folder)) throw notRestored(`${folder} is there already`)
  const owner = findScratchUser()
  const place: ScratchPlace = { folder, data: join(folder, 'data'), owner }
  mkdirSync(folder, { recursive: true, mode: owner === null ? 0o700 : 0o711 })
  try {
    for (const path of [place.data, join(folder, 'socket')]) {
      mkdirSync(path, { mode: 0o700 })
      if (owner !== null) chownSync(path, owner.uid, owner.gid)
    }
    const sum = createHash('sha256')
    await unpackTar(hashed(snapshot.read(copy.part), sum), place.data, owner)
    if (sum.digest('hex') !== copy.partSha256) throw notRestored('what the vault gave is not what was sealed')
    await compareAside(copy, place)
    return place.data
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    if (error instanceof SallyportError) throw error
    throw notRestored(error instanceof Error ? error.message.slice(0, 300) : 'no reason was given', error)
  } finally {
    for (const name of ['socket', 'programs', 'postgresql.conf', 'pg_hba.conf', 'pg_ident.conf'])
      rmSync(join(folder, name), { recursive: true, force: true })
  }
}

/** The trial start runs without the settings that the server itself wrote; they are put back for the real one. */
async function compareAside(copy: VolumeCopy, place: ScratchPlace): Promise<void> {
  const settings = join(place.data, 'postgresql.auto.conf')
  const aside = join(place.folder, 'postgresql.auto.conf')
  if (existsSync(settings)) renameSync(settings, aside)
  await compareCopy(copy, place, false)
  if (existsSync(aside)) renameSync(aside, settings)
}

/** unpackTar reads to the end, so the sum is over all of the part. */
async function* hashed(chunks: AsyncIterable<Uint8Array>, sum: ReturnType<typeof createHash>): AsyncIterable<Uint8Array> {
  for await (const chunk of chunks) {
    sum.update(chunk)
    yield chunk
  }
}

function notRestored(why: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'copy_failed',
    `The volume could not be put back: ${why}.`,
    'Nothing was left behind; the copy in the vault is as it was.',
    'Mend what the message names, or take the copy out by `sallyport vault restore`.',
    { cause },
  )
}
