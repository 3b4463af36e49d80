import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect as connectPlain, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startPostgres, type PostgresServer } from '../../../../../tests/servers/postgres.ts'
import { bindToEndPoint } from '../../protocols/postgres/channel-binding.ts'
import { int32, sslCode } from '../../protocols/postgres/wire.ts'
import { connectTarget, type Connected } from './connect.ts'
import { readTarget } from './target.ts'

/** Somebody who sits between gate and server with a certificate of their own, where the URL asks for encryption and no proof. */

let folder: string
let server: PostgresServer

function makeCertificate(name: string, algorithm = 'sha256'): void {
  const files = ['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.pem`)]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', `-${algorithm}`, '-days', '2', '-subj', '/CN=x', ...files],
    {
      stdio: 'pipe',
    },
  )
  chmodSync(join(folder, `${name}.key`), 0o600)
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sp-binding-'))
  chmodSync(folder, 0o755)
  makeCertificate('server', 'sha384')
  makeCertificate('mallory')
  if (process.getuid?.() === 0) chownSync(join(folder, 'server.key'), Number(execFileSync('id', ['-u', 'postgres'])), 0)
  server = await startPostgres([
    'ssl=on',
    `ssl_cert_file=${join(folder, 'server.pem')}`,
    `ssl_key_file=${join(folder, 'server.key')}`,
  ])
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

const sslRequest = Buffer.concat([int32(8), int32(sslCode)])

/** Ends both sides' TLS and passes on what `change` makes of the server's words. */
async function sitBetween(change: (bytes: Buffer) => Buffer): Promise<{ readonly port: number; readonly server: Server }> {
  const between = createServer((near) => {
    near.on('error', () => undefined)
    near.once('data', () => {
      near.pause()
      near.write('S')
      const secureContext = createSecureContext({
        key: readFileSync(join(folder, 'mallory.key')),
        cert: readFileSync(join(folder, 'mallory.pem')),
      })
      relay(new TLSSocket(near, { isServer: true, secureContext }), change)
    })
  })
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', () => resolve()))
  const address = between.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, server: between }
}

function relay(near: TLSSocket, change: (bytes: Buffer) => Buffer): void {
  const plain: Socket = connectPlain(server.port, '127.0.0.1')
  plain.write(sslRequest)
  plain.once('data', () => {
    const far = connectTls({ socket: plain, rejectUnauthorized: false })
    near.on('data', (bytes: Buffer) => far.write(bytes))
    far.on('data', (bytes: Buffer) => near.write(change(bytes)))
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy())
      one.once('close', () => other.destroy())
    }
  })
}

function open(port: number): Promise<Connected> {
  const target = readTarget('orders', `postgres://postgres:test-superuser@127.0.0.1:${port}/postgres?sslmode=require`)
  const signal = new AbortController().signal
  return connectTarget('orders', target, { settings: new Map(), timeoutMs: 5_000, signal, weakAuthentication: false })
}

describe('channel binding towards the server', () => {
  test('an honest server with a certificate of another hash', async () => {
    const connected = await open(server.port)
    expect(connected.pid).toBeGreaterThan(0)
    connected.socket.destroy()
  })

  test.each([
    ['passes everything on', (bytes: Buffer) => bytes],
    [
      'hides that the server can bind',
      (bytes: Buffer) => {
        const at = bytes.indexOf('SCRAM-SHA-256-PLUS\0')
        if (at === -1) return bytes
        const rest = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 'SCRAM-SHA-256-PLUS\0'.length)])
        rest.writeInt32BE(rest.length - 1, 1)
        return rest
      },
    ],
  ])('somebody between who %s gets no session', async (_name, change) => {
    const between = await sitBetween(change)
    await expect(open(between.port)).rejects.toMatchObject({ code: 'upstream_unavailable' })
    between.server.close()
  })

  test('what a certificate gives to bind to, by the hash of its signature', () => {
    makeCertificate('old', 'sha1')
    const lengths = ['server', 'mallory', 'old'].map((name) => bindToEndPoint(readFileSync(join(folder, `${name}.pem`)))?.length)
    expect(lengths).toEqual([48, 32, 32])
    const files = ['-keyout', join(folder, 'ed.key'), '-out', join(folder, 'ed.pem')]
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', '/CN=x', ...files], {
      stdio: 'pipe',
    })
    expect(bindToEndPoint(readFileSync(join(folder, 'ed.pem')))).toBe(null)
  })
})
