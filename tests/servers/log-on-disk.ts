import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeEntry, decodeSegment, type Event } from '@sallyport/core'

/** The events of a log as they lie on the disk. Tests look again and again: what did not change is not decoded again. */
export class LogOnDisk {
  readonly #folder: string
  readonly #segments = new Map<string, { readonly bytes: Buffer; readonly events: readonly Event[] }>()

  constructor(directory: string) {
    this.#folder = join(directory, 'entries')
  }

  /** All of them, in order; needs no running gate. */
  events(): readonly Event[] {
    return readdirSync(this.#folder)
      .sort()
      .flatMap((name) => this.#read(join(this.#folder, name)))
  }

  #read(file: string): readonly Event[] {
    const bytes = readFileSync(file)
    const known = this.#segments.get(file)
    if (known?.bytes.equals(bytes) === true) return known.events
    const events = decodeSegment(bytes).groups.flatMap(({ entries }) => entries.map(decodeEntry))
    this.#segments.set(file, { bytes, events })
    return events
  }
}
