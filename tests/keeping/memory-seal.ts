import { createHash } from 'node:crypto'
import type { Seal, SnapshotContent, SnapshotReader } from '@sallyport/core'

/** A seal that keeps its parts in memory, and what reads them back. */
export class MemorySeal implements Seal {
  readonly parts = new Map<string, Buffer>()

  async put({ name, bytes }: Parameters<Seal['put']>[0]): Promise<{ readonly sha256: string; readonly bytes: number }> {
    const pieces: Uint8Array[] = []
    for await (const piece of bytes) pieces.push(piece)
    const whole = Buffer.concat(pieces)
    if (this.parts.has(name)) throw new Error(`part ${name} is there already`)
    this.parts.set(name, whole)
    return { sha256: createHash('sha256').update(whole).digest('hex'), bytes: whole.length }
  }

  async *read(name: string): AsyncIterable<Uint8Array> {
    const part = this.parts.get(name)
    if (part === undefined) throw new Error(`there is no part ${name}`)
    for (let at = 0; at < part.length; at += 65_536) yield part.subarray(at, at + 65_536)
  }

  /** As the vault hands out what was sealed. */
  reader({ manifest, checksums }: SnapshotContent): SnapshotReader {
    return { manifest, checksums, read: (name) => this.read(name) }
  }
}
