import {
  addSignatures,
  type Checkpoint,
  cosignNote,
  decodeBase64,
  isSignedByLog,
  type NoteSigner,
  openCheckpoint,
  verifyConsistency,
  type VerifierKey,
  type Witness,
  WitnessRefusal,
  type WitnessRequest,
} from '@sallyport/core'

/** A witness as C2SP tlog-witness wants it, in memory. */
export class MemoryWitness implements Witness {
  readonly key: VerifierKey
  readonly #cosigner: NoteSigner
  readonly #logKey: VerifierKey
  held: { checkpoint: Checkpoint; text: string } | null = null
  unreachable = false
  loseAnswer = false

  constructor(cosigner: NoteSigner, logKey: VerifierKey) {
    this.key = cosigner.key
    this.#cosigner = cosigner
    this.#logKey = logKey
  }

  async cosign({ oldSize, proof, checkpoint: text }: WitnessRequest): Promise<string> {
    if (this.unreachable) throw new Error('connection refused')
    const { checkpoint, note, verdict } = openCheckpoint(text, [this.#logKey])
    if (!isSignedByLog(verdict)) throw new Error('not signed')
    const heldSize = this.held?.checkpoint.size ?? 0
    if (oldSize !== heldSize) throw new WitnessRefusal('stale', heldSize, `holds ${heldSize}`)
    const hashes = proof.map((item) => decodeBase64(item) ?? Buffer.alloc(0))
    const oldRoot = this.held?.checkpoint.root ?? null
    if (oldRoot && !verifyConsistency(oldSize, oldRoot, checkpoint.size, checkpoint.root, hashes))
      throw new WitnessRefusal('inconsistent', heldSize, 'other history')
    const lines = cosignNote(note.text, this.#cosigner, 1_700_000_000)
    this.held = { checkpoint, text: addSignatures(text, lines) }
    if (this.loseAnswer) throw new Error('connection reset')
    return lines
  }

  async latest(): Promise<string | null> {
    if (this.unreachable) throw new Error('connection refused')
    return this.held?.text ?? null
  }
}
