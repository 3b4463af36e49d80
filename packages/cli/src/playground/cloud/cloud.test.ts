import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { waitUntil } from '../../../../../tests/fakes/own-processes.ts'
import { startChild, type Child } from '../../process-child.ts'
import { attachVolumes, readVolumes, tokenFile } from './account.ts'
import { authorityFile } from './certificate.ts'
import { evidenceFile } from './evidence.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-cloud-test-'))
const state = join(root, 'state')
let cloud: Child
let port: number

async function start(): Promise<void> {
  cloud = await startChild({
    name: 'cloud',
    command: process.execPath,
    args: [fileURLToPath(new URL('./main.ts', import.meta.url)), `--playground=${state}`],
    env: { PATH: process.env['PATH'] ?? '' },
    logFile: join(root, 'cloud.log'),
    readyTimeoutMs: 20_000,
    stopTimeoutMs: 5_000,
  })
  port = z.object({ port: z.number() }).parse(cloud.ready).port
}

/** Volumes on which no server runs: what they hold is only files. */
function attach(): { readonly production: string; readonly staging: string } {
  const folders = { production: join(root, 'production'), staging: join(root, 'staging') }
  for (const folder of Object.values(folders)) {
    mkdirSync(join(folder, 'data'), { recursive: true })
    writeFileSync(join(folder, 'data', 'rows'), 'rows')
  }
  const gone = 2 ** 22 - 1
  const { production, staging } = attachVolumes(
    state,
    { production: { folder: folders.production, guardianPid: gone }, staging: { folder: folders.staging, guardianPid: gone } },
    0,
  )
  return { production: production?.id ?? '', staging: staging?.id ?? '' }
}

let volumes: { readonly production: string; readonly staging: string }
beforeAll(async () => {
  mkdirSync(state, { recursive: true, mode: 0o700 })
  volumes = attach()
  await start()
})
afterAll(async () => {
  await cloud.stop()
  rmSync(root, { recursive: true, force: true })
})

const token = (name: 'gate' | 'domains'): string => readFileSync(tokenFile(state, name), 'utf8').trim()

interface Sent {
  readonly body?: string
  readonly bearer?: string | null
  readonly method?: string
  readonly path?: string
  readonly type?: string
}

function send({
  body = '',
  bearer = token('domains'),
  method = 'POST',
  path = '/graphql/v2',
  type = 'application/json',
}: Sent): Promise<{
  readonly status: number
  readonly json: unknown
}> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        servername: 'localhost',
        port,
        method,
        path,
        ca: readFileSync(authorityFile(state)),
        agent: false,
        headers: { 'content-type': type, ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }) },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) }))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

const ask = async (query: string, variables?: Record<string, unknown>): Promise<unknown> =>
  (await send({ body: JSON.stringify({ query, variables }) })).json

const evidence = (): readonly { readonly kind: string; readonly base64: string | null; readonly sha256: string }[] =>
  readFileSync(evidenceFile(state), 'utf8')
    .trim()
    .split('\n')
    .map((line) => z.object({ kind: z.string(), base64: z.string().nullable(), sha256: z.string() }).parse(JSON.parse(line)))

describe('who may ask', () => {
  test('both tokens may do everything; no token, a wrong one, one in another place: nothing', async () => {
    const query = JSON.stringify({ query: '{ me { email } }' })
    for (const name of ['gate', 'domains'] as const)
      expect((await send({ body: query, bearer: token(name) })).json).toMatchObject({ data: { me: {} } })
    for (const bearer of [null, 'wrong', `${token('gate')}x`, token('gate').slice(1), token('gate').toUpperCase()])
      expect((await send({ body: query, bearer })).json).toMatchObject({ errors: [{ message: 'Not Authorized' }] })
    expect((await send({ body: query, bearer: null, path: `/graphql/v2?token=${token('gate')}` })).status).toBe(404)
  })

  test('only over TLS by its own authority, and only on loopback', async () => {
    await expect(fetch(`https://localhost:${port}/graphql/v2`)).rejects.toThrow('fetch failed')
    await expect(fetch(`http://127.0.0.1:${port}/graphql/v2`)).rejects.toThrow('fetch failed')
    expect(statSync(join(state, 'secrets', 'cloud.ca.key')).mode & 0o777).toBe(0o600)
  })
})

describe('what it answers', () => {
  test('names, environments and mounts of volumes, as the real one nests them', async () => {
    const query = `query { projects { edges { node { id volumes { edges { node { id name
      volumeInstances { edges { node { mountPath sizeMB currentSizeMB environment { name } service { name } } } } } } } } } } }`
    const answer = JSON.stringify(await ask(query))
    expect(answer).toContain(volumes.production)
    expect(answer).toContain(volumes.staging)
    expect(answer).toContain('"name":"postgres-production-data"')
    expect(answer).toContain('"mountPath":"/var/lib/postgresql/data"')
  })

  test('unknown fields, wrong types and arguments, unreadable requests: errors, and nothing done', async () => {
    for (const query of [
      '{ volume(id: "x") { name } }',
      'mutation { volumeDelete }',
      'mutation { volumeDelete(volumeId: 1) }',
      '{',
      '',
    ]) {
      const { status, json } = await send({ body: JSON.stringify({ query }) })
      expect(status).toBe(400)
      expect(json).toMatchObject({ errors: [{}] })
    }
    expect((await send({ body: 'no json' })).status).toBe(400)
    expect((await send({ method: 'GET' })).status).toBe(405)
    expect((await send({ body: '[]' })).status).toBe(400)
    expect((await send({ body: JSON.stringify({ query: `{ ${'me { email } '.repeat(9_000)} }` }) })).status).toBe(400)
    expect((await send({ body: 'x'.repeat(2_000_000) })).status).toBe(413)
    expect(readVolumes(state).production?.id).toBe(volumes.production)
  })

  test('domains and variables, which is what the stray token was made for', async () => {
    const ids = z
      .object({
        project: z.object({ id: z.string() }),
        environments: z.record(z.string(), z.string()),
        services: z.record(z.string(), z.string()),
      })
      .parse(JSON.parse(readFileSync(join(state, 'cloud', 'account.json'), 'utf8')))
    const input = {
      domain: 'shop.example',
      projectId: ids.project.id,
      environmentId: ids.environments['staging'],
      serviceId: ids.services['staging'],
    }
    const created = await ask(`mutation ($input: CustomDomainCreateInput!) { customDomainCreate(input: $input) { id domain } }`, {
      input,
    })
    const id = z.object({ data: z.object({ customDomainCreate: z.object({ id: z.string() }) }) }).parse(created).data
      .customDomainCreate.id
    expect(await ask(`mutation { customDomainDelete(id: "${id}") }`)).toEqual({ data: { customDomainDelete: true } })
    expect(await ask(`mutation { customDomainDelete(id: "${id}") }`)).toMatchObject({
      errors: [{ message: 'CustomDomain not found' }],
    })
    const place = { projectId: input.projectId, environmentId: input.environmentId, serviceId: input.serviceId }
    const set = await ask(`mutation ($input: VariableUpsertInput!) { variableUpsert(input: $input) }`, {
      input: { ...place, name: 'PORT', value: '1' },
    })
    expect(set).toEqual({ data: { variableUpsert: true } })
  })

  test('a batch is answered item by item, aliases and fragments are run: what a gate must see through', async () => {
    const { json } = await send({ body: JSON.stringify([{ query: '{ me { email } }' }, { query: '{ nothing }' }]) })
    expect(json).toMatchObject([{ data: {} }, { errors: [{}] }])
    expect(await ask(`query { ...F } fragment F on Query { harmless: me { email } }`)).toMatchObject({ data: { harmless: {} } })
  })
})

describe('what it keeps', () => {
  test('every byte that arrived, as it arrived, for its owner only', async () => {
    const body = `{"query":"{ me { email } }","a":"\u00e4","a":1}`
    const raw = `POST /graphql/v2 HTTP/1.1\r\nHost: localhost\r\nhOsT-x: 1\r\nContent-Length: ${Buffer.byteLength(body)}\r\nAuthorization: Bearer ${token('gate')}\r\nConnection: close\r\n\r\n${body}`
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: readFileSync(authorityFile(state)) }, () => {
        socket.write(raw.slice(0, 30))
        setImmediate(() => socket.write(raw.slice(30)))
      })
      socket
        .resume()
        .once('close', () => resolve())
        .once('error', reject)
    })
    const kept = evidence().filter(({ base64 }) => Buffer.from(base64 ?? '', 'base64').toString() === raw)
    expect(kept).toMatchObject([{ kind: 'request', sha256: createHash('sha256').update(raw).digest('hex') }])
    expect(statSync(evidenceFile(state)).mode & 0o777).toBe(0o600)
  })

  test('garbage is kept too, and answered by nothing', async () => {
    await new Promise<void>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: readFileSync(authorityFile(state)) }, () =>
        socket.end('no HTTP at all\r\n\r\n'),
      )
      socket.on('error', () => undefined)
      socket.resume().once('close', () => resolve())
    })
    const isGarbage = ({ kind, base64 }: ReturnType<typeof evidence>[number]): boolean =>
      kind === 'rest' &&
      Buffer.from(base64 ?? '', 'base64')
        .toString()
        .startsWith('no HTTP')
    await waitUntil('the garbage to be kept', () => evidence().some(isGarbage), 5_000)
    expect(evidence().filter(isGarbage)).toHaveLength(1)
  })
})

describe('what it deletes', () => {
  test('a volume with all that lies on it, once; the other one stays; a new start gives a new volume', async () => {
    const remove = `mutation { volumeDelete(volumeId: "${volumes.production}") }`
    const answers = await Promise.all([ask(remove), ask(remove)])
    expect(answers.filter((one) => JSON.stringify(one) === '{"data":{"volumeDelete":true}}')).toHaveLength(1)
    expect(existsSync(join(root, 'production', 'data'))).toBe(false)
    expect(existsSync(join(root, 'staging', 'data', 'rows'))).toBe(true)
    expect(readFileSync(join(state, 'cloud', 'account.json'), 'utf8')).not.toContain(`"volume": "${volumes.production}"`)
    const next = attach()
    expect(next.production).not.toBe(volumes.production)
    expect(next.staging).toBe(volumes.staging)
  })

  test('a second start keeps authority and tokens', async () => {
    const before = [token('gate'), token('domains'), readFileSync(authorityFile(state), 'utf8')]
    await cloud.stop()
    await start()
    expect([token('gate'), token('domains'), readFileSync(authorityFile(state), 'utf8')]).toEqual(before)
    expect(await ask('{ me { email } }')).toMatchObject({ data: {} })
  })
})
