import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isCosigned, isSignedByLog, openCheckpoint, parseVerifierKey, sha256Hex } from '@sallyport/core'
import { readIfThere, readWhole } from './disk.ts'
import { VaultFailure } from './failure.ts'
import { readSignedLine } from './signed-line.ts'
import { bookBytesMax } from './trace-book.ts'
import type { VaultFolder } from './vault-folder.ts'
import { checkpointBytesMax } from './witness.ts'
import { readHistoryLine } from './witness-text.ts'

const stateBytesMax = 4096
const historyBytesMax = 1 << 30
const expectedNames = new Set([
  'chunks',
  'clock',
  'credential',
  'expired',
  'holds',
  'identity',
  'key',
  'lock',
  'manifests',
  'retention',
  'staging',
  'traces',
  'wal',
  'wal-expired',
  'witness',
])

type Tell = (file: string, error: unknown) => void

/** Checks what is not a copy: the vault's own small files and what it kept as a witness. */
export async function verifyState(folder: VaultFolder, tell: Tell): Promise<void> {
  for (const name of await readdir(folder.path)) {
    // `.next`: a state file that was about to replace the one before when the machine stopped.
    if (!expectedNames.has(name) && !name.endsWith('.next'))
      tell(name, new VaultFailure('damaged', 'This file is not the vault’s.'))
  }
  for (const domain of ['clock', 'credential', 'traces'] as const) {
    await attempt(tell, domain, async () => {
      const bytes = await readIfThere(join(folder.path, domain), domain === 'traces' ? bookBytesMax : stateBytesMax)
      if (bytes) readSignedLine(folder.identity.publicKey, domain, bytes)
    })
  }
  await attempt(tell, 'witness', () => verifyWitness(folder, tell))
}

async function verifyWitness(folder: VaultFolder, tell: Tell): Promise<void> {
  const at = (name: string): string => join(folder.path, 'witness', name)
  await attempt(tell, 'witness/checkpoint', async () => {
    const key = await readIfThere(at('log.vkey'), checkpointBytesMax)
    const note = await readIfThere(at('checkpoint'), checkpointBytesMax)
    const logKey = key ? parseVerifierKey(key.toString('utf8').trimEnd()) : null
    const cosigned = await readCosigned(folder, tell)
    if (!note && cosigned === 0) return
    if (!note || !logKey) throw new VaultFailure('damaged', 'The last checkpoint, or the key of its log, is not there.')
    const { checkpoint, verdict } = openCheckpoint(note.toString('utf8'), [logKey, parseVerifierKey(folder.identity.witnessKey)])
    if (!isSignedByLog(verdict) || !isCosigned(verdict))
      throw new VaultFailure('damaged', 'The last checkpoint lacks the signature of its log or of this vault.')
    if (checkpoint.size < cosigned)
      throw new VaultFailure('damaged', `The last checkpoint has size ${checkpoint.size}, but size ${cosigned} was cosigned.`)
  })
  for (const name of await readdir(at(''))) {
    const hash = /^evidence-\d{16}-([0-9a-f]{64})$/.exec(name)?.[1]
    if (hash === undefined) continue
    await attempt(tell, join('witness', name), async () => {
      if (sha256Hex(await readWhole(at(name), 4 * checkpointBytesMax)) !== hash)
        throw new VaultFailure('damaged', 'This evidence was changed.')
    })
  }
}

/** The largest size in the list of what was cosigned. */
async function readCosigned(folder: VaultFolder, tell: Tell): Promise<number> {
  const text = (await readIfThere(join(folder.path, 'witness', 'history'), historyBytesMax))?.toString('utf8') ?? ''
  let largest = 0
  for (const [index, line] of text.split('\n').slice(0, -1).entries()) {
    await attempt(tell, `witness/history:${index + 1}`, async () => {
      largest = Math.max(largest, readHistoryLine(folder.identity.publicKey, line).size)
    })
  }
  return largest
}

async function attempt(tell: Tell, file: string, check: () => Promise<void>): Promise<void> {
  try {
    await check()
  } catch (error) {
    tell(
      file,
      error instanceof VaultFailure
        ? error
        : new VaultFailure('damaged', 'It cannot be read as what it should be.', { cause: error }),
    )
  }
}
