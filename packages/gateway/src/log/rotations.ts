import { join } from 'node:path'
import { formatRotations, type KeyRotation, LogFormatError, parseRotations, rotationsBytesMax } from '@sallyport/core'
import { type FileSystem, readWhole, replaceFile } from './file-system.ts'
import { refuseToOpen } from './recovery.ts'

/** Beside the log: what its keys were replaced by, each step signed by both. */
const fileName = 'rotations'

/** @throws SallyportError `log_unavailable` for a file that cannot be believed */
export async function readRotations(system: FileSystem, directory: string): Promise<readonly KeyRotation[]> {
  const bytes = await readWhole(system, join(directory, fileName), rotationsBytesMax)
  if (bytes === null) return []
  try {
    return parseRotations(bytes.toString('utf8'))
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
    throw refuseToOpen(
      `The list of the log's keys, ${join(directory, fileName)}, cannot be believed: ${error.message}.`,
      'Put it back from a copy; the vault keeps one as witness/rotations.',
    )
  }
}

/** Durable before it resolves; the same again changes nothing. */
export async function keepRotation(system: FileSystem, directory: string, rotation: KeyRotation): Promise<void> {
  const known = await readRotations(system, directory)
  if (known.some(({ note }) => note === rotation.note)) return
  await replaceFile(system, directory, fileName, Buffer.from(formatRotations([...known, rotation])))
}
