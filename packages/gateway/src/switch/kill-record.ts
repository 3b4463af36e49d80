import { closeSync, constants, fdatasyncSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { KillOrder, RecordLine } from './order.ts'

/** Emptied when it is longer and nothing in it is open. */
const tidyBytes = 64 * 1024
/**
 * Kills as the switch's own thread writes them down: one JSON line each, durable before it is acknowledged, and a line `settled` once the store
 * has it too. So a crash between the two loses none.
 */
export class KillRecord {
  readonly #file: number
  readonly #open = new Set<number>()
  #bytes = 0

  /** Begins anew: whoever opens it has carried out what `readRecord` gave. */
  constructor(path: string) {
    this.#file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
    this.#empty()
    const folder = openSync(dirname(path), constants.O_RDONLY)
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  }

  /** Durable when it returns. */
  write(number: number, order: KillOrder): void {
    this.#open.add(number)
    this.#append({ number, order })
    fdatasyncSync(this.#file)
  }

  /** Not awaited by anybody: whatever a crash takes of it is carried out again. */
  settle(number: number): void {
    this.#open.delete(number)
    if (this.#open.size === 0 && this.#bytes > tidyBytes) this.#empty()
    else this.#append({ settled: number })
  }

  #append(line: RecordLine): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    for (let written = 0; written < bytes.length;) {
      written += writeSync(this.#file, bytes, written, bytes.length - written, this.#bytes + written)
    }
    this.#bytes += bytes.length
  }

  #empty(): void {
    ftruncateSync(this.#file, 0)
    fdatasyncSync(this.#file)
    this.#bytes = 0
  }

  close(): void {
    closeSync(this.#file)
  }
}
