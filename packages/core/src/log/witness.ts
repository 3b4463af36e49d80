import type { VerifierKey } from './note-key.ts'

/**
 * Somebody else who remembers the last checkpoint, refuses one that is inconsistent with it, and cosigns (C2SP tlog-witness).
 * Everything is text, so that it can lie behind HTTP.
 */
export interface Witness {
  /** What its cosignatures are checked with. */
  readonly key: VerifierKey
  /**
   * Answers cosignature lines for a checkpoint, or with the note they were added to.
   * `oldSize` is the size the witness is thought to hold; `proof` the consistency proof from there, base64.
   * @throws WitnessRefusal when the witness answered no; anything else thrown means that it could not be asked
   */
  cosign(request: WitnessRequest, signal: AbortSignal): Promise<string>
  /** The last checkpoint it cosigned of this origin with its cosignature, or null when it has seen none. */
  latest(origin: string, signal: AbortSignal): Promise<string | null>
}

export interface WitnessRequest {
  readonly oldSize: number
  readonly proof: readonly string[]
  readonly checkpoint: string
}

/** The witness answered no. */
export class WitnessRefusal extends Error {
  /** `stale`: it holds another size than `oldSize`, given in `size`. `inconsistent`: it holds another history. */
  readonly reason: 'stale' | 'inconsistent'
  readonly size: number | null
  constructor(reason: 'stale' | 'inconsistent', size: number | null, message: string) {
    super(message)
    this.name = 'WitnessRefusal'
    this.reason = reason
    this.size = size
  }
}
