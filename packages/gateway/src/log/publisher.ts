import { join } from 'node:path'
import {
  addSignatures,
  consistencyProof,
  encodeBase64,
  formatVerifierKey,
  isCosigned,
  LogFormatError,
  type NoteSigner,
  openCheckpoint,
  SallyportError,
  signCheckpoint,
  type Tile,
  tileWidth,
  type Hash,
  type Witness,
  WitnessRefusal,
} from '@sallyport/core'
import type { Cosigners } from './cosigners.ts'
import { type FileSystem, replaceFile } from './file-system.ts'
import type { TileFiles } from './tile-files.ts'

/** `mayExist`: made anew at a start, so that its file may lie there already. */
export interface FilledTile {
  readonly tile: Tile
  readonly entries: readonly Uint8Array[]
  readonly mayExist: boolean
}

/** The tree at one moment, as far as it must be held in memory. */
export interface TreeState {
  readonly size: number
  readonly root: Hash
  readonly edge: readonly Tile[]
  /** Entries of the partial tile at the right edge of level 0. */
  readonly bundle: readonly Uint8Array[]
  /** Full tiles, and the entries of those of level 0, that came into being since the last time. */
  readonly filled: readonly FilledTile[]
}

export interface PublisherSettings {
  readonly system: FileSystem
  readonly directory: string
  readonly tiles: TileFiles
  readonly signer: NoteSigner
  readonly witness: Witness | null
  /** Further witnesses; `needed` of all, the first included, make a checkpoint witnessed as the configuration wants it. */
  readonly further: { readonly cosigners: Cosigners; readonly needed: number } | null
  readonly everyMs: number
  readonly witnessTimeoutMs: number
  /** Entries that are durable now. */
  readonly size: () => number
  readonly capture: () => TreeState
  /** Puts back what could not be written, for the next time. */
  readonly restore: (filled: TreeState['filled']) => void
  readonly frozen: (failure: SallyportError) => void
  readonly report: (problem: string) => void
}

export interface Published {
  readonly size: number
  readonly text: string
}

/** Background work behind the durable append: tiles, the signed checkpoint, the witness. At most one run at a time, at most every so often. */
export class Publisher {
  readonly #settings: PublisherSettings
  readonly #listeners = new Set<(text: string) => void>()
  #published: Published | null
  #witnessed: Published | null
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  #lastMs = -Infinity
  #problem: string | null = null
  #witnessProblem: string | null = null
  #furtherProblem: string | null = null
  #stopped = false
  /** Signs beside the log's own key: the one that takes its place. */
  #successor: NoteSigner | null = null
  /** False at the start: a crash may have taken the partial tiles of the last checkpoint. */
  #edgeWritten = false

  constructor(settings: PublisherSettings, published: Published | null, witnessed: Published | null) {
    this.#settings = settings
    this.#published = published
    this.#witnessed = witnessed
  }

  get published(): Published | null {
    return this.#published
  }

  get witnessed(): Published | null {
    return this.#witnessed
  }

  get problem(): string | null {
    return this.#problem ?? this.#witnessProblem ?? this.#furtherProblem
  }

  onCheckpoint(listener: (text: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** There is something new. */
  poke(): void {
    if (this.#timer || this.#running || this.#stopped) return
    const waitMs = Math.max(0, this.#lastMs + this.#settings.everyMs - performance.now())
    this.#timer = setTimeout(() => void this.publish(), waitMs)
    this.#timer.unref()
  }

  /** Publishes what is durable now. Resolves when the witness has answered, too; never rejects: problems are reported. */
  async publish(): Promise<void> {
    while (this.#running) await this.#running
    this.#running = this.#publishOnce()
    await this.#running
  }

  /** Publishes what is durable now, signed by the log's key and by the one that takes its place. */
  async publishWith(successor: NoteSigner): Promise<void> {
    while (this.#running) await this.#running
    this.#successor = successor
    await this.publish()
  }

  async #publishOnce(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#lastMs = performance.now()
    const state = this.#settings.capture()
    try {
      await this.#writeTiles(state)
      await this.#sign(state)
      this.#problem = null
    } catch (error) {
      this.#settings.restore(state.filled)
      this.#problem = this.#reportOnce(this.#problem, `The log's tiles or checkpoint could not be written: ${messageOf(error)}.`)
    }
    await this.#askWitness(state)
    this.#running = null
    // Whatever came meanwhile, or did not work, is for the next time.
    if (this.#settings.size() > (this.#published?.size ?? -1) || this.#problem || this.#witnessProblem) this.poke()
  }

  async #writeTiles({ edge, bundle, filled, size }: TreeState): Promise<void> {
    const { tiles } = this.#settings
    for (const { tile, entries, mayExist } of filled) {
      if (tile.level === 0) await tiles.writeBundle(tile.index, entries, mayExist)
      await tiles.write(tile, mayExist)
    }
    if (size === this.#published?.size && this.#edgeWritten) return
    if (bundle.length > 0) await tiles.writeBundle(Math.floor(size / tileWidth), bundle, !this.#edgeWritten)
    for (const tile of edge) await tiles.write(tile, !this.#edgeWritten)
    this.#edgeWritten = true
  }

  async #sign({ size, root }: TreeState): Promise<void> {
    const successor = this.#successor
    this.#successor = null
    if (size === this.#published?.size && successor === null) return
    const { signer, system, directory } = this.#settings
    const checkpoint = { origin: signer.key.name, size, root }
    const own = signCheckpoint(checkpoint, signer)
    const text = successor === null ? own : joinNotes(own, signCheckpoint(checkpoint, successor))
    await replaceFile(system, directory, 'checkpoint', Buffer.from(text))
    this.#published = { size, text }
    for (const listener of this.#listeners) {
      try {
        listener(text)
      } catch (error) {
        this.#settings.report(`A listener of checkpoints failed: ${messageOf(error)}.`)
      }
    }
  }

  async #askWitness(state: TreeState): Promise<void> {
    const { witness } = this.#settings
    const published = this.#published
    if (!witness || published?.size !== state.size || this.#witnessed?.size === state.size) return
    try {
      await this.#cosign(witness, published, state, this.#witnessed?.size ?? 0, true)
      this.#witnessProblem = null
    } catch (error) {
      if (error instanceof WitnessRefusal && (error.reason === 'inconsistent' || (error.size ?? 0) > state.size)) {
        this.#settings.frozen(refusedByWitness(error, state.size))
        this.#stopped = true
      }
      this.#witnessProblem = this.#reportOnce(this.#witnessProblem, `The witness did not cosign: ${messageOf(error)}.`)
    }
  }

  /** Every try repeats a lasting problem; people hear of it when it changes. */
  #reportOnce(known: string | null, problem: string): string {
    if (known !== problem) this.#settings.report(problem)
    return problem
  }

  async #cosign(witness: Witness, published: Published, state: TreeState, oldSize: number, mayRetry: boolean): Promise<void> {
    const { tiles, system, directory } = this.#settings
    const proof = await consistencyProof(tiles.nodes(state.size, state.edge), oldSize, state.size)
    try {
      const signal = AbortSignal.timeout(this.#settings.witnessTimeoutMs)
      const answer = await witness.cosign({ oldSize, proof: proof.map(encodeBase64), checkpoint: published.text }, signal)
      const text = await this.#cosignFurther(cosigned(published.text, answer, witness), published, state)
      await replaceFile(system, directory, 'witnessed', Buffer.from(text))
      this.#witnessed = { size: state.size, text }
    } catch (error) {
      // It may hold what an earlier answer, lost on the way, said: then the proof begins there.
      const held = error instanceof WitnessRefusal && error.reason === 'stale' ? error.size : null
      if (!mayRetry || held === null || held === oldSize || held > state.size) throw error
      await this.#cosign(witness, published, state, held, false)
    }
  }

  async #cosignFurther(note: string, { text: checkpoint, size }: Published, state: TreeState): Promise<string> {
    const { further, tiles } = this.#settings
    if (further === null) return note
    const nodes = tiles.nodes(state.size, state.edge)
    const prove = (oldSize: number): Promise<readonly Hash[]> => consistencyProof(nodes, oldSize, size)
    const { text, cosigned: count, problems } = await further.cosigners.add(note, { size, checkpoint, prove })
    const missing =
      count + 1 < further.needed ? `Only ${count + 1} of ${further.needed} witnesses cosigned: ${problems.join('; ')}.` : null
    if (missing !== null) this.#furtherProblem = this.#reportOnce(this.#furtherProblem ?? '', missing)
    else this.#furtherProblem = null
    return text
  }

  /** Publishes the last of it and stays silent from then on. */
  async close(): Promise<void> {
    await this.publish()
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    while (this.#running) await this.#running
  }
}

/** Our checkpoint with the witness's signature, from lines or from a whole note. @throws Error when it is not a cosignature by its key */
function cosigned(checkpoint: string, answer: string, witness: Witness): string {
  try {
    const text = answer.startsWith('— ') ? addSignatures(checkpoint, answer) : answer
    const opened = openCheckpoint(text, [witness.key])
    if (isCosigned(opened.verdict) && opened.note.text === openCheckpoint(checkpoint, []).note.text) return text
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
  }
  throw new Error(`its answer is no cosignature of this checkpoint by ${formatVerifierKey(witness.key)}`)
}

function refusedByWitness(refusal: WitnessRefusal, size: number): SallyportError {
  const what =
    refusal.reason === 'stale'
      ? `The witness has seen ${refusal.size ?? 'more'} entries of this log, which has only ${size}`
      : 'The witness has seen another history of this log'
  return new SallyportError(
    'log_unavailable',
    `${what}: it is an old copy, or was changed.`,
    'Nothing was run, and nothing will be until a person has looked.',
    'Put back the log that the witness saw, or move this one aside and start a new log under a new origin.',
    { cause: refusal },
  )
}

/** One note with the signatures of two of the same text. */
function joinNotes(note: string, other: string): string {
  return addSignatures(note, other.slice(other.indexOf('\n\n') + 2))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error'
}

/** Where the checkpoints lie. */
export function checkpointPaths(directory: string): { readonly own: string; readonly witnessed: string } {
  return { own: join(directory, 'checkpoint'), witnessed: join(directory, 'witnessed') }
}
