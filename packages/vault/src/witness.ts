import { join } from 'node:path'
import {
  addSignatures,
  type Checkpoint,
  cosignNote,
  formatSignatureLine,
  formatVerifierKey,
  type Json,
  type NoteSigner,
  openCheckpoint,
  type OpenedCheckpoint,
  sha256Hex,
  verifyConsistency,
} from '@sallyport/core'
import { appendState, readEnd, readIfThere, replaceState, syncFolder, writeOnce } from './disk.ts'
import { VaultFailure } from './failure.ts'
import { witnessSigner } from './identity.ts'
import type { VaultKey } from './key.ts'
import { PinnedLogKey } from './pinned-log-key.ts'
import { parseHistoryEnd, parseWitnessRequest, writeHistoryLine } from './witness-text.ts'

export const checkpointBytesMax = 64 << 10
const historyEndBytes = 4096
/** The list of what was cosigned gets a line at most this often, so that it grows by no more than some 50 MB a year. */
const historyEveryMs = 60_000
/** Evidence is kept for people; a log that forks a thousand times is no clearer than one that forks once. */
const evidenceMax = 1_000

interface Held {
  readonly note: string
  readonly checkpoint: Checkpoint
}

/**
 * Remembers the last checkpoint of one log, cosigns only what provably extends it, and has it on disk before it answers (C2SP tlog-witness).
 * The log's key is pinned at first contact and replaced by a statement of its own alone. What does not fit is kept under `witness/evidence`.
 */
export class Witness {
  readonly #folder: string
  readonly #key: VaultKey
  readonly #signer: NoteSigner
  readonly #log: PinnedLogKey
  #held: Held | null = null
  #frozen: string | null = null
  #historyMs = Number.NEGATIVE_INFINITY
  #evidence = 0
  #turn: Promise<unknown> = Promise.resolve()

  constructor(folder: string, key: VaultKey) {
    this.#folder = folder
    this.#key = key
    this.#signer = witnessSigner(key)
    this.#log = new PinnedLogKey(this.#path())
  }

  /** Reads what was kept. What cannot be true (a checkpoint older than the list of those cosigned) freezes the witness, not the vault. */
  async load(): Promise<void> {
    try {
      await this.#log.load()
      const note = await readIfThere(this.#path('checkpoint'), checkpointBytesMax)
      const end = parseHistoryEnd(this.#key.publicKey, await readEnd(this.#path('history'), historyEndBytes))
      this.#held = note && this.#log.current ? this.#hold(note.toString('utf8')) : null
      const rolledBack = end && (!this.#held || end.size > this.#held.checkpoint.size)
      if ((note && !this.#log.current) || rolledBack)
        this.#frozen = 'the kept checkpoint is older than one this vault has cosigned'
    } catch (error) {
      this.#frozen =
        error instanceof Error
          ? `the kept checkpoint cannot be believed (${error.message})`
          : 'the kept checkpoint cannot be believed'
    }
  }

  state(): Json {
    return {
      key: formatVerifierKey(this.#signer.key),
      log: this.#log.current ? formatVerifierKey(this.#log.current) : null,
      size: this.#held?.checkpoint.size ?? null,
      checkpoint: this.#held?.note ?? null,
      frozen: this.#frozen,
    }
  }

  /** Remembers whose log this is. Only the first key is taken; the one in force again is fine. */
  async pin(text: string): Promise<Json> {
    return await this.#inTurn(async () => {
      await this.#log.pin(text)
      return this.state()
    })
  }

  /** Another key is in force from now on, because the one before says so. */
  async rotate(text: string): Promise<Json> {
    return await this.#inTurn(async () => {
      if (this.#frozen !== null) throw new VaultFailure('witness_frozen', `The witness takes no other key: ${this.#frozen}.`)
      await this.#log.rotate(text, this.#held?.checkpoint.size ?? 0)
      return this.state()
    })
  }

  /** The cosignature line for a checkpoint that extends the last one. `text` is the body of a C2SP add-checkpoint request. */
  async add(text: string, nowMs: number): Promise<string> {
    return await this.#inTurn(async () => {
      if (this.#frozen !== null)
        throw new VaultFailure('witness_frozen', `The witness cosigns nothing any more: ${this.#frozen}.`)
      const request = parseWitnessRequest(text)
      const opened = this.#log.read(request.note)
      await this.#checkKept()
      await this.#checkExtends(opened.checkpoint, request.oldSize, request.proof, text, nowMs)
      const line = cosignNote(opened.note.text, this.#signer, Math.floor(nowMs / 1000))
      await this.#keep(addSignatures(signedByLog(opened), line), opened.checkpoint, nowMs)
      return line
    })
  }

  async #checkExtends(
    next: Checkpoint,
    oldSize: number,
    proof: readonly Uint8Array[],
    text: string,
    nowMs: number,
  ): Promise<void> {
    const held = this.#held?.checkpoint
    const heldSize = held?.size ?? 0
    if (next.size < heldSize) {
      await this.#keepEvidence(text, nowMs)
      throw new VaultFailure('log_rolled_back', `size ${heldSize}`)
    }
    if (oldSize > next.size) throw new VaultFailure('bad_request', 'The old size is larger than that of the checkpoint.')
    if (held && next.size === heldSize && !Buffer.from(held.root).equals(next.root)) {
      await this.#keepEvidence(text, nowMs)
      throw new VaultFailure('log_forked', 'Another history of the same size was cosigned before.')
    }
    if (oldSize !== heldSize) throw new VaultFailure('witness_behind', `size ${heldSize}`)
    if (!held) {
      if (proof.length > 0) throw new VaultFailure('bad_request', 'A first checkpoint has no proof.')
      return
    }
    if (heldSize === 0 ? proof.length === 0 : verifyConsistency(heldSize, held.root, next.size, next.root, proof)) return
    await this.#keepEvidence(text, nowMs)
    throw new VaultFailure('log_forked', 'The checkpoint does not extend the last one that was cosigned.')
  }

  /** What lies on disk must be what is remembered: somebody who puts an older file back freezes the witness. */
  async #checkKept(): Promise<void> {
    const note = await readIfThere(this.#path('checkpoint'), checkpointBytesMax)
    if ((note?.toString('utf8') ?? null) === (this.#held?.note ?? null)) return
    this.#frozen = 'the kept checkpoint was changed on disk by somebody else'
    throw new VaultFailure('witness_frozen', `The witness cosigns nothing any more: ${this.#frozen}.`)
  }

  async #keep(note: string, checkpoint: Checkpoint, nowMs: number): Promise<void> {
    await replaceState(this.#path('checkpoint'), Buffer.from(note))
    this.#held = { note, checkpoint }
    if (nowMs - this.#historyMs < historyEveryMs) return
    await appendState(this.#path('history'), writeHistoryLine(this.#key, checkpoint))
    this.#historyMs = nowMs
  }

  async #keepEvidence(text: string, nowMs: number): Promise<void> {
    if (this.#evidence++ >= evidenceMax) return
    const said = `held:\n${this.#held?.note ?? 'nothing\n'}\noffered:\n${text}`
    const name = `evidence-${String(nowMs).padStart(16, '0')}-${sha256Hex(said)}`
    await writeOnce(this.#path(name), Buffer.from(said)).catch(() => undefined)
    await syncFolder(this.#path())
  }

  #hold(note: string): Held {
    const opened = openCheckpoint(note, [this.#signer.key])
    const own = opened.verdict.verified.some(({ key }) => key === this.#signer.key)
    if (opened.verdict.failed.length > 0 || !own || !this.#log.hasSigned(note))
      throw new VaultFailure('damaged', 'it lacks the signature of the log or of this vault')
    return { note, checkpoint: opened.checkpoint }
  }

  #path(...rest: readonly string[]): string {
    return join(this.#folder, 'witness', ...rest)
  }

  #inTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(job)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

/** The note with nothing but the log's own signatures: lines by others are not ours to keep. */
function signedByLog(opened: OpenedCheckpoint): string {
  const [first] = opened.verdict.verified
  const own = opened.note.signatures.filter((signature) => signature.name === first?.key.name && signature.keyId === first.key.id)
  return `${opened.note.text}\n${own.map((signature) => (first ? formatSignatureLine(first.key, signature.bytes) : '')).join('')}`
}
