import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { HttpAccess, KillSwitch, Upstream } from '@sallyport/core'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { putBackData, startPlaygroundServer } from '../../packages/cli/src/playground/server.ts'
import { startPlayground, type Playground } from '../../packages/cli/src/playground/playground.ts'
import { describe as describeRequest } from '../../packages/connectors/src/railway/describe.ts'
import { resolve } from '../../packages/connectors/src/railway/resolve.ts'
import { restore } from '../../packages/connectors/src/railway/restore.ts'
import { snapshot } from '../../packages/connectors/src/railway/snapshot.ts'
import { openPostgresUpstreams } from '../../packages/gateway/src/upstreams/postgres/index.ts'
import { MemorySeal } from '../fakes/memory-seal.ts'

/** The incident's end, without the gate between: the stand-in really deletes, and the copy really brings back. */

const root = mkdtempSync(join(tmpdir(), 'sallyport-volume-test-'))
const state = join(root, 'state')
let playground: Playground

beforeAll(async () => {
  chmodSync(root, 0o711)
  playground = await startPlayground({ stateDirectory: state, anchor: new Date(0), postgresPort: 0, controlPort: 0 })
})
afterAll(async () => {
  await playground.server.stop()
  rmSync(root, { recursive: true, force: true })
})

interface Answer {
  readonly status: number
  readonly body: Buffer
}

function ask(method: string, path: string, body: Uint8Array | null, token: string): Promise<Answer> {
  const { cloud } = playground
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        servername: 'localhost',
        port: cloud.port,
        method,
        path,
        ca: readFileSync(cloud.authorityFile),
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }))
      },
    )
    sent.on('error', reject)
    sent.end(body ?? undefined)
  })
}

const stray = (): string => readFileSync(playground.cloud.strayTokenFile, 'utf8').trim()

async function graphql(query: string, token = stray()): Promise<unknown> {
  return JSON.parse((await ask('POST', '/graphql/v2', Buffer.from(JSON.stringify({ query })), token)).body.toString())
}

const killSwitch: KillSwitch = { epoch: () => 0, epochOf: () => 0, stopped: () => null }
const secret = (name: string): string => readFileSync(join(state, 'secrets', name), 'utf8').trim()

async function checksums(): Promise<unknown> {
  const client = new pg.Client({ connectionString: secret('production.use') })
  await client.connect()
  try {
    const tables = ['categories', 'staff', 'customers', 'products', 'orders', 'order_items', 'payments', 'audit_log']
    const sums = tables.map((table) => `(SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM ${table} t)`)
    return (await client.query({ text: `SELECT ${sums.join(', ')}`, rowMode: 'array' })).rows
  } finally {
    await client.end()
  }
}

interface Tied {
  readonly upstream: Upstream
  end(commit: boolean): Promise<void>
  close(): void
}

function openTied(): Promise<Tied> {
  const settings = {
    name: 'production',
    environment: 'production' as const,
    useUrl: secret('production.use'),
    protectUrl: secret('production.protect'),
  }
  return openPostgresUpstreams([settings], killSwitch).openProtected('production')
}

/** The cloud as the gate sees it: asked with its own token, and its volume tied to the database. */
function cloudUpstream(tied: Upstream): Upstream {
  const access: HttpAccess = {
    kind: 'http',
    ask: (method, path, _, body) => ask(method, path, body, secret('cloud.gate.token')),
    tied: async (type, id) => (type === 'volume' && id === playground.cloud.ids.volumes.production ? tied : null),
  }
  return { name: 'railway', identity: 'account', environment: 'production', access }
}

function describeDeletion(volume: string): ReturnType<typeof describeRequest> {
  const body = JSON.stringify({ query: `mutation { volumeDelete(volumeId: "${volume}") }` })
  const url = 'https://backboard.railway.com/graphql/v2'
  return describeRequest(
    { method: 'POST', url, headers: { 'content-type': 'application/json' }, body },
    { describe: async () => [] },
  )
}

test('a token for domains deletes the database; what the gate copied before brings every row back', async () => {
  const volume = playground.cloud.ids.volumes.production
  const data = join(state, 'playground', 'data')
  const before = await checksums()
  const tied = await openTied()
  const upstream = cloudUpstream(tied.upstream)
  const described = await describeDeletion(volume)
  expect(described).toMatchObject([{ action: 'railway.volumeDelete', resources: [{ type: 'volume', name: volume }] }])

  const resolved = await resolve(described, upstream)
  expect(resolved[0]).toMatchObject({
    resources: [{ name: `postgres-production-data (${volume})`, identity: volume }],
    impact: { kind: 'destroy', reversible: false, scope: { rows: 184_000, exact: true } },
    copy: { kind: 'tables' },
    context: { irreversibleDespiteCopy: true },
  })
  expect(resolved[0]?.why).toContain(`this volume carries production's database production ("production"), 184,000 rows`)
  expect(resolved[0]?.impact.scope?.dependants).toEqual([
    'mounted at /var/lib/postgresql/data by postgres-production in production, 5,000 MB',
  ])

  const seal = new MemorySeal()
  const started = performance.now()
  const content = await snapshot(resolved, upstream, seal)
  const copiedMs = performance.now() - started
  expect(content).toMatchObject({ kind: 'tables', rows: 184_000 })
  expect(Object.keys(content.checksums)).toHaveLength(8)

  expect(await graphql(`mutation { volumeDelete(volumeId: "${volume}") }`)).toEqual({ data: { volumeDelete: true } })
  // The locks went with the server that held them.
  await expect(tied.end(false)).rejects.toMatchObject({ code: 'upstream_unavailable' })
  tied.close()
  expect(() => statSync(data)).toThrow('ENOENT')
  await expect(checksums()).rejects.toThrow('ECONNREFUSED')
  expect(await graphql(`mutation { volumeDelete(volumeId: "${volume}") }`)).toMatchObject({
    errors: [{ message: 'Volume not found' }],
  })

  const again = performance.now()
  const restored = await restore(seal.reader(content), upstream, () => undefined)
  const restoredMs = performance.now() - again
  expect(restored).toMatchObject({ rows: 184_000, verified: true })
  const place = /lies in (\S+):/.exec(restored.note)?.[1] ?? ''
  putBackData(state, 'production', place)
  rmSync(dirname(dirname(place)), { recursive: true, force: true })
  const server = await startPlaygroundServer(state, 'production')
  try {
    expect(await checksums()).toEqual(before)
  } finally {
    await server.child.stop()
  }
  process.stdout.write(
    `copied and proven in ${Math.round(copiedMs)} ms, ${content.bytes} bytes; put back and compared in ${Math.round(restoredMs)} ms\n`,
  )
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith('sallyport-restored-'))).toEqual([])
})
