import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventTypes, type AccessRequest, type Event, type EventType } from '@sallyport/core'
import { makeQuestion, makeRequest } from '../../../../tests/fakes/people.ts'
import { FakeClock } from '../../../../tests/fakes/ports.ts'
import { SlackServer } from '../../../../tests/servers/slack.ts'
import type { LoggedEvent, Receiver } from './receiver.ts'
import { openSlack } from './slack.ts'

const wants: ReadonlySet<EventType> = new Set(eventTypes)
const signal = new AbortController().signal
const request = 'ab'.repeat(16)
let slack: SlackServer
let clock: FakeClock
let posted: Map<string, string>
let waiting: AccessRequest[]
const open: Receiver[] = []

beforeEach(async () => {
  slack = new SlackServer()
  clock = new FakeClock()
  posted = new Map()
  waiting = []
  await slack.listen()
})
afterEach(async () => {
  for (const receiver of open.splice(0)) await receiver.attachment?.close()
  await slack.close()
})

function openTestSlack(appToken: string | null = null): Receiver {
  const receiver = openSlack({
    name: 's',
    wants,
    token: 'xoxb-secret',
    appToken,
    channel: '#ops',
    api: slack.api,
    authorities: null,
    siteUrl: () => 'http://localhost:6480',
    clock,
    waiting: () => Promise.resolve(waiting),
    posted: { get: (name) => posted.get(name) ?? null, set: (name, value) => void posted.set(name, value) },
  })
  open.push(receiver)
  return receiver
}

function logged(index: number, type: EventType, data: Event['data'] = {}): LoggedEvent {
  return { index, event: { type, atMs: 1_800_000_000_123, agent: 'coder', session: 's1', data } }
}

function opened(text: string): LoggedEvent {
  const operations = [{ action: 'postgres.drop_table', kind: 'destroy', resources: [{ name: 'public.orders' }] }]
  return logged(7, 'request.opened', { request, question: { text, upstream: 'orders-db', operations } })
}

const approved = logged(9, 'request.approved', { request, approvers: ['ada'], notBeforeMs: 0 })

describe('a message', () => {
  it('carries a link and no button, and is changed when people decided', async () => {
    const receiver = openTestSlack()
    await receiver.deliver([opened('DROP TABLE orders')], signal)
    await receiver.deliver([approved], signal)
    const [first, second] = slack.calls
    expect(first).toMatchObject({
      method: 'chat.postMessage',
      token: 'xoxb-secret',
      fields: { channel: '#ops', unfurl_links: false },
    })
    expect(second).toMatchObject({ method: 'chat.update', fields: { channel: 'C1', ts: '1.1' } })
    expect(JSON.stringify(second?.fields['blocks'])).toContain('ada')
    expect(JSON.stringify(slack.calls)).not.toMatch(/"(actions|button|action_id|accessory)"/)
    expect(JSON.stringify(first?.fields['blocks'])).toContain(`<http://localhost:6480/requests/${request}|Look at it>`)
  })

  it.each(['request.rejected', 'request.cancelled', 'request.expired'] as const)('is changed by %s too', async (type) => {
    const receiver = openTestSlack()
    await receiver.deliver([opened('DROP TABLE orders'), logged(8, type, { request, by: 'ada' })], signal)
    expect(slack.calls.map(({ method }) => method)).toEqual(['chat.postMessage', 'chat.update'])
  })

  it.each([
    '<!channel> <!here> <@U123> <https://evil.example|Look at it>',
    '``` *Approved by ada* <https://evil.example|Look at it> ```',
    '`*bold*` _it_ ~no~ :white_check_mark: &lt;!channel&gt;',
    '\u202Eevil\u0007\u001b[2J\nApproved',
  ])('makes nothing of Slack’s of %j', async (text) => {
    await openTestSlack().deliver([opened(text)], signal)
    const fields = JSON.stringify(slack.calls[0]?.fields)
    const sections = [...fields.matchAll(/"text":"((?:[^"\\]|\\.)*)"/g)].map(([, one = '']) => one)
    for (const one of sections) {
      // What is not ours stands in a block of code from its first character to its last, with nothing in it that ends the block or is Slack's.
      if (!one.includes('coder')) continue
      expect(one).toMatch(/^```[^`<>]*```$/)
      expect(one).not.toMatch(/&(?!amp;|lt;|gt;)/)
    }
    expect(fields.match(/<[^>]*>/g)).toEqual([`<http://localhost:6480/requests/${request}|Look at it>`])
    expect(fields).toContain('"verbatim":true')
    expect(fields).not.toMatch(/[\u202E\u0007\u001b]/)
    expect(slack.calls[0]?.fields['text']).toBe('Sallyport: an agent waits for people')
  })

  it('of nothing but signs that are written out long is within what Slack takes', async () => {
    await openTestSlack().deliver([opened('\u202E&<'.repeat(2_000))], signal)
    const fields = JSON.stringify(slack.calls[0]?.fields)
    const longest = Math.max(...[...fields.matchAll(/"text":"((?:[^"\\]|\\.)*)"/g)].map(([, one = '']) => one.length))
    expect(longest).toBeLessThan(3_000)
  })

  it.each(['message_not_found', 'cant_update_message', 'edit_window_closed'])(
    'that cannot be changed (%s) is told by another',
    async (error) => {
      const receiver = openTestSlack()
      await receiver.deliver([opened('DROP TABLE orders')], signal)
      slack.answers.set('chat.update', { body: { ok: false, error } })
      await receiver.deliver([approved], signal)
      expect(slack.calls.map(({ method }) => method)).toEqual(['chat.postMessage', 'chat.update', 'chat.postMessage'])
      slack.answers.clear()
      await receiver.deliver([logged(10, 'request.cancelled', { request, by: 'bob' })], signal)
      expect(slack.calls.at(-1)).toMatchObject({ method: 'chat.update', fields: { ts: '2.1' } })
    },
  )

  it('is changed by another gate that shares what was posted', async () => {
    await openTestSlack().deliver([opened('DROP TABLE orders')], signal)
    await openTestSlack().deliver([approved], signal)
    expect(slack.calls.map(({ method }) => method)).toEqual(['chat.postMessage', 'chat.update'])
  })

  it('that comes too often is tried again when Slack says, and not before', async () => {
    slack.answers.set('chat.postMessage', { status: 429, retryAfter: '17', body: { ok: false, error: 'ratelimited' } })
    const failing = openTestSlack().deliver([opened('x')], signal)
    await expect(failing).rejects.toMatchObject({ message: 'it answered 429', final: false, waitMs: 17_000 })
    slack.answers.set('chat.postMessage', { status: 429, retryAfter: '99999999', body: {} })
    await expect(openTestSlack().deliver([opened('x')], signal)).rejects.toMatchObject({ waitMs: 600_000 })
  })

  it('that is refused says so in Slack’s own word, and no other, nor the token', async () => {
    const receiver = openTestSlack()
    slack.answers.set('chat.postMessage', { body: { ok: false, error: 'invalid_auth' } })
    await expect(receiver.deliver([opened('x')], signal)).rejects.toMatchObject({
      message: 'it refused: invalid_auth',
      final: false,
    })
    slack.answers.set('chat.postMessage', { body: { ok: false, error: 'msg_too_long' } })
    await expect(receiver.deliver([opened('x')], signal)).rejects.toMatchObject({ final: true })
    slack.answers.set('chat.postMessage', { body: { ok: false, error: 'Bearer xoxb-secret' } })
    await expect(receiver.deliver([opened('x')], signal)).rejects.toMatchObject({ message: 'it refused: unknown' })
    slack.answers.set('chat.postMessage', { body: 'no object' })
    await expect(receiver.deliver([opened('x')], signal)).rejects.toMatchObject({ message: 'its answer could not be read' })
  })
})

describe('Socket Mode', () => {
  const command = (id: string, channel: string): unknown => ({
    type: 'slash_commands',
    envelope_id: id,
    accepts_response_payload: true,
    payload: { command: '/sallyport', text: '', channel_id: channel, user_id: 'U1' },
  })
  const start = async (): Promise<Receiver> => {
    const receiver = openTestSlack('xapp-secret')
    receiver.attachment?.start()
    await expect.poll(() => receiver.attachment?.fault()).toBeNull()
    return receiver
  }

  it('is dialled, says hello, and acknowledges every envelope', async () => {
    const receiver = openTestSlack('xapp-secret')
    expect(receiver.attachment?.fault()).toContain('not open yet')
    receiver.attachment?.start()
    await expect.poll(() => receiver.attachment?.fault()).toBeNull()
    expect(slack.callsOf('apps.connections.open')).toMatchObject([{ token: 'xapp-secret', fields: {} }])
    slack.say({ type: 'events_api', envelope_id: 'e1', payload: { event: { type: 'message' } } })
    slack.say({ type: 'something_new', envelope_id: 'e2' })
    await expect.poll(() => slack.acknowledged).toEqual([{ envelope_id: 'e1' }, { envelope_id: 'e2' }])
  })

  it('decides nothing, whatever comes in', async () => {
    waiting = [makeRequest(clock.nowMs(), makeQuestion())]
    await start()
    const actions = [{ action_id: 'approve', value: waiting[0]?.id }]
    slack.say({
      type: 'interactive',
      envelope_id: 'i1',
      accepts_response_payload: true,
      payload: { type: 'block_actions', actions },
    })
    slack.say({ type: 'interactive', envelope_id: 'i2', payload: { type: 'view_submission' } })
    await expect.poll(() => slack.acknowledged).toEqual([{ envelope_id: 'i1' }, { envelope_id: 'i2' }])
    expect(slack.calls.map(({ method }) => method)).toEqual(['apps.connections.open'])
  })

  it('answers in the channel that is told, with what waits and a link, to whoever asked', async () => {
    const receiver = await start()
    waiting = [{ ...makeRequest(clock.nowMs(), makeQuestion()), id: request }]
    await receiver.deliver([opened('DROP TABLE orders')], signal)
    slack.say(command('c1', 'C1'))
    await expect.poll(() => slack.acknowledged).toMatchObject([{ envelope_id: 'c1', payload: { response_type: 'ephemeral' } }])
    expect(JSON.stringify(slack.acknowledged)).toContain(`http://localhost:6480/requests/${request}`)
    // Anywhere else, a guest's channel say, nothing of it.
    slack.say(command('c2', 'C2'))
    slack.say(command('c3', '#ops-private'))
    await expect.poll(() => slack.acknowledged.length).toBe(3)
    expect(JSON.stringify(slack.acknowledged.slice(1))).not.toContain(request)
    expect(JSON.stringify(slack.acknowledged.slice(1))).toContain('only there')
  })

  it('is replaced when Slack asks, and the old connection answers until the new one said hello', async () => {
    await start()
    clock.advance(30_000)
    slack.greeting = []
    slack.say({ type: 'disconnect', reason: 'refresh_requested', debug_info: { host: 'h' } })
    await expect.poll(() => slack.opened).toBe(2)
    slack.lines[0]?.say({ type: 'events_api', envelope_id: 'old' })
    await expect.poll(() => slack.acknowledged).toEqual([{ envelope_id: 'old' }])
    slack.lines[1]?.say({ type: 'hello' })
    await expect.poll(() => slack.lines.length).toBe(1)
    slack.say({ type: 'events_api', envelope_id: 'new' })
    await expect.poll(() => slack.acknowledged).toEqual([{ envelope_id: 'old' }, { envelope_id: 'new' }])
    expect(slack.callsOf('apps.connections.open')).toHaveLength(2)
  })

  it('that is refreshed in a circle is opened ever more slowly', async () => {
    slack.greeting = [{ type: 'hello' }, { type: 'disconnect', reason: 'refresh_requested' }]
    const receiver = openTestSlack('xapp-secret')
    receiver.attachment?.start()
    await expect.poll(() => receiver.attachment?.fault()).toBeNull()
    // The clock stands still: nothing is tried again until it moves.
    await slack.settled()
    expect(slack.opened).toBe(1)
    clock.advance(1_000)
    await expect.poll(() => slack.opened).toBe(2)
    await slack.settled()
    clock.advance(1_000)
    await slack.settled()
    expect(slack.opened).toBe(2)
    clock.advance(1_000)
    await expect.poll(() => slack.opened).toBe(3)
  })

  it('that breaks is opened again; that Slack refuses says why; that it limits waits', async () => {
    const receiver = await start()
    slack.answers.set('apps.connections.open', { body: { ok: false, error: 'token_revoked' } })
    slack.lines[0]?.drop()
    await expect.poll(() => receiver.attachment?.fault()).toBe('its socket was closed')
    clock.advance(1_000)
    await expect.poll(() => receiver.attachment?.fault()).toBe('its socket: it refused: token_revoked')
    slack.answers.set('apps.connections.open', { status: 429, retryAfter: '120', body: { ok: false, error: 'ratelimited' } })
    clock.advance(2_000)
    await expect.poll(() => receiver.attachment?.fault()).toBe('its socket: it answered 429')
    slack.answers.clear()
    const before = slack.calls.length
    clock.advance(119_000)
    await slack.settled()
    expect(slack.calls).toHaveLength(before)
    clock.advance(1_000)
    await expect.poll(() => receiver.attachment?.fault()).toBeNull()
  })

  it('that hears nothing any more is given up', async () => {
    await start()
    const [line] = slack.lines
    if (line === undefined) throw new Error('nothing is connected')
    line.answersPings = false
    for (let rounds = 0; rounds < 3; rounds += 1) {
      clock.advance(30_000)
      await slack.settled()
    }
    await expect.poll(() => slack.opened).toBe(2)
  })

  it('takes no address in the clear that leads elsewhere', async () => {
    slack.answers.set('apps.connections.open', { body: { ok: true, url: 'ws://wss.slack.example/link/?ticket=1' } })
    const receiver = openTestSlack('xapp-secret')
    receiver.attachment?.start()
    await expect.poll(() => receiver.attachment?.fault()).toContain('no address for it that is safe')
    expect(slack.opened).toBe(0)
  })

  it('gives up a connection that sends more than a frame may have, and what is no JSON is nothing', async () => {
    await start()
    slack.say('no json')
    slack.say('[]')
    slack.say({ type: 'events_api', envelope_id: 'x'.repeat(200) })
    slack.say({ type: 'events_api', envelope_id: 'e1' })
    await expect.poll(() => slack.acknowledged).toEqual([{ envelope_id: 'e1' }])
    slack.say({ type: 'events_api', envelope_id: 'e2', payload: 'x'.repeat(1024 * 1024) })
    await expect.poll(() => slack.lines.length).toBe(0)
    expect(slack.acknowledged).toHaveLength(1)
  })
})
