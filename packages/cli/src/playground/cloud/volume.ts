import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from '../../state-directory.ts'
import { waitForLeftover } from '../leftover.ts'
import type { DatabaseName } from '../server.ts'
import { readAccount, readVolumes, writeAccount, writeVolumes } from './account.ts'

/** The guardian gives PostgreSQL 8 s to end by itself and then ends it. */
const stopTimeoutMs = 12_000

/** Stops the PostgreSQL on this volume and deletes its data directory and the provider's backups with it. There is no way back from here. */
export async function deleteVolume(stateDirectory: string, id: string): Promise<boolean> {
  const volumes = readVolumes(stateDirectory)
  const name = nameOf(volumes, id)
  const volume = name === null ? undefined : volumes[name]
  if (name === null || volume === undefined) return false
  // First, so that whoever watches the server knows why it ends.
  writeVolumes(stateDirectory, { ...volumes, [name]: undefined })
  const data = join(volume.folder, 'data')
  try {
    if (volume.guardianPid !== null) await endServer(volume.guardianPid, data)
    await waitForLeftover(volume.folder, data)
  } catch (error) {
    writeVolumes(stateDirectory, volumes)
    throw error
  }
  // A name of its own first: an end in the middle must not leave half a data directory that looks like one.
  if (existsSync(data)) {
    const doomed = join(volume.folder, `deleted-${id}`)
    renameSync(data, doomed)
    rmSync(doomed, { recursive: true, force: true })
  }
  const account = readAccount(stateDirectory)
  writeAccount(stateDirectory, { ...account, backups: account.backups.filter((backup) => backup.volume !== id) })
  return true
}

export function nameOf(volumes: ReturnType<typeof readVolumes>, id: string): DatabaseName | null {
  if (volumes.production?.id === id) return 'production'
  return volumes.staging?.id === id ? 'staging' : null
}

async function endServer(guardianPid: number, data: string): Promise<void> {
  if (!isGuardianOf(guardianPid, data)) return
  process.kill(guardianPid, 'SIGTERM')
  const deadline = Date.now() + stopTimeoutMs
  while (isGuardianOf(guardianPid, data)) {
    if (Date.now() > deadline) throw new Error('PostgreSQL on this volume does not end')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** The number may be anybody's by now; where the system shows command lines, look. */
function isGuardianOf(pid: number, data: string): boolean {
  if (!isAlive(pid)) return false
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`--data=${data}`)
  } catch {
    return process.platform !== 'linux'
  }
}

/** Megabytes of files on a volume, as they are now. */
export function measureMegabytes(folder: string): number {
  const data = join(folder, 'data')
  if (!existsSync(data)) return 0
  const bytes = readdirSync(data, { recursive: true, encoding: 'utf8' }).reduce((sum, path) => sum + sizeOf(join(data, path)), 0)
  return bytes / 1_000_000
}

/** PostgreSQL makes and removes files while we look. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
