import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { cloudFolder } from './account.ts'

/** Everything that reached the stand-in, byte for byte, so that what a gate says it sent can be compared with what arrived. */
export function evidenceFile(stateDirectory: string): string {
  return join(cloudFolder(stateDirectory), 'requests.jsonl')
}

/** Bytes of one connection that are held until its request ends; more are written as they are. */
const heldBytesMax = 4 * 1024 * 1024
/** Bytes of the file, at most; then the rest is counted, not kept. */
const fileBytesMax = 256 * 1024 * 1024

/** One line of the file. Tokens are in it, as sent: the file is for its owner only. */
export interface EvidenceLine {
  readonly atMs: number
  readonly connection: number
  /** `request`: up to the end of a request. `rest`: what came with no request around it, or before a connection broke. */
  readonly kind: 'request' | 'rest'
  readonly bytes: number
  readonly sha256: string
  /** Base64 of the exact bytes; null past the limit of the file. */
  readonly base64: string | null
}

export class Evidence {
  readonly #file: number
  readonly #nowMs: () => number
  #written = 0
  #connections = 0

  constructor(stateDirectory: string, nowMs: () => number) {
    this.#file = openSync(evidenceFile(stateDirectory), 'a', 0o600)
    this.#nowMs = nowMs
  }

  /** Listens to the bytes of a connection beside whoever reads it. Call the result whenever a request has ended. */
  watch(socket: Duplex): () => void {
    const connection = (this.#connections += 1)
    let chunks: Buffer[] = []
    let held = 0
    const cut = (kind: EvidenceLine['kind']): void => {
      const bytes = Buffer.concat(chunks)
      chunks = []
      held = 0
      if (bytes.length > 0) this.#write(connection, kind, bytes)
    }
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      held += chunk.length
      if (held > heldBytesMax) cut('rest')
    })
    socket.once('close', () => cut('rest'))
    return () => cut('request')
  }

  #write(connection: number, kind: EvidenceLine['kind'], bytes: Buffer): void {
    const fits = this.#written + bytes.length <= fileBytesMax
    const line: EvidenceLine = {
      atMs: this.#nowMs(),
      connection,
      kind,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      base64: fits ? bytes.toString('base64') : null,
    }
    this.#written += bytes.length
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}
