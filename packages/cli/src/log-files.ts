import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type ArchivedRange,
  isReceiptName,
  type KeyRotation,
  LogFormatError,
  type LogSource,
  parseRotations,
  rotationsBytesMax,
  parseSegmentName,
  parseTilePath,
  parseVerifierKeys,
  readReceipt,
  receiptBytesMax,
  receiptsDirectory,
  signatureTypes,
  type VerifierKey,
} from '@sallyport/core'
import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'

const smallFileBytesMax = 64 * 1024
const tileBytesMax = 17 * 1024 * 1024

/** A file, or null when there is none. @throws Error when it may not be read or is larger than anything that belongs there */
async function readIfThere(path: string, bytesMax: number): Promise<Buffer | null> {
  try {
    const { size } = await stat(path)
    if (size > bytesMax)
      throw new CommandFailure(
        exitCodes.failed,
        'unreadable',
        `${path} has ${size} bytes.`,
        'Nothing was verified.',
        'Give the right file.',
      )
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null
    throw error
  }
}

export async function readText(path: string): Promise<string | null> {
  return (await readIfThere(path, smallFileBytesMax))?.toString('utf8') ?? null
}

/** The directory of a log, given itself or the state directory that holds it as `log`. */
export async function findLog(given: string): Promise<string> {
  for (const directory of [given, join(given, 'log')]) {
    if ((await readIfThere(join(directory, 'keys'), smallFileBytesMax)) !== null) return directory
    if ((await segmentNames(directory)).length > 0) return directory
  }
  throw new CommandFailure(
    exitCodes.usage,
    'no_log',
    `There is no log in ${given}.`,
    'Nothing was verified.',
    'Name the directory that holds `entries` and `checkpoint`, such as .sallyport/log.',
  )
}

async function segmentNames(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(join(directory, 'entries'))).filter((name) => parseSegmentName(name) !== null).sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return []
    throw error
  }
}

/** Where `log recall` puts what it had back from the vault. */
export const recalledDirectory = 'recalled'

/**
 * What receipts beside the log say lies in a vault. One that cannot be read, is of another log, or of another vault than the one beside the log, counts
 * for nothing: then a part of the log is missing.
 */
async function findArchived(directory: string, checkpoint: string | null): Promise<readonly ArchivedRange[]> {
  const [origin] = checkpoint?.split('\n') ?? []
  const identity = await readText(join(directory, '..', 'vault', 'identity')).catch(() => null)
  const vault = vaultShape.safeParse(parseFirstLine(identity ?? '')).data?.publicKey ?? null
  const folder = join(directory, receiptsDirectory)
  const names = (await readdir(folder).catch(() => [])).filter(isReceiptName).sort()
  const ranges: ArchivedRange[] = []
  for (const name of names) {
    try {
      const range = readReceipt((await readIfThere(join(folder, name), receiptBytesMax)) ?? Buffer.alloc(0))
      if (range.origin === origin && (vault === null || range.vault === vault)) ranges.push(range)
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
    }
  }
  return ranges
}

/** The log as it lies in a directory, read piece by piece. */
export async function openLogFiles(directory: string): Promise<LogSource> {
  // The checkpoint first: whatever is appended while we read is news behind it, never a hole before it.
  const checkpoint = await readText(join(directory, 'checkpoint'))
  return {
    checkpoint,
    archived: await findArchived(directory, checkpoint),
    async *segments() {
      for (const name of await segmentNames(directory)) yield { name, bytes: await readFile(join(directory, 'entries', name)) }
    },
    async tile(path) {
      parseTilePath(path)
      const here = await readIfThere(join(directory, path), tileBytesMax)
      return here ?? (await readIfThere(join(directory, recalledDirectory, path), tileBytesMax))
    },
  }
}

/** Keys, and the word for where they were found. */
export interface FoundKeys {
  readonly keys: readonly VerifierKey[]
  readonly from: 'caller' | 'witness' | 'log'
  /** What they were replaced by, as the witness and the log say. */
  readonly rotations: readonly KeyRotation[]
}

/** A witness's checkpoint and the keys that lie with it, or why there is none. */
export interface FoundWitness {
  readonly path: string
  readonly checkpoint: string | null
  /** Set when it is there and may not be read, as when the vault runs under a user of its own. */
  readonly problem: string | null
}

/** `none`: no witness on purpose. A path: must be there. Undefined: looked for in the vault beside the log. */
export async function findWitness(directory: string, given: string | undefined): Promise<FoundWitness | null> {
  if (given === 'none') return null
  const path = given ?? join(directory, '..', 'vault', 'witness', 'checkpoint')
  try {
    const checkpoint = await readText(path)
    if (checkpoint === null && given !== undefined) {
      throw new CommandFailure(
        exitCodes.usage,
        'no_witness',
        `There is no witness's checkpoint at ${path}.`,
        'Nothing was verified.',
        'Name the file, or say `--witness none`.',
      )
    }
    return { path, checkpoint, problem: null }
  } catch (error) {
    if (given !== undefined || error instanceof CommandFailure) throw error
    return { path, checkpoint: null, problem: error instanceof Error ? error.message : 'it cannot be read' }
  }
}

/** Keys of the log: the caller's beat those that the witness pinned, and these beat those that lie beside the log. */
export async function findLogKeys(directory: string, given: readonly string[], witness: FoundWitness | null): Promise<FoundKeys> {
  const rotations = await findRotations(directory, witness)
  if (given.length > 0) return { keys: ofType(given.join('\n'), signatureTypes.note), from: 'caller', rotations }
  const pinned = witness?.checkpoint ? await readText(join(dirname(witness.path), 'log.vkey')) : null
  if (pinned !== null) return { keys: ofType(pinned, signatureTypes.note), from: 'witness', rotations }
  return { keys: ofType((await readText(join(directory, 'keys'))) ?? '', signatureTypes.note), from: 'log', rotations }
}

/** Each is signed by the key that it replaces, so it matters little where it lies; two that replace one key differently are found. */
async function findRotations(directory: string, witness: FoundWitness | null): Promise<readonly KeyRotation[]> {
  const places = [...(witness?.checkpoint ? [dirname(witness.path)] : []), directory]
  const rotations = new Map<string, KeyRotation>()
  for (const place of places) {
    const bytes = await readIfThere(join(place, 'rotations'), rotationsBytesMax)
    if (bytes === null) continue
    for (const rotation of parseRotations(bytes.toString('utf8'))) rotations.set(rotation.note, rotation)
  }
  return [...rotations.values()]
}

const identityShape = z.object({ witnessKey: z.string() })
const vaultShape = z.object({ publicKey: z.string() })

/** Keys of the witness: the caller's, else what the vault that holds the checkpoint says of itself, else those beside the log. */
export async function findWitnessKeys(
  directory: string,
  given: readonly string[],
  witness: FoundWitness,
): Promise<readonly VerifierKey[]> {
  if (given.length > 0) return ofType(given.join('\n'), signatureTypes.cosignature)
  const identity = await readText(join(dirname(dirname(witness.path)), 'identity'))
  const claimed = identityShape.safeParse(parseFirstLine(identity ?? ''))
  if (claimed.success) return ofType(claimed.data.witnessKey, signatureTypes.cosignature)
  return ofType((await readText(join(directory, 'keys'))) ?? '', signatureTypes.cosignature)
}

function ofType(text: string, type: number): readonly VerifierKey[] {
  return parseVerifierKeys(text).filter((key) => key.type === type)
}

function parseFirstLine(text: string): unknown {
  try {
    return JSON.parse(text.split('\n')[0] ?? '')
  } catch {
    return null
  }
}
