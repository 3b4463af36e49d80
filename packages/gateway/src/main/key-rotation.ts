import { join } from 'node:path'
import {
  formatVerifierKey,
  type KeyRotation,
  LogFormatError,
  noteSigner,
  type NoteSigner,
  openCheckpoint,
  parseRotation,
  SallyportError,
  signRotation,
  type Witness,
} from '@sallyport/core'
import { wallClock as clock } from '../access/clock.ts'
import { openStateFolder, replaceLogKey, type StateFolder } from '../access/state-folder.ts'
import { openLog, type FileLog } from '../log/file-log.ts'
import { diskFileSystem, type FileSystem } from '../log/file-system.ts'
import { keepRotation, readRotations } from '../log/rotations.ts'

export interface RotationPorts {
  readonly folder: StateFolder
  readonly openWitness: (signer: NoteSigner) => Promise<Witness>
  readonly report: (problem: string) => void
  /** Default: the real one. */
  readonly system?: FileSystem
}

/**
 * Replaces the key of the log by the one that `sallyport log rotate-key` made, before anything else stands on the log: the handing over is an
 * event, then a checkpoint signed by both, then a line of `rotations`, and only then the old key is gone. A start that is cut off anywhere
 * in between goes on where it was.
 */
export async function settleLogKey({
  folder,
  openWitness,
  report,
  system = diskFileSystem,
}: RotationPorts): Promise<StateFolder> {
  const { directory, nextLogSeed, logSeed, origin } = folder
  if (nextLogSeed === null) return folder
  const logDirectory = join(directory, 'log')
  const [signer, next] = [noteSigner(origin, logSeed), noteSigner(origin, nextLogSeed)]
  const known = await readRotations(system, logDirectory)
  if (!known.some(({ from, to }) => isKey(from, signer) && isKey(to, next))) {
    const log = await openLog({ directory: logDirectory, signer, clock, witness: await openWitness(signer), report, system })
    try {
      await keepRotation(system, logDirectory, await handOver(log, signer, next))
    } finally {
      await log.close()
    }
  }
  replaceLogKey(directory)
  report(`the key of the log was replaced; from now on it is ${formatVerifierKey(next.key)}`)
  return openStateFolder(directory)
}

async function handOver(log: FileLog, signer: NoteSigner, next: NoteSigner): Promise<KeyRotation> {
  const rotation = (await findBegun(log, signer, next)) ?? (await begin(log, signer, next))
  await log.publishWith(next)
  const { checkpoint, verdict } = openCheckpoint(log.checkpoint() ?? '', [signer.key, next.key])
  if (checkpoint.size === rotation.size && verdict.verified.length === 2 && verdict.failed.length === 0) return rotation
  throw notReplaced('the checkpoint that both keys sign could not be written')
}

/** Nothing else may append meanwhile: the old key ends with the very tree that holds the event. */
async function begin(log: FileLog, signer: NoteSigner, next: NoteSigner): Promise<KeyRotation> {
  const rotation = signRotation(signer, next, log.size() + 1)
  const data = {
    from: formatVerifierKey(signer.key),
    to: formatVerifierKey(next.key),
    size: rotation.size,
    rotation: rotation.note,
  }
  const index = await log.append({ type: 'log.key_rotated', atMs: clock.nowMs(), data })
  if (index + 1 !== rotation.size) throw notReplaced('something else was written to the log')
  return rotation
}

/** Of a start that was cut off. */
async function findBegun(log: FileLog, signer: NoteSigner, next: NoteSigner): Promise<KeyRotation | null> {
  const [last] = log.size() === 0 ? [] : await log.read(log.size() - 1, 1)
  const note = last?.event.type === 'log.key_rotated' ? last.event.data['rotation'] : null
  if (typeof note !== 'string') return null
  try {
    const rotation = parseRotation(note)
    return isKey(rotation.from, signer) && isKey(rotation.to, next) && rotation.size === log.size() ? rotation : null
  } catch (error) {
    if (error instanceof LogFormatError) return null
    throw error
  }
}

function isKey(key: NoteSigner['key'], signer: NoteSigner): boolean {
  return formatVerifierKey(key) === formatVerifierKey(signer.key)
}

function notReplaced(why: string): SallyportError {
  return new SallyportError(
    'log_unavailable',
    `The key of the log was not replaced: ${why}.`,
    'The gate did not start; the old key is still in force.',
    'Look at the disk of the log, then start again; or remove log.key.next to keep the old key.',
  )
}
