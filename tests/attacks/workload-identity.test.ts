import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { childEnvironment } from '../fakes/child-environment.ts'
import { startGate, type TestGate } from '../servers/gate.ts'
import { startIssuer, type Issuer } from '../servers/issuer.ts'
import { inDepth } from '../breadth.ts'

/** A CI job gets a handle for its issuer's token and holds no secret of ours; the real gate, over its real listener. */
const command = fileURLToPath(new URL('../../packages/cli/bin/sallyport.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'sp-workload-'))
const audience = 'https://gate.example'
const subject = 'repo:acme/shop:ref:refs/heads/main'
const good = { aud: audience, sub: subject, repository_id: '4711', event_name: 'push' }
let issuer: Issuer
let gate: TestGate
let github: Server
let token = ''

beforeAll(async () => {
  issuer = await startIssuer()
  const workload = { issuer: issuer.url, audience, subject, claims: { repository_id: '4711' }, authorities: issuer.authorityFile }
  const use = join(folder, 'token')
  writeFileSync(use, 'never-used-token-of-nobody\n', { mode: 0o600 })
  const api = {
    protocol: 'http',
    connector: 'railway',
    hosts: ['backboard.railway.com'],
    use: `file:${use}`,
    dial: '127.0.0.1:1',
  }
  const deploy = { owner: 'ada', may: ['read cloud'], workload }
  const agents = { deploy, other: { owner: 'ada', may: ['read cloud'] } }
  gate = await startGate({
    postgres: null,
    agents,
    apis: { cloud: api },
  })
  // As the runner of GitHub Actions answers.
  github = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost')
    const isJob = request.headers.authorization === 'Bearer runner-token' && searchParams.get('audience') === audience
    response.end(JSON.stringify({ value: isJob ? token : 'nothing' }))
  })
  await new Promise<void>((resolve) => github.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  github?.close()
  await gate?.stop()
  await issuer?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const answerShape = z.looseObject({ access_token: z.string(), handle: z.string(), expires_in: z.number() })

async function show(
  shown: string,
  over: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    client_id: 'deploy',
    subject_token: shown,
    ...over,
  })
  const answer = await fetch(`http://127.0.0.1:${gate.httpPort}/token`, { method: 'POST', body })
  return { status: answer.status, text: await answer.text() }
}

function run(
  words: readonly string[],
  input: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: unknown; out: string; said: string }> {
  const all = [command, 'handle', 'exchange', '--agent', 'deploy', '--gate', `http://127.0.0.1:${gate.httpPort}`, ...words]
  return new Promise((resolve) => {
    const child = execFile(process.execPath, all, { env: { ...childEnvironment(), ...environment } }, (error, out, said) =>
      resolve({ code: error?.code ?? 0, out, said }),
    )
    child.stdin?.end(input)
  })
}

test('a token gives a handle that works, once, over a restart too; what matched is on the log and the token nowhere', async () => {
  token = await issuer.sign({ ...good, jti: randomUUID() })
  const { status, text } = await show(token)
  expect(status).toBe(200)
  const made = answerShape.parse(JSON.parse(text))
  expect(made.expires_in).toBeLessThanOrEqual(300)
  const proxied = await fetch(`http://127.0.0.1:${gate.httpPort}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      client_id: 'deploy',
      subject_token: made.access_token,
      actor: 'part',
      scope: 'read:cloud',
    }),
  })
  expect(proxied.status).toBe(200)
  expect((await show(token)).status).toBe(403)
  await gate.crash()
  await gate.start()
  expect((await show(token)).status).toBe(403)
  const issued = gate.events().find(({ type, data }) => type === 'handle.issued' && data['handle'] === made.handle)
  expect(issued?.data).toMatchObject({
    by: `workload ${subject}`,
    workload: { issuer: issuer.url, subject, matched: { repository_id: '4711' } },
  })
  const written = JSON.stringify(gate.events())
  for (const part of [...token.split('.'), made.access_token.slice(3)]) expect(written).not.toContain(part)
})

test('whoever asks learns that it did not fit, and the log why; another agent gets nothing for it', async () => {
  const attempts: readonly (readonly [number, string, Readonly<Record<string, string>>])[] = [
    [403, await issuer.sign({ ...good, repository_id: '4712' }), {}],
    [403, await issuer.sign(good), { client_id: 'other' }],
    [403, await issuer.sign(good), { client_id: 'nobody' }],
    [501, await issuer.sign(good), { scope: 'read:cloud' }],
    [501, await issuer.sign(good), { subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' }],
    // A token is no handle, and a handle no token.
    [
      403,
      await issuer.sign(good),
      { subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', actor: 'part', scope: 'read:cloud' },
    ],
    [403, await gate.issue('deploy'), {}],
    [413, await issuer.sign({ ...good, filler: 'x'.repeat(16_000) }), {}],
  ]
  for (const [status, shown, over] of attempts) {
    const answer = await show(shown, over)
    expect([over, answer.status]).toEqual([over, status])
    expect(answer.text).not.toContain('repository_id')
  }
  await expect
    .poll(() => gate.events().flatMap(({ type, data }) => (type === 'door.refused' ? [JSON.stringify(data['why'])] : [])))
    .toContainEqual(expect.stringContaining('its claim repository_id is another'))
})

test.each(inDepth('sallyport handle exchange: from standard input, from a file, and from GitHub’s runner'))('%s', async () => {
  const piped = await run(['--json'], `${await issuer.sign({ ...good, jti: randomUUID() })}\n`)
  expect(piped).toMatchObject({ code: 0, said: '' })
  expect(z.object({ handle: z.string() }).parse(JSON.parse(piped.out)).handle).toMatch(/^sp_/)
  const file = join(folder, 'projected')
  writeFileSync(file, await issuer.sign({ ...good, jti: randomUUID() }))
  expect((await run(['--bare', '--token-file', file], '')).out).toMatch(/^sp_\S+\n$/)
  const address = github.address()
  const port = typeof address === 'object' ? address?.port : 0
  token = await issuer.sign({ ...good, jti: randomUUID() })
  const runner = {
    ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/x?api-version=1`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner-token',
  }
  expect((await run(['--bare', '--github', audience], '', runner)).out).toMatch(/^sp_\S+\n$/)
  const again = await run(['--bare', '--github', audience], '', runner)
  expect(again.code).toBe(4)
  expect(again.out + again.said).not.toContain(token.split('.')[1])
  expect((await run(['--github', audience], '')).code).toBe(2)
})
