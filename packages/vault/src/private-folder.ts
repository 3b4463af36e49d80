import { constants } from 'node:fs'
import { access, lstat } from 'node:fs/promises'
import { VaultFailure } from './failure.ts'

/** Refuses a folder that others can read or that is somebody else's. */
export async function checkPrivateFolder(folder: string): Promise<void> {
  const status = await lstat(folder)
  if (!status.isDirectory()) throw new VaultFailure('bad_request', "The vault's folder is not a folder.")
  if ((status.mode & 0o077) !== 0)
    throw new VaultFailure('bad_request', "Others can enter the vault's folder: chmod 0700 it. Nothing was started.")
  if (status.uid !== process.getuid?.())
    throw new VaultFailure('bad_request', "The vault's folder belongs to another user. Nothing was started.")
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
}
