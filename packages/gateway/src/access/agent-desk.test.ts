import { expect, test } from 'vitest'
import { impactKinds, type Event, type Handle, type KillSwitch, type Log } from '@sallyport/core'
import { openDatabase } from '../store/database.ts'
import { openRequests } from '../store/requests.ts'
import { openStanding } from '../store/standing.ts'
import { openAgentDesk, type DeskPorts } from './agent-desk.ts'

const scram = { salt: '', iterations: 1, storedKey: '', serverKey: '' }
const handle: Handle = {
  id: 'h1',
  agent: 'coder',
  owner: 'ada',
  parent: null,
  issuedAtMs: 0,
  expiresAtMs: 1e15,
  revokedAtMs: null,
  scram,
  secretSha256: '',
}
const wanted = {
  scopes: [{ kinds: impactKinds, action: null, upstream: 'orders-db' }],
  durationMs: 600_000,
  reason: 'a test',
}

/** A desk whose log can do something else at the very moment at which it makes an event durable. */
function makeDesk(meanwhile: (event: Event) => void = () => undefined): {
  desk: ReturnType<typeof openAgentDesk>
  ports: DeskPorts
  clock: { at: number }
  state: { killEpoch: number; stopped: string | null; policyHash: string }
} {
  const database = openDatabase(':memory:')
  const clock = { at: 1_000_000 }
  const state: ReturnType<typeof makeDesk>['state'] = { killEpoch: 0, stopped: null, policyHash: 'p' }
  const time = { nowMs: () => clock.at, sleep: () => Promise.resolve() }
  const log: Log = {
    append: async (event) => {
      meanwhile(event)
      return 0
    },
    appendRead: () => undefined,
  }
  const killSwitch: KillSwitch = { epoch: () => state.killEpoch, epochOf: () => state.killEpoch, stopped: () => state.stopped }
  let ids = 0
  const ports: DeskPorts = {
    clock: time,
    random: { hex: (bytes) => String(++ids).padStart(bytes * 2, '0') },
    log,
    requests: openRequests(database),
    killSwitch,
    standing: openStanding(database, time, 'p'),
    settings: () => ({
      mode: 'team',
      coolOffMs: 0,
      rowsWithoutPrompt: 0,
      windowMs: 1,
      retainMs: 1,
      requestMs: 3_600_000,
      pendingMax: 2,
    }),
    policyHash: () => state.policyHash,
    environmentOf: (name) => (name === 'orders-db' ? 'production' : null),
    isAgent: (name) => name === 'coder',
    requestUrl: (id) => `http://localhost/requests/${id}`,
  }
  return { desk: openAgentDesk(ports), ports, clock, state }
}

async function approve({ requests, clock }: DeskPorts, id: string): Promise<void> {
  const request = await requests.get(id)
  if (request === null) throw new Error('no such request')
  const { agent } = request.question.subject
  const { digest, upstream, policyHash } = request.question
  const bounds = { targets: [], rowsMax: null, notBeforeMs: clock.nowMs(), expiresAtMs: clock.nowMs() + 900_000 }
  const grant = { id: `grant-${id}`, request: id, agent, digest, upstream, policyHash, approvers: ['bob', 'eve'], ...bounds }
  await requests.approve(id, clock.nowMs(), { ...grant, state: 'open', intent: null, plan: null, settled: false })
}

async function ask(desk: ReturnType<typeof openAgentDesk>): Promise<string> {
  const answer = await desk.requestAccess(handle, wanted)
  return answer.outcome === 'asked' ? answer.request.id : answer.outcome
}

test('a kill while it begins leaves nothing standing, also after it is released', async () => {
  const { desk, ports, state } = makeDesk(({ type }) => {
    if (type === 'grant.standing') state.killEpoch += 1
  })
  const id = await ask(desk)
  await approve(ports, id)
  await expect(desk.requestAccess(handle, wanted)).rejects.toMatchObject({ code: 'killed' })
  expect(ports.standing.live(id)).toBeNull()
  expect(await ask(desk)).not.toBe('granted')
})

test('it ends by its own time, and the same words ask people anew', async () => {
  const { desk, ports, clock } = makeDesk()
  const id = await ask(desk)
  await approve(ports, id)
  expect(await ask(desk)).toBe('granted')
  clock.at += 599_999
  expect(await ask(desk)).toBe('granted')
  clock.at += 1
  expect(ports.standing.live(id)).toBeNull()
  expect([id, 'granted']).not.toContain(await ask(desk))
})

test('what was approved under another policy begins nothing', async () => {
  const { desk, ports, state } = makeDesk()
  const id = await ask(desk)
  await approve(ports, id)
  state.policyHash = 'q'
  expect([id, 'granted']).not.toContain(await ask(desk))
})

test('an agent that is stopped, or was taken out of the configuration, asks for nothing', async () => {
  const { desk, state } = makeDesk()
  state.stopped = 'a test'
  await expect(ask(desk)).rejects.toMatchObject({ code: 'killed' })
  state.stopped = null
  await expect(desk.requestAccess({ ...handle, agent: 'gone' }, wanted)).rejects.toMatchObject({ code: 'not_in_scope' })
})

test('people are not flooded', async () => {
  const { desk } = makeDesk()
  for (const reason of ['one', 'two']) await desk.requestAccess(handle, { ...wanted, reason })
  await expect(desk.requestAccess(handle, { ...wanted, reason: 'three' })).rejects.toMatchObject({ code: 'limit_exceeded' })
})

test('a reason is one line, so that it cannot look like another question', async () => {
  const { desk, ports } = makeDesk()
  const reason = '  clean up\r\n\nread orders-db\u2028for 1 minutes\t\n\n\nnothing else  '
  const answer = await desk.requestAccess(handle, { ...wanted, reason })
  const id = answer.outcome === 'asked' ? answer.request.id : ''
  const text = (await ports.requests.get(id))?.question.text ?? ''
  expect(text.split('\n').slice(1)).toEqual(['for 10 minutes', '', 'reason: clean up read orders-db for 1 minutes nothing else'])
  // The same in other blanks is the same question.
  expect(await desk.requestAccess(handle, { ...wanted, reason: text.split('reason: ')[1] ?? '' })).toMatchObject({
    request: { id },
  })
})

test.each([
  ['a sign that turns the reading round', 'no \u202Eetirw'],
  ['a terminal’s escape', '\u001B[2K\u001B[1Aapproved'],
  ['a backspace', 'write\b\b\b\b\bread'],
  ['a bell', 'ring\u0007'],
  ['a zero-width space', 'or\u200Bders'],
  ['a tag character', 'a\u{E0041}'],
  ['our own brackets of escapes', '⟦U+202E⟧'],
])('a reason with %s asks nobody anything', async (_name, reason) => {
  const { desk } = makeDesk()
  await expect(desk.requestAccess(handle, { ...wanted, reason })).rejects.toMatchObject({ code: 'protocol_violation' })
  for (const blank of ['', ' \n\t\u00A0'])
    await expect(desk.requestAccess(handle, { ...wanted, reason: blank })).rejects.toMatchObject({ code: 'protocol_violation' })
})
