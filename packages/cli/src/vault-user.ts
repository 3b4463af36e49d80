import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'
import { canEnter } from './playground/os-user.ts'

/** The vault's own user, where somebody made one: `useradd --system sallyport-vault`. */
export const vaultUserName = 'sallyport-vault'

/**
 * Null when we are not root, when there is no such user, or when that user cannot get to the state: then the vault runs as we do, and `doctor`
 * says what that is worth.
 */
export function findVaultUser(stateDirectory: string): string | null {
  if (process.getuid?.() !== 0) return null
  const uid = askForId('-u')
  const gid = askForId('-g')
  if (uid === null || gid === null || !canEnter(dirname(stateDirectory), { uid, gid })) return null
  return vaultUserName
}

function askForId(flag: '-u' | '-g'): number | null {
  try {
    return Number(execFileSync('id', [flag, vaultUserName], { stdio: ['ignore', 'pipe', 'ignore'] }).toString())
  } catch {
    return null
  }
}
