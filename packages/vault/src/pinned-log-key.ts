import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import {
  currentKey,
  formatRotations,
  formatVerifierKey,
  isSignedByKey,
  keysUpTo,
  type KeyRotation,
  LogFormatError,
  openCheckpoint,
  type OpenedCheckpoint,
  parseRotation,
  parseRotations,
  parseVerifierKey,
  rotationsBytesMax,
  signatureTypes,
  type VerifierKey,
} from '@sallyport/core'
import { linkOnce, readIfThere, replaceState, syncFolder, writeOnce } from './disk.ts'
import { VaultFailure } from './failure.ts'

const keyBytesMax = 4_096

/**
 * Whose log is witnessed: the first key that ever asked, and what each key itself, with its successor, handed over to. The first never changes;
 * a key that was replaced signs nothing that is cosigned any more.
 */
export class PinnedLogKey {
  readonly #folder: string
  #first: VerifierKey | null = null
  #rotations: readonly KeyRotation[] = []

  /** @param folder the witness's own */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** @throws LogFormatError or VaultFailure for what cannot be believed */
  async load(): Promise<void> {
    const key = await readIfThere(join(this.#folder, 'log.vkey'), keyBytesMax)
    const rotations = await readIfThere(join(this.#folder, 'rotations'), rotationsBytesMax)
    this.#first = key ? parseVerifierKey(key.toString('utf8').trimEnd()) : null
    this.#rotations = rotations ? parseRotations(rotations.toString('utf8')) : []
  }

  /** What signs now; null: no log was pinned yet. */
  get current(): VerifierKey | null {
    return this.#first === null ? null : currentKey(this.#first, this.#rotations)
  }

  get rotations(): readonly KeyRotation[] {
    return this.#rotations
  }

  /** Only the first key is taken; the one in force again is fine. */
  async pin(text: string): Promise<void> {
    const key = readLogKey(text)
    if (this.#first === null) await this.#keep(key)
    if (isSame(this.current, key)) return
    throw new VaultFailure(
      'log_pinned',
      'This vault witnesses another log already; its key was pinned at first contact and changes by a statement of that key alone.',
    )
  }

  /**
   * The key in force hands over to another, signed by both. Durable when it resolves; the same again changes nothing.
   * @param witnessedSize of the last checkpoint that was cosigned
   */
  async rotate(text: string, witnessedSize: number): Promise<void> {
    const rotation = readRotation(text)
    if (this.#rotations.some(({ note }) => note === rotation.note)) return
    if (!isSame(this.current, rotation.from))
      throw new VaultFailure('log_pinned', 'The key that hands over is not the one in force here: it never was, or was replaced.')
    // Whoever has it could make it sign for less than what it signed for already, and nobody could tell what came after.
    if (rotation.size < witnessedSize)
      throw new VaultFailure('log_pinned', 'The key hands over at a smaller tree than was cosigned with it.')
    const rotations = [...this.#rotations, rotation]
    if (this.#first === null || !isSame(currentKey(this.#first, rotations), rotation.to))
      throw new VaultFailure('log_pinned', 'The key that takes over was in force before.')
    await replaceState(join(this.#folder, 'rotations'), Buffer.from(formatRotations(rotations)))
    this.#rotations = rotations
  }

  /** A checkpoint by the key in force. @throws VaultFailure */
  read(note: string): OpenedCheckpoint {
    const key = this.current
    if (key === null) throw new VaultFailure('log_unknown', 'No log was pinned yet.')
    try {
      const opened = openCheckpoint(note, [key])
      if (isSignedByKey(opened, [{ key, sizeMax: Infinity }])) return opened
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
      throw new VaultFailure('bad_request', 'This is not a checkpoint.')
    }
    throw new VaultFailure('log_unknown', 'The checkpoint was not signed by the log that this vault witnesses.')
  }

  /** Whether what was cosigned once was signed by a key that was in force at that size. */
  hasSigned(note: string): boolean {
    if (this.current === null) return false
    const keys = keysUpTo(this.current, this.#rotations)
    const opened = openCheckpoint(
      note,
      keys.map(({ key }) => key),
    )
    return isSignedByKey(opened, keys)
  }

  async #keep(key: VerifierKey): Promise<void> {
    const staged = join(this.#folder, `log.vkey.${process.pid}`)
    await writeOnce(staged, Buffer.from(`${formatVerifierKey(key)}\n`)).catch(() => undefined)
    linkOnce(staged, join(this.#folder, 'log.vkey'))
    await unlink(staged)
    await syncFolder(this.#folder)
    this.#first = key
  }
}

function isSame(left: VerifierKey | null, right: VerifierKey): boolean {
  return left !== null && formatVerifierKey(left) === formatVerifierKey(right)
}

function readLogKey(text: string): VerifierKey {
  try {
    const key = parseVerifierKey(text.trimEnd())
    if (key.type === signatureTypes.note) return key
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
  }
  throw new VaultFailure('bad_request', "This is not the verifier key of a log's signatures.")
}

function readRotation(text: string): KeyRotation {
  try {
    return parseRotation(text)
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
    throw new VaultFailure('bad_request', 'This is no handing over of a key that both keys have signed.')
  }
}
