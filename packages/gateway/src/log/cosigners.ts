import {
  addSignatures,
  encodeBase64,
  formatSignatureLine,
  type Hash,
  isCosigned,
  LogFormatError,
  openCheckpoint,
  parseNote,
  type Witness,
  WitnessRefusal,
} from '@sallyport/core'

/** What a further witness is asked about: our signed checkpoint, and proofs to it from whatever it has seen last. */
export interface Asked {
  readonly size: number
  readonly checkpoint: string
  readonly prove: (oldSize: number) => Promise<readonly Hash[]>
}

interface Cosigner {
  readonly witness: Witness
  /** What it is thought to have seen. It says so itself when it is not. */
  seen: number
}

/**
 * Witnesses beside the first: each is asked for every checkpoint, each by itself. What they sign is added to the note; none of them can hold it up
 * longer than its time, and none is needed for another.
 */
export class Cosigners {
  readonly #cosigners: readonly Cosigner[]
  readonly #timeoutMs: number

  constructor(witnesses: readonly Witness[], timeoutMs: number) {
    this.#cosigners = witnesses.map((witness) => ({ witness, seen: 0 }))
    this.#timeoutMs = timeoutMs
  }

  /** The note with the cosignatures of all that answered, and why the others did not. */
  async add(
    note: string,
    asked: Asked,
  ): Promise<{ readonly text: string; readonly cosigned: number; readonly problems: readonly string[] }> {
    const answers = await Promise.all(this.#cosigners.map((one) => this.#ask(one, asked)))
    const lines = answers.flatMap((answer) => ('line' in answer ? [answer.line] : []))
    const problems = answers.flatMap((answer) => ('problem' in answer ? [answer.problem] : []))
    return { text: lines.reduce(addSignatures, note), cosigned: lines.length, problems }
  }

  async #ask(cosigner: Cosigner, asked: Asked): Promise<{ readonly line: string } | { readonly problem: string }> {
    const { name } = cosigner.witness.key
    try {
      return { line: await this.#cosign(cosigner, asked, true) }
    } catch (error) {
      return { problem: `${name}: ${error instanceof Error ? error.message : 'unknown error'}` }
    }
  }

  async #cosign(cosigner: Cosigner, asked: Asked, mayRetry: boolean): Promise<string> {
    const { witness, seen } = cosigner
    const proof = (await asked.prove(seen)).map(encodeBase64)
    const signal = AbortSignal.timeout(this.#timeoutMs)
    try {
      const answer = await witness.cosign({ oldSize: seen, proof, checkpoint: asked.checkpoint }, signal)
      const line = ownLine(asked.checkpoint, answer, witness)
      cosigner.seen = asked.size
      return line
    } catch (error) {
      const held = error instanceof WitnessRefusal && error.reason === 'stale' ? error.size : null
      if (!mayRetry || held === null || held === seen || held > asked.size) throw error
      cosigner.seen = held
      return this.#cosign(cosigner, asked, false)
    }
  }
}

/** The one line by this witness's key that is right for this checkpoint: whatever else it answered is left out. @throws Error when there is none */
function ownLine(checkpoint: string, answer: string, { key }: Witness): string {
  try {
    const text = answer.startsWith('— ') ? addSignatures(checkpoint, answer) : answer
    const { verdict, note } = openCheckpoint(text, [key])
    const own = note.signatures.find(({ name, keyId }) => name === key.name && keyId === key.id)
    if (own !== undefined && isCosigned(verdict) && note.text === parseNote(checkpoint).text)
      return formatSignatureLine(key, own.bytes)
  } catch (error) {
    if (!(error instanceof LogFormatError)) throw error
  }
  throw new Error('its answer is no cosignature of this checkpoint by its key')
}
