import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { chmodSync } from 'node:fs'

/** Held for as long as one `up` runs on a state directory. */
export interface StartLock {
  release(): void
}

/**
 * Null when another process holds it. The system itself drops the lock when its holder dies in whatever way, which a file holding a process id
 * cannot promise: after a crash or a reboot that id may be anybody's. SQLite is the one lock of that kind Node has.
 */
export function takeStartLock(stateDirectory: string): StartLock | null {
  const file = join(stateDirectory, 'start.lock')
  const database = new DatabaseSync(file)
  try {
    chmodSync(file, 0o600)
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return { release: () => database.close() }
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && (error.errcode === sqliteBusy || error.errcode === sqliteLocked))
      return null
    throw error
  }
}

/** Result codes of SQLite (sqlite.org/rescode.html). */
const sqliteBusy = 5
const sqliteLocked = 6
