import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startGate, type TestGate } from '../servers/gate.ts'

const keyShape = z.object({ signing: z.base64(), content: z.base64(), witness: z.base64() })

let gate: TestGate
beforeAll(async () => {
  gate = await startGate({ postgres: null, agents: {} })
})
afterAll(() => gate.stop())

/** Which of these bytes lie anywhere in what a process can write to, as whoever is that process's user reads it. */
function searchMemory(pid: number, wanted: ReadonlyMap<string, Buffer>): ReadonlySet<string> {
  const found = new Set<string>()
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  const longest = Math.max(...[...wanted.values()].map(({ length }) => length))
  const piece = Buffer.alloc(4 << 20)
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from = '', to = ''] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
      if (from === '') continue
      const end = BigInt(`0x${to}`)
      for (let at = BigInt(`0x${from}`); at < end; at += BigInt(piece.length - longest)) {
        const bytes = readPages(memory, piece, at, end)
        for (const [name, needle] of wanted) if (piece.subarray(0, bytes).includes(needle)) found.add(name)
      }
    }
  } finally {
    closeSync(memory)
  }
  return found
}

/** A region may go away between looking and reading. */
function readPages(memory: number, piece: Buffer, at: bigint, end: bigint): number {
  const room = end - at < BigInt(piece.length) ? Number(end - at) : piece.length
  try {
    return readSync(memory, piece, 0, room, at)
  } catch {
    return 0
  }
}

/** As a program would hold it: raw, or written out in any of the usual ways. */
function formsOf(name: string, bytes: Buffer): readonly (readonly [string, Buffer])[] {
  const written = [bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex')]
  return [[`${name}, raw`, bytes], ...written.map((text) => [`${name}, as ${text.length} signs`, Buffer.from(text)] as const)]
}

describe('what lies in the memory of a gate', () => {
  it('is its credential for the vault, and no key of the vault’s', async () => {
    await gate.get('/api/v1/snapshots', z.unknown())
    const key = keyShape.parse(JSON.parse(readFileSync(join(gate.directory, 'vault', 'key'), 'utf8').split('\n')[0] ?? ''))
    const token = readFileSync(join(gate.directory, 'vault.token'), 'utf8').trim()
    const secret = (base64: string): Buffer => Buffer.from(base64, 'base64')
    const keys = new Map([
      ...formsOf('content key', secret(key.content)),
      ...formsOf('witness seed', secret(key.witness)),
      // The last 32 bytes of PKCS #8 are the seed itself.
      ...formsOf('signing seed', secret(key.signing).subarray(-32)),
    ])
    const found = searchMemory(gate.process.pid, new Map([...keys, ['credential', Buffer.from(token)]]))
    // That it is found shows that the search works; it seals and reads, and can do no more (packages/vault/src/attack.test.ts).
    expect([...found]).toEqual(['credential'])
    // Nor is the search blind to keys: the vault's own memory has them.
    expect(searchMemory(gate.vault.pid, keys).size).toBeGreaterThan(0)
  })
})
