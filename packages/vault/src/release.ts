import { join } from 'node:path'
import type { CopyStore } from './copy-store.ts'
import { readWhole } from './disk.ts'
import { toFailure, VaultFailure } from './failure.ts'
import { readKeyFile } from './key.ts'
import { takeLock } from './lock.ts'
import { holdRecord, readHolds } from './retention.ts'
import { signRecord } from './signed-record.ts'
import { Store } from './store.ts'

const keyBytesMax = 4096
/** As long as the record that began the hold. */
const recordMs = 10 * 366 * 86_400_000

/**
 * Ends a legal hold. No running vault has a verb for it: it takes the vault's own key, and the vault must stand still. The lock that the hold
 * kept ahead still runs out by itself, so nothing goes at once.
 */
export async function releaseHold(
  folder: string,
  stores: readonly CopyStore[],
  snapshot: string,
  nowMs: number,
): Promise<{ readonly snapshot: string; readonly reason: string }> {
  const lock = takeLock(join(folder, 'lock'))
  try {
    const key = readKeyFile((await readWhole(join(folder, 'key'), keyBytesMax)).toString('utf8'))
    const store = new Store(folder, key.chunkKeys, stores)
    await store.prepare()
    const damaged: string[] = []
    const holds = await readHolds(
      stores,
      key.publicKey,
      (file, error) => void damaged.push(`${file}: ${toFailure(error).message}`),
    )
    if (damaged.length > 0)
      throw new VaultFailure('damaged', `Not every record can be read, so no hold was ended: ${damaged[0] ?? ''}`)
    const hold = holds.get(snapshot)
    if (!hold) throw new VaultFailure('not_found', 'No hold is on a snapshot of this id. Nothing was changed.')
    // Later than the hold, whatever the host's clock says: the latest record counts.
    const atMs = Math.max(nowMs, hold.atMs + 1)
    const record = signRecord(key, holdRecord, { ...hold, held: false, atMs })
    await store.keepRecord(record.name, record.bytes, atMs + recordMs)
    return { snapshot, reason: hold.reason }
  } finally {
    lock[Symbol.dispose]()
  }
}
