import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { CommandFailure, exitCodes } from '../failure.ts'

/** Who runs a server that refuses to run as root. */
export interface OsUser {
  readonly uid: number
  readonly gid: number
}

/** Null when we are not root: then the server runs as us. It must be listed in the system's user database, which initdb asks. */
export function findUnprivilegedUser(): OsUser | null {
  if (process.getuid?.() !== 0) return null
  try {
    return { uid: askForId('-u'), gid: askForId('-g') }
  } catch (error) {
    throw new CommandFailure(
      exitCodes.failed,
      'not_supported',
      'The playground’s PostgreSQL refuses to run as root, and this machine has no user `nobody` to run it as.',
      'No playground was made.',
      'Run `sallyport up` as an ordinary user, or put your own database behind the gate with `sallyport init`.',
      { cause: error },
    )
  }
}

function askForId(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'nobody'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString())
}

/** True when this user may read `path` and enter every folder above it. */
export function canReach(path: string, user: OsUser): boolean {
  return permits(path, user, 0o4) && canEnter(dirname(path), user)
}

/** True when this user may pass through this folder and every one above it. */
export function canEnter(folder: string, user: OsUser): boolean {
  return permits(folder, user, 0o1) && (folder === dirname(folder) || canEnter(dirname(folder), user))
}

function permits(path: string, user: OsUser, bit: number): boolean {
  const { mode, uid, gid } = statSync(path)
  if (uid === user.uid) return (mode & (bit << 6)) !== 0
  if (gid === user.gid) return (mode & (bit << 3)) !== 0
  return (mode & bit) !== 0
}
