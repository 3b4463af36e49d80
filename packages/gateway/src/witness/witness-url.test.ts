import { createServer, type Server } from 'node:http'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  cosignNote,
  decodeBase64,
  formatVerifierKey,
  isCosigned,
  isSignedByLog,
  noteSigner,
  openCheckpoint,
  parseNote,
  signatureTypes,
  verifyConsistency,
} from '@sallyport/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryWitness } from '../../../../tests/fakes/memory-witness.ts'
import { openLog } from '../log/file-log.ts'
import { openWitness } from './witness-url.ts'

const log = noteSigner('gate.example/log', Buffer.alloc(32, 7))
const vault = noteSigner('vault.example/w', Buffer.alloc(32, 3), signatureTypes.cosignature)
const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => undefined }

/** A witness as C2SP tlog-witness words it, and nothing of the gate's client: it holds one log. */
class UrlWitness {
  readonly signer = noteSigner('witness.example/w', Buffer.alloc(32, 9), signatureTypes.cosignature)
  readonly #server: Server
  seen: { readonly size: number; readonly root: Uint8Array } = { size: 0, root: Buffer.alloc(0) }
  /** Answers instead of looking. */
  forced: { readonly status: number; readonly body: string } | null = null
  readonly asked: string[] = []
  port = 0

  constructor() {
    this.#server = createServer((request, response) => {
      let body = ''
      request.on('data', (piece: Buffer) => (body += piece.toString()))
      request.on('end', () => {
        this.asked.push(`${request.method} ${request.url}`)
        const { status, text } = this.forced === null ? this.#look(body) : { status: this.forced.status, text: this.forced.body }
        response.writeHead(status, { 'content-type': status === 409 ? 'text/x.tlog.size' : 'text/plain' })
        response.end(text)
      })
    })
  }

  #look(body: string): { readonly status: number; readonly text: string } {
    const split = body.indexOf('\n\n')
    const [old = '', ...proofLines] = body.slice(0, split).split('\n')
    const note = body.slice(split + 2)
    const { checkpoint, verdict } = openCheckpoint(note, [log.key])
    if (!isSignedByLog(verdict)) return { status: 403, text: '' }
    if (old !== `old ${this.seen.size}`) return { status: 409, text: `${this.seen.size}\n` }
    const proof = proofLines.map((line) => decodeBase64(line) ?? Buffer.alloc(0))
    const isGrown =
      this.seen.size === 0
        ? proof.length === 0
        : verifyConsistency(this.seen.size, this.seen.root, checkpoint.size, checkpoint.root, proof)
    if (!isGrown) return { status: 422, text: '' }
    this.seen = checkpoint
    return { status: 200, text: cosignNote(parseNote(note).text, this.signer, 1_700_000_000) }
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    this.port = typeof address === 'object' && address !== null ? address.port : 0
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

let witness: UrlWitness
let folder: string
beforeEach(async () => {
  witness = new UrlWitness()
  await witness.listen()
  folder = mkdtempSync(join(tmpdir(), 'sp-witness-'))
})
afterEach(async () => {
  await witness.close()
  rmSync(folder, { recursive: true, force: true })
})

const settings = (): Parameters<typeof openWitness>[0] => ({
  url: `http://127.0.0.1:${witness.port}/prefix/`,
  key: formatVerifierKey(witness.signer.key),
})

async function openWitnessed(first: MemoryWitness, needed = 2): Promise<Awaited<ReturnType<typeof openLog>>> {
  const further = { witnesses: [openWitness(settings())], needed }
  return openLog({ directory: join(folder, 'log'), signer: log, clock, witness: first, further, checkpointEveryMs: 1 })
}

describe('a witness by URL', () => {
  it('cosigns beside the first one, and goes on where it was after a restart', async () => {
    const first = new MemoryWitness(vault, log.key)
    const opened = await openWitnessed(first)
    await opened.append({ type: 'intent', atMs: 1, data: {} })
    await opened.publish()
    const keys = [log.key, first.key, witness.signer.key]
    const seen = openCheckpoint(opened.witnessed() ?? '', keys)
    expect(seen.verdict.verified.map(({ key }) => key.name).toSorted()).toEqual(keys.map(({ name }) => name).toSorted())
    expect(isSignedByLog(seen.verdict) && isCosigned(seen.verdict)).toBe(true)
    expect(opened.health().problem).toBeNull()
    expect(new Set(witness.asked)).toEqual(new Set(['POST /prefix/add-checkpoint']))
    await opened.close()
    expect(readFileSync(join(folder, 'log', 'keys'), 'utf8')).toContain(formatVerifierKey(witness.signer.key))
    // The gate has forgotten what this one has seen, and is told.
    const again = await openWitnessed(first)
    for (let count = 0; count < 300; count += 1) await again.append({ type: 'intent', atMs: 1, data: { count } })
    await again.publish()
    expect(witness.seen.size).toBe(again.size())
    expect(openCheckpoint(again.witnessed() ?? '', keys).verdict.verified).toHaveLength(3)
    await again.close()
  })

  it('that does not answer, or answers nonsense, holds nothing up, and is told of where it is needed', async () => {
    for (const forced of [
      { status: 500, body: '' },
      { status: 200, body: 'nonsense' },
      { status: 200, body: '— witness.example/w AAAAAAAA\n' },
      { status: 409, body: 'x' },
      { status: 404, body: '' },
      { status: 422, body: '' },
    ]) {
      witness.forced = forced
      const first = new MemoryWitness(vault, log.key)
      const opened = await openWitnessed(first)
      await opened.append({ type: 'intent', atMs: 1, data: {} })
      await opened.publish()
      expect(opened.health(), JSON.stringify(forced)).toMatchObject({ state: 'ok', witnessedSize: opened.size() })
      expect(opened.health().problem).toMatch(/Only 1 of 2 witnesses cosigned: witness\.example\/w: /)
      await opened.close()
      rmSync(join(folder, 'log'), { recursive: true })
    }
  })

  it('is reached by https:, or on this machine, and has a key of a witness', () => {
    for (const url of ['http://witness.example/', 'ftp://127.0.0.1/', 'x'])
      expect(() => openWitness({ ...settings(), url })).toThrow(/https:/)
    for (const key of ['x', formatVerifierKey(log.key)])
      expect(() => openWitness({ ...settings(), key })).toThrow(/cosignature key/)
  })
})
