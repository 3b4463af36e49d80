import { sha256Hex } from '../canonical.ts'

/** An agent's own text as a story carries it: hostile, to be fenced wherever it is shown. */
export interface StoryText {
  readonly text: string
  /** Of the text as the log holds it. */
  readonly characters: number
  /** SHA-256 of the whole text on the log, when this is not all of it; null when it is. */
  readonly sha256: string | null
}

/** Characters of one text in a story. The log itself holds up to 12 KiB of it. */
const textMax = 4_000

/** Bounds one text, and all texts of a story together. */
export class TextAllowance {
  #left: number

  constructor(charactersMax: number) {
    this.#left = charactersMax
  }

  take(text: string): StoryText {
    const kept = text.slice(0, Math.min(textMax, this.#left)).toWellFormed()
    this.#left -= kept.length
    const whole = kept.length === text.length
    return { text: kept, characters: text.length, sha256: whole ? null : sha256Hex(text.toWellFormed()) }
  }
}
