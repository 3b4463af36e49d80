import { DatabaseSync } from 'node:sqlite'
import { VaultFailure } from './failure.ts'

/**
 * Lets one process at a time write to a vault. Node has no file locks of its own, SQLite has, and the kernel gives its lock back when the
 * process dies in any way. Without this, two vaults on one folder would give one sequence number to two snapshots.
 */
export function takeLock(path: string): Disposable {
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    throw new VaultFailure('storage_failed', 'Another vault process works on this folder already; this one has not started.', {
      cause: error,
    })
  }
  return { [Symbol.dispose]: () => database.close() }
}
