import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'

/**
 * Stands for the gateway's process in tests of the command line: same flags, same ready line, an operator's API that remembers what was asked.
 * FAKE_GATEWAY: `broken` ends at once with 2 and five lines of mistakes; `slow` is never ready; `dies` ends when /die is fetched.
 */
const { values } = parseArgs({
  options: {
    config: { type: 'string' },
    state: { type: 'string' },
    'vault-socket': { type: 'string' },
    'vault-token-file': { type: 'string' },
    'isolation-level': { type: 'string' },
    'exit-with-parent': { type: 'boolean' },
    'accept-configuration': { type: 'boolean' },
    'own-configuration': { type: 'boolean' },
    check: { type: 'boolean' },
  },
})
const state = values.state ?? ''
const mode = process.env['FAKE_GATEWAY'] ?? ''
const end = (): never => process.exit(0)
if (values['exit-with-parent']) process.stdin.once('end', end).once('error', end).resume()
process.on('SIGTERM', end)

if (mode === 'broken') {
  for (let line = 1; line <= 5; line++) process.stderr.write(`${values.config}:${line}:1 mistake ${line}\n`)
  process.exit(2)
}

if (values.check) process.exit(0)

const tokenFile = join(state, 'operator.token')
if (!existsSync(tokenFile)) writeFileSync(tokenFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
const token = readFileSync(tokenFile, 'utf8').trim()

const bodyShape = z.object({ agent: z.string().optional(), ttlMs: z.number().optional(), snapshotId: z.string().optional() })
const handles = new Map<string, { agent: string; revoked: boolean }>()
const snapshot = {
  id: 'ab'.repeat(32),
  kind: 'tables',
  upstream: 'production',
  madeAtMs: 1_760_000_000_000,
  rows: 48_211,
  bytes: 1_000_000,
  checksums: { 'public.audit_log': 'cd' },
  retainUntilMs: 1_760_600_000_000,
}

async function answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
  const refusal = (status: number, code: string): { status: number; body: unknown } => ({
    status,
    body: { error: { code, message: `refused: ${code}`, notDone: 'Nothing was done.', next: 'Try another.' } },
  })
  if (request.headers.authorization !== `Bearer ${token}`) return refusal(401, 'authentication_failed')
  let text = ''
  for await (const chunk of request) text += String(chunk)
  const body = bodyShape.parse(JSON.parse(text === '' ? '{}' : text))
  const revoke = /^\/api\/v1\/handles\/([0-9a-f]+)\/revoke$/.exec(request.url ?? '')?.[1]
  if (revoke !== undefined) {
    const handle = handles.get(revoke)
    if (handle === undefined) return refusal(404, 'not_in_scope')
    handle.revoked = true
    return { status: 200, body: { revoked: [revoke] } }
  }
  switch (request.url ?? '') {
    case '/api/v1/handles': {
      if (body.agent === undefined || body.agent === 'nobody') return refusal(403, 'not_in_scope')
      const id = randomBytes(8).toString('hex')
      handles.set(id, { agent: body.agent, revoked: false })
      return {
        status: 200,
        body: { id, handle: `sp_${randomBytes(32).toString('base64url')}`, expiresAtMs: Date.now() + (body.ttlMs ?? 3_600_000) },
      }
    }
    case '/api/v1/snapshots':
      return { status: 200, body: { snapshots: [snapshot] } }
    case '/api/v1/undo':
      return {
        status: 200,
        body: { rows: snapshot.rows, tables: ['public.audit_log'], verified: body.snapshotId === snapshot.id, note: '' },
      }
    case '/api/v1/status':
      return { status: 200, body: {} }
    case '/handles':
      return { status: 200, body: { handles: [...handles.values()] } }
    case '/die':
      process.stderr.write('the fake gateway was told to die\n')
      process.exit(1)
    default:
      return refusal(404, 'not_supported')
  }
}

const server = createServer((request, response) => {
  void answer(request).then(({ status, body }) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
  )
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  const port = address === null || typeof address === 'string' ? 0 : address.port
  if (mode === 'slow') return
  const enrolmentUrl = `http://localhost:${port}/enrol#one-time-secret`
  process.stdout.write(
    `${JSON.stringify({ ready: true, controlUrl: `http://127.0.0.1:${port}`, postgresAddress: '127.0.0.1:6432', enrolmentUrl })}\n`,
  )
})
