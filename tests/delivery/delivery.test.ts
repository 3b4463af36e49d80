import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { HttpInbox } from '../fakes/http-inbox.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { SlackServer } from '../servers/slack.ts'
import { patience } from '../stories/evidence.ts'

vi.setConfig(patience)

/** People and machines outside hear of everything, from a real gate that crashes, while their own server is down for a while. */
let folder: string
let postgres: PostgresServer
let gate: TestGate
const hook = new HttpInbox()
const telephone = new HttpInbox()
const slack = new SlackServer()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sp-delivery-'))
  const secretFile = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return `file:${join(folder, name)}`
  }
  await slack.listen()
  postgres = await startPostgres()
  gate = await startGate({
    postgres,
    wait: '0ms',
    deliver: {
      audit: {
        webhook: secretFile('hook', `http://127.0.0.1:${await hook.listen()}/in?token=hidden`),
        secret: secretFile('key', 'a secret'),
      },
      'on-call': { ntfy: secretFile('topic', `http://127.0.0.1:${await telephone.listen()}/topic`) },
      ops: {
        slack: secretFile('bot', 'xoxb-hidden'),
        app: secretFile('app', 'xapp-hidden'),
        channel: '#ops',
        api: slack.api,
      },
    },
    escalate: [{ ring: ['on-call'] }, { ring: ['ops'], after: '300ms' }],
  })
  await arrange(postgres, 'CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)')
})

afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
  await hook.close()
  await telephone.close()
  await slack.close()
  rmSync(folder, { recursive: true, force: true })
})

const told = z.object({ events: z.array(z.object({ index: z.number(), event: z.object({ type: z.string() }) })) })
const heard = (): readonly { index: number; type: string }[] =>
  hook.received.flatMap(({ body }) =>
    told.parse(JSON.parse(body)).events.map(({ index, event }) => ({ index, type: event.type })),
  )

it('what waits for people reaches their telephone with a link, before anybody looked', async () => {
  const agent = await gate.connect('coder')
  await agent.run('DROP TABLE orders')
  const request = await gate.pendingRequest('coder')
  await expect.poll(() => telephone.received.length).toBe(1)
  expect(JSON.parse(telephone.newest.body)).toMatchObject({
    topic: 'topic',
    priority: 4,
    click: `${gate.controlUrl}/requests/${request}`,
    message: expect.stringContaining('DROP TABLE orders'),
  })
  await agent.close()
})

it('whom nobody answers is rung next, in Slack, by a message that is changed when it was refused elsewhere', async () => {
  const request = await gate.pendingRequest('coder')
  await expect.poll(() => slack.callsOf('chat.postMessage').length).toBe(1)
  expect(JSON.stringify(slack.callsOf('chat.postMessage')[0]?.fields)).toContain('Nobody answered for')
  await expect.poll(() => slack.opened).toBe(1)
  const person = await gate.person('owner')
  await person.give(request, 'reject')
  await expect.poll(() => slack.callsOf('chat.update').length).toBe(1)
  expect(slack.callsOf('chat.update')[0]?.fields).toMatchObject({ channel: 'C1', ts: '1.1', text: 'Sallyport: rejected' })
  await expect.poll(() => telephone.received.length).toBe(2)
  const rings = gate.events().filter(({ type }) => type === 'request.rung')
  expect(rings.map(({ data }) => data['receivers'])).toEqual([['on-call'], ['ops']])
})

it('a receiver that was down, and a gate that crashed meanwhile, lose nothing; and nothing waits for either', async () => {
  const from = heard().at(-1)?.index ?? 0
  hook.answer = () => ({ status: 503 })
  const agent = await gate.connect('coder')
  for (let row = 2; row < 40; row += 1)
    expect(await agent.run(`INSERT INTO orders VALUES (${row})`)).toMatchObject({ sqlState: '00000' })
  await agent.close()
  await gate.crash()
  await gate.start()
  hook.answer = () => ({ status: 200 })
  const all = gate.events()
  await expect.poll(() => heard().at(-1)?.index ?? 0).toBeGreaterThanOrEqual(all.length - 1)
  const places = new Set(heard().map(({ index }) => index))
  for (let index = from; index < all.length; index += 1) expect(places.has(index), `event ${index}`).toBe(true)
  expect(heard().every(({ index, type }) => index >= all.length || all[index]?.type === type)).toBe(true)
})

it('a receiver that cannot be told is seen by whoever asks, and why; the other goes on', async () => {
  const shape = z.object({ deliveries: z.array(z.looseObject({ name: z.string(), failures: z.number() })) })
  const failing = async (name: string): Promise<number> =>
    (await gate.get('/api/v1/status', shape)).deliveries.find((one) => one.name === name)?.failures ?? -1
  hook.answer = () => ({ status: 503 })
  const agent = await gate.connect('coder')
  await expect.poll(() => failing('audit')).toBeGreaterThan(0)
  expect(await failing('on-call')).toBe(0)
  hook.answer = () => ({ status: 200 })
  await expect.poll(() => failing('audit')).toBe(0)
  await agent.close()
})

it('nothing that opens a door is in the log, or in what is told', () => {
  const everything = JSON.stringify([
    gate.events(),
    hook.received.map(({ body }) => body),
    telephone.received,
    slack.calls.map(({ fields }) => fields),
  ])
  expect(everything).not.toContain('hidden')
  expect(everything).not.toContain('a secret')
})
