import { createServer, type Server } from 'node:http'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  emptyRoot,
  formatRotations,
  formatVerifierKey,
  isSignedByLog,
  noteSigner,
  openCheckpoint,
  signCheckpoint,
  signRotation,
  type NoteSigner,
} from '@sallyport/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runCommandLine } from '../../../tests/fakes/command-line.ts'

const origin = 'sallyport/0123456789abcdef'
const [old, next] = [noteSigner(origin, Buffer.alloc(32, 1)), noteSigner(origin, Buffer.alloc(32, 2))]

/** A witness that takes one key of this log, and has seen another size of it. */
let server: Server
let takes: NoteSigner
let folder: string
let asked: string[]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sp-log-witness-'))
  mkdirSync(join(folder, 'log'))
  asked = []
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (piece: Buffer) => (body += piece.toString()))
    request.on('end', () => {
      asked.push(`${request.method} ${request.url}`)
      const { verdict } = openCheckpoint(body.slice(body.indexOf('\n\n') + 2), [takes.key])
      response.writeHead(isSignedByLog(verdict) ? 409 : 403).end('7\n')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true, force: true })
})

function arrange(witnesses: readonly string[]): readonly string[] {
  const at = (name: string): string => join(folder, 'log', name)
  writeFileSync(at('keys'), `${formatVerifierKey(old.key)}\n`)
  writeFileSync(at('rotations'), formatRotations([signRotation(old, next, 0)]))
  writeFileSync(at('checkpoint'), signCheckpoint({ origin, size: 0, root: emptyRoot() }, next))
  const config = join(folder, 'sallyport.yaml')
  writeFileSync(config, JSON.stringify({ witnesses: { by: witnesses.map((url) => ({ url, key: 'w+00000000+AA' })) } }))
  return ['log', 'witness', join(folder, 'log'), '--config', config]
}

function url(): string {
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/prefix`
}

it('prints the key that came of the rotation, and tells who does not take it yet from who does', async () => {
  takes = old
  const words = arrange([url()])
  const before = await runCommandLine(words, { folder })
  expect(before).toMatchObject({ code: 1, output: expect.stringContaining(formatVerifierKey(next.key)) })
  expect(before.output).toContain('DOES NOT TAKE IT')
  takes = next
  const after = await runCommandLine([...words, '--json'], { folder })
  expect(after.code).toBe(0)
  expect(JSON.parse(after.output)).toEqual({ key: formatVerifierKey(next.key), witnesses: [{ url: url(), stands: 'knows' }] })
  expect(asked).toEqual(['POST /prefix/add-checkpoint', 'POST /prefix/add-checkpoint'])
})

it('asks nobody over a network in the clear, and says so', async () => {
  takes = next
  const said = await runCommandLine(arrange(['http://witness.example.com/prefix']), { folder })
  expect(said).toMatchObject({ code: 1, output: expect.stringContaining('could not be asked') })
  expect((await runCommandLine(arrange([]), { folder })).output).toContain('names no witness by URL')
})
