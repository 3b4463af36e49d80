import { sha256Hex, type Seal, type SealPart, type SnapshotContent, type SnapshotReader } from '@sallyport/core'

/** A vault in memory: each part written once. `tamper` changes what is read back. */
export class MemorySeal implements Seal {
  readonly parts = new Map<string, Buffer>()
  tamper: (name: string, bytes: Buffer) => Buffer = (_, bytes) => bytes

  async put(part: SealPart): Promise<{ readonly sha256: string; readonly bytes: number }> {
    if (this.parts.has(part.name)) throw new Error(`${part.name} is sealed already`)
    const chunks: Uint8Array[] = []
    for await (const chunk of part.bytes) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    this.parts.set(part.name, bytes)
    return { sha256: sha256Hex(bytes), bytes: bytes.length }
  }

  async *read(name: string): AsyncIterable<Uint8Array> {
    const bytes = this.parts.get(name)
    if (!bytes) throw new Error(`${name} is not in the vault`)
    const shown = this.tamper(name, bytes)
    for (let at = 0; at < shown.length; at += 65_536) yield shown.subarray(at, at + 65_536)
  }

  reader(content: SnapshotContent): SnapshotReader {
    return { manifest: content.manifest, checksums: content.checksums, read: (name) => this.read(name) }
  }
}
