import { ProxyAgent, request } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import type { HttpPerson } from '../fakes/http-person.ts'
import { HttpStandIn, jsonAnswer, type ReceivedRequest } from '../fakes/http-upstream.ts'
import { cloudAgent, cloudUrl, startCloudGate, type CloudGate } from '../servers/cloud-gate.ts'
import { arrange, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { cancel, eventsOf, patience, readRequest, textOf } from '../stories/evidence.ts'
import { casesOf, inDepth } from '../breadth.ts'

vi.setConfig(patience)

/** What people approve with a delay: cancelled by anybody, else run by the gate itself when due, decided anew (DESIGN §3, delay). */

const volume = 'volume-1'
const realToken = 'real-token-of-the-account-1234567890'
const coolOffMs = 1_500

let cloud: CloudGate<HttpStandIn>
let postgres: PostgresServer
let standIn: HttpStandIn
let gate: TestGate
let ada: HttpPerson
/** What the stand-in does when the volume is to be deleted. */
let whenDeleted: () => Promise<void>
/** Every byte that arrived, over all tests. */
const arrived: string[] = []

const volumes = {
  data: {
    projects: {
      edges: [
        { node: { name: 'shop', volumes: { edges: [{ node: { id: volume, name: 'data', volumeInstances: { edges: [] } } }] } } },
      ],
    },
  },
}

function isDeletion({ body }: ReceivedRequest): boolean {
  return body.includes('volumeDelete')
}

beforeAll(async () => {
  postgres = await startPostgres()
  cloud = await startCloudGate({
    postgres,
    standIn: (leaf) => new HttpStandIn(leaf),
    realToken,
    mode: 'solo',
    coolOff: `${coolOffMs}ms`,
    agents: { [cloudAgent]: { owner: 'ada', may: ['any cloud'] } },
    tied: { [volume]: 'orders-db' },
  })
  ;({ gate, standIn } = cloud)
  await arrange(
    postgres,
    `CREATE TABLE orders (id int PRIMARY KEY, what text); INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 500) n`,
  )
  ada = await gate.person('ada')
})

afterAll(async () => {
  await cloud?.stop()
  await postgres?.stop()
})

beforeEach(() => {
  arrived.push(standIn.text())
  standIn.reset()
  whenDeleted = async () => undefined
  standIn.answer = (received) => {
    if (!isDeletion(received)) return jsonAnswer(volumes)
    return (socket) => {
      void whenDeleted().then(() => socket.write(jsonAnswer({ data: { volumeDelete: true } })))
    }
  }
})

const answerShape = z.object({
  data: z.unknown().optional(),
  errors: z
    .array(
      z.object({
        message: z.string(),
        extensions: z.object({ code: z.string(), status: z.string(), requestId: z.string().optional(), next: z.string() }),
      }),
    )
    .optional(),
})
type Answer = z.infer<typeof answerShape> & { readonly ranWhenDue: boolean }

async function ask(handle: string, query: string): Promise<Answer> {
  const agent = new ProxyAgent({
    uri: `http://${cloudAgent}:${handle}@127.0.0.1:${gate.httpPort}`,
    requestTls: { ca: cloud.authority },
  })
  try {
    const answer = await request(cloudUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
      dispatcher: agent,
    })
    const ranWhenDue = answer.headers['sallyport-ran'] === 'when-due'
    return { ...answerShape.parse(await answer.body.json()), ranWhenDue }
  } finally {
    await agent.close()
  }
}

/** Each its own text, so that no test finds the question of another. */
let count = 0
function deletion(): string {
  count += 1
  return `mutation Number${count} { volumeDelete(volumeId: "${volume}") }`
}

function requestOf(answer: Answer): string {
  const [error] = answer.errors ?? []
  expect(error?.extensions, error?.message).toMatchObject({ code: 'APPROVAL_REQUIRED', status: 'pending' })
  return error?.extensions.requestId ?? ''
}

async function approved(handle: string, query: string): Promise<string> {
  const id = requestOf(await ask(handle, query))
  await ada.approve(id)
  return id
}

const deletions = (): number => standIn.received.filter(isDeletion).length

async function waitForDoorNote(id: string): Promise<string> {
  const find = (): string | undefined =>
    eventsOf(gate, 'door.refused')
      .map((event) => textOf(event, 'why'))
      .find((why) => why.includes(id))
  await vi.waitFor(() => expect(find()).toBeDefined(), { timeout: 60_000, interval: 50 })
  return find() ?? ''
}

describe('a delayed approval', () => {
  it('is asked in the words of what lies on the volume, and the client is told that the gate will run it', async () => {
    const answer = await ask(await gate.issue('coder'), deletion())
    const id = requestOf(answer)
    expect(answer.errors?.[0]?.extensions.next).toContain('then the gate sends it by itself')
    const shown = await readRequest(gate, id)
    expect(shown.question).toMatchObject({ delayMs: coolOffMs, approvalsNeeded: 1, copy: 'tables' })
    expect(JSON.stringify(shown)).toContain('500')
    expect(deletions()).toBe(0)
  })

  it('cancelled during its delay, or approved before a kill that was released since, it never runs', async () => {
    const stopped: string[] = [await approved(await gate.issue('coder'), deletion())]
    expect(await cancel(gate, stopped[0] ?? '')).toBe(true)
    for (const kind of casesOf(['session', 'upstream', 'agent'] as const, 1)) {
      const id = await approved(await gate.issue('coder'), deletion())
      stopped.push(id)
      const { session } = await gate.get(`/api/v1/requests/${id}`, z.object({ session: z.string() }))
      const name = { session, upstream: 'cloud', agent: 'coder' }[kind]
      await gate.post('/api/v1/kill', { kind, id: name, reason: 'a test' }, z.unknown())
      const { kills } = await gate.get('/api/v1/kills', z.object({ kills: z.array(z.object({ id: z.string() })) }))
      for (const kill of kills) await ada.release(kill.id)
    }
    // Approved later, due later: when it has run, the others have had their time.
    const other = await approved(await gate.issue('coder'), deletion())
    await standIn.until(() => deletions() > 0)
    const ran = eventsOf(gate, 'intent').map((event) => event.data['request'])
    expect(ran).toContain(other)
    for (const id of stopped) expect(ran).not.toContain(id)
    expect(deletions()).toBe(1)
  })

  it('not cancelled, the gate copies, proves and sends it once, under locks that hold until the answer; the agent gets the answer once', async () => {
    const handle = await gate.issue('coder')
    const query = deletion()
    let locked: unknown = null
    whenDeleted = async () => {
      locked = await postgres.query(
        "SELECT mode FROM pg_locks WHERE relation = 'orders'::regclass AND granted AND mode = 'ShareLock'",
      )
    }
    const id = await approved(handle, query)
    await standIn.until(() => deletions() === 1)
    const again = await ask(handle, query)
    expect(locked).toEqual([{ mode: 'ShareLock' }])
    const intent = eventsOf(gate, 'intent').find((event) => event.data['request'] === id)
    expect(eventsOf(gate, 'snapshot.sealed').map((event) => event.data['snapshot'])).toContain(intent?.data['snapshot'])
    expect(again).toMatchObject({ data: { volumeDelete: true }, ranWhenDue: true })
    expect(deletions()).toBe(1)
    // Its answer was given: exactly the same once more is another question.
    expect(requestOf(await ask(handle, query))).not.toBe(id)
    expect(deletions()).toBe(1)
    const locks = "SELECT 1 FROM pg_locks WHERE relation = 'orders'::regclass AND pid <> pg_backend_pid()"
    await expect.poll(() => postgres.query(locks)).toEqual([])
  })

  it.each(inDepth('survives a crash of the gate during its delay'))('%s', async () => {
    const id = await approved(await gate.issue('coder'), deletion())
    await gate.crash()
    await gate.start()
    await ada.signIn()
    await standIn.until(() => deletions() === 1)
    expect(eventsOf(gate, 'intent').filter((event) => event.data['request'] === id)).toHaveLength(1)
  })

  it('runs for nobody whose handle was revoked', async () => {
    const { id: handleId, handle } = await gate.post(
      '/api/v1/handles',
      { agent: 'coder' },
      z.object({ id: z.string(), handle: z.string() }),
    )
    const id = await approved(handle, deletion())
    await gate.post(`/api/v1/handles/${handleId}/revoke`, {}, z.unknown())
    expect(await waitForDoorNote(id)).toContain('its handle is no longer in force')
    expect(deletions()).toBe(0)
  })

  it('is decided anew when due: what now lies elsewhere, or can no longer be copied, is not sent', async () => {
    const id = await approved(await gate.issue('coder'), deletion())
    await arrange(postgres, 'CREATE UNLOGGED TABLE fleeting (id int)')
    const find = (): readonly unknown[] =>
      eventsOf(gate, 'door.refused').filter((event) => textOf(event, 'peer').includes('the gate'))
    const before = find().length
    await vi.waitFor(() => expect(find().length).toBeGreaterThan(before), { timeout: 60_000, interval: 50 })
    expect(deletions()).toBe(0)
    expect(eventsOf(gate, 'intent').filter((event) => event.data['request'] === id)).toHaveLength(0)
    await arrange(postgres, 'DROP TABLE fleeting')
  })
})

it('the real token is in nothing that the log keeps or the client saw', () => {
  expect(JSON.stringify(gate.events())).not.toContain(realToken)
  expect(arrived.join('')).toContain(`Bearer ${realToken}`)
})
