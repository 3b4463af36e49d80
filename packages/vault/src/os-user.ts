import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { VaultFailure } from './failure.ts'

const run = promisify(execFile)

export interface OsUser {
  readonly uid: number
  readonly gid: number
}

/** A user of this machine by name. Asks `id`, which knows every source of names that the system has. */
export async function findOsUser(name: string): Promise<OsUser> {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/.test(name))
    throw new VaultFailure('bad_request', 'This is not the name of a user. Nothing was started.')
  try {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, '--', name], { timeout: 10_000 })).stdout)),
    )
    if (uid !== undefined && gid !== undefined && Number.isInteger(uid) && Number.isInteger(gid)) return { uid, gid }
  } catch (error) {
    throw new VaultFailure('bad_request', `This machine has no user \`${name}\`. Nothing was started.`, { cause: error })
  }
  throw new VaultFailure('bad_request', `This machine has no user \`${name}\`. Nothing was started.`)
}

/** Becomes another user for good. Only root can. */
export function becomeOsUser(user: OsUser): void {
  if (process.getuid?.() !== 0)
    throw new VaultFailure('bad_request', 'Only a vault started by root can become another user. Nothing was started.')
  process.setgroups?.([])
  process.setgid?.(user.gid)
  process.setuid?.(user.uid)
  if (process.getuid?.() !== user.uid || process.getgid?.() !== user.gid)
    throw new VaultFailure('storage_failed', 'Could not become the other user. Nothing was started.')
}
