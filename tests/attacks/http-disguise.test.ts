import { createHash, randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { casesOf, inDepth } from '../breadth.ts'
import { basicOf, readAnswer } from '../fakes/http-gate.ts'
import { GraphqlStandIn, volume } from '../fakes/graphql-stand-in.ts'
import type { ReceivedRequest } from '../fakes/http-upstream.ts'
import { cloudAgent, cloudHost, startCloudGate, type CloudGate } from '../servers/cloud-gate.ts'
import { arrange } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { cancel, eventsOf, patience, readRequest, textOf } from '../stories/evidence.ts'
import { disguises, type Fate } from './http-disguises.ts'

vi.setConfig(patience)

/** Issue 3, item 4: each attack is decided as what it is, or refused; what arrives is exactly what was decided, or nothing. */

const realToken = `real-${randomUUID()}`
let postgres: PostgresServer
let cloud: CloudGate<GraphqlStandIn>
let handle: string

beforeAll(async () => {
  postgres = await startPostgres()
  cloud = await startCloudGate({
    postgres,
    realToken,
    standIn: (leaf) => new GraphqlStandIn(leaf),
    tied: { [volume]: 'orders-db' },
    agents: {
      [cloudAgent]: { owner: 'ada', may: ['any cloud'] },
      reader: { owner: 'ada', may: ['read cloud'] },
    },
  })
  await arrange(postgres, 'CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 500)')
  handle = await cloud.gate.issue(cloudAgent)
})

afterAll(async () => {
  await cloud?.stop()
  await postgres?.stop()
})

beforeEach(() => cloud.standIn.reset())

const graphqlShape = z.object({
  errors: z.array(z.object({ extensions: z.object({ code: z.string(), requestId: z.string().optional() }) })),
})
const problemShape = z.object({ code: z.string(), requestId: z.string().optional() })

/** What the client was told, whichever way it was said. */
function readRefusal(body: string): { readonly code: string; readonly requestId: string } | null {
  const value: unknown = body.startsWith('{') ? JSON.parse(body) : null
  const said = graphqlShape.safeParse(value).data?.errors[0]?.extensions ?? problemShape.safeParse(value).data
  return said === undefined ? null : { code: said.code.toLowerCase(), requestId: said.requestId ?? '' }
}

/** The gate asks by itself what a volume is; no byte of that is an agent's. */
function isOwnQuestion({ body }: ReceivedRequest): boolean {
  const asked = z.object({ query: z.string(), operationName: z.literal('Volumes') }).safeParse(readJson(body))
  return asked.success && !asked.data.query.includes('mutation')
}

function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return null
  }
}

/** What the log says was decided: whole digests of writes, the first half of those of reads. */
function decided(): readonly string[] {
  const writes = eventsOf(cloud.gate, 'intent').map((event) => textOf(event, 'bytesSha256').slice(0, 32))
  return [...writes, ...eventsOf(cloud.gate, 'statement').map((event) => textOf(event, 'statement'))]
}

async function expectDecidedBytes(received: readonly ReceivedRequest[]): Promise<void> {
  const { standIn } = cloud
  const whole = Buffer.concat(standIn.received.map(({ bytes }) => bytes))
  expect(Buffer.concat(standIn.bytes).equals(whole), 'nothing but whole requests').toBe(true)
  for (const { bytes } of received) {
    const line = `authorization: Bearer ${realToken}\r\n`
    const text = bytes.toString('latin1')
    expect(text.split(line)).toHaveLength(2)
    const digest = createHash('sha256').update(text.replace(line, ''), 'latin1').digest('hex')
    await vi.waitFor(() => expect(decided()).toContain(digest.slice(0, 32)), { timeout: 60_000 })
  }
}

async function expectFate(fate: Fate, refusal: ReturnType<typeof readRefusal>, what: string): Promise<void> {
  if (fate === 'read') return expect(refusal, what).toBeNull()
  expect(refusal, what).not.toBeNull()
  const { code = '', requestId = '' } = refusal ?? {}
  if (fate === 'refused') {
    expect(requestId).toBe('')
    return expect(['protocol_violation', 'not_supported', 'too_large', 'unreadable'], what).toContain(code)
  }
  if (fate === 'no copy') return expect(code, what).toBe('no_copy_possible')
  expect(code, what).toBe('approval_required')
  const { question } = await readRequest(cloud.gate, requestId)
  await cancel(cloud.gate, requestId)
  expect(question.approvalsNeeded).toBeGreaterThan(0)
  const kinds = question.operations.map(({ action, kind }) => `${action} ${kind}`)
  if (fate === 'deletion') expect(kinds, what).toContain('railway.volumeDelete destroy')
  else
    expect(
      kinds.filter((kind) => / (unknown|destroy|escalate)$/.test(kind)),
      what,
    ).not.toEqual([])
}

describe('a deletion in disguise', () => {
  it.each(casesOf(disguises, 12))('%s: %s', async (_name, fate, bytes) => {
    const answer = await cloud.raw(handle, bytes)
    const what = answer.text.slice(0, 600)
    expect(answer.text).not.toContain(realToken)
    expect(answer.status, what).toBeGreaterThanOrEqual(200)
    await expectFate(fate, readRefusal(answer.body.trim()), what)
    const received = cloud.standIn.received.filter((one) => !isOwnQuestion(one))
    expect(received).toHaveLength(fate === 'read' ? 1 : 0)
    await expectDecidedBytes(received)
    expect(cloud.standIn.deleted).toEqual([])
  })

  it('there are as many as promised', () => {
    expect(disguises.length).toBeGreaterThanOrEqual(60)
    expect(new Set(disguises.map(([name]) => name)).size).toBe(disguises.length)
  })

  it('for whom it is out of scope it is out of scope in every disguise, and nobody is asked', async () => {
    const reader = await cloud.gate.issue('reader')
    const opened = eventsOf(cloud.gate, 'request.opened').length
    for (const [name, fate, bytes] of disguises.filter(([, each]) => each === 'deletion' || each === 'no copy')) {
      const socket = await cloud.tunnelAs('reader', reader)
      const refusal = readRefusal((await readAnswer(socket, bytes)).body.trim())
      expect(refusal, `${name} ${fate}`).toMatchObject({ code: 'not_in_scope', requestId: '' })
    }
    expect(eventsOf(cloud.gate, 'request.opened')).toHaveLength(opened)
    expect(cloud.standIn.received.filter((one) => !isOwnQuestion(one))).toEqual([])
  })

  it('SNI against CONNECT: no byte goes on, and an alarm rings', async () => {
    const before = eventsOf(cloud.gate, 'alarm').length
    const socket = connect({ host: '127.0.0.1', port: cloud.gate.httpPort })
    const basic = basicOf(handle, cloudAgent)
    socket.write(`CONNECT ${cloudHost}:443 HTTP/1.1\r\nHost: ${cloudHost}:443\r\nProxy-Authorization: ${basic}\r\n\r\n`)
    await new Promise<void>((resolve) => socket.once('data', () => resolve()))
    const secured = connectTls({ socket, servername: 'other.test', ca: cloud.authority, checkServerIdentity: () => undefined })
    const [, , bytes] = disguises[0] ?? ['', 'refused', Buffer.alloc(0)]
    expect((await readAnswer(secured, bytes)).text).toBe('')
    await vi.waitFor(() => expect(eventsOf(cloud.gate, 'alarm').length).toBe(before + 1), { timeout: 60_000 })
    expect(eventsOf(cloud.gate, 'alarm').at(-1)?.data).toMatchObject({ kind: 'authority_mismatch', said: 'other.test' })
    expect(cloud.standIn.bytes).toEqual([])
  })

  it.each(inDepth('sent past the gate, at least 40 of them delete the volume'))('%s', async () => {
    const { standIn } = cloud
    const deadly: string[] = []
    // A stand-in reads only whole requests: what is broken on the wire it would not get through with.
    for (const [name, , bytes] of disguises.filter(([, fate]) => fate !== 'refused')) {
      standIn.reset()
      const direct = connectTls({ host: '127.0.0.1', port: standIn.port, servername: cloudHost, rejectUnauthorized: false })
      await readAnswer(direct, bytes)
      if (standIn.deleted.length > 0) deadly.push(name)
    }
    expect(deadly.length, deadly.join('; ')).toBeGreaterThanOrEqual(40)
  })
})
