import { createHmac } from 'node:crypto'
import { SMTPServer } from 'smtp-server'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { eventTypes, type Event, type EventType } from '@sallyport/core'
import { HttpInbox } from '../../../../tests/fakes/http-inbox.ts'
import { logsShape, tracesShape } from '../../../../tests/servers/otlp-shapes.ts'
import { openCollector } from './collector.ts'
import { openMail } from './mail.ts'
import { openReceivers } from './open.ts'
import { openPush } from './push.ts'
import type { LoggedEvent, Receiver } from './receiver.ts'
import { openSpans } from './spans.ts'
import { openWebhook } from './webhook.ts'
import { unusedContext } from '../../../../tests/fakes/receiver-context.ts'

const wants: ReadonlySet<EventType> = new Set(eventTypes)
const signal = new AbortController().signal
const siteUrl = (): string => 'http://localhost:6480'
const request = 'ab'.repeat(16)
let inbox: HttpInbox

beforeEach(async () => {
  inbox = new HttpInbox()
  await inbox.listen()
})
afterEach(() => inbox.close())

function logged(index: number, type: EventType, data: Event['data'] = {}): LoggedEvent {
  return { index, event: { type, atMs: 1_800_000_000_123, agent: 'coder', session: 's1', data } }
}

/** What an agent wrote stands in it: markup, a link of its own, a line break, and letters that turn the reading round. */
const evil = '<!channel> <https://evil.example|approve> *x* \u202Etxet & "q"\r\nBcc: everybody@example.com'
const opened = logged(7, 'request.opened', {
  request,
  question: {
    text: evil,
    upstream: 'orders-db',
    operations: [{ action: 'postgres.drop_table', kind: 'destroy', resources: [{ name: 'public.orders' }] }],
  },
})
const at = (path: string): string => `http://127.0.0.1:${inbox.port}${path}`

describe('a webhook', () => {
  const secret = `whsec_${Buffer.from('a shared secret of both sides').toString('base64')}`
  const open = (): ReturnType<typeof openWebhook> =>
    openWebhook({
      name: 'w',
      wants,
      url: at('/hook?token=in-the-url'),
      secret,
      authorities: null,
      origin: 'gate.test',
      nowMs: () => 1_800_000_001_999,
    })

  it('gets whole events, signed over their id, their time and their bytes', async () => {
    await open().deliver([logged(3, 'kill', { name: 'coder' }), opened], signal)
    const { body, headers, path } = inbox.newest
    expect(path).toBe('/hook?token=in-the-url')
    expect(JSON.parse(body)).toMatchObject({
      log: 'gate.test',
      events: [
        { index: 3, event: { type: 'kill', data: { name: 'coder' } } },
        { index: 7, event: { type: 'request.opened', data: { request } } },
      ],
    })
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`
    const key = Buffer.from('a shared secret of both sides')
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
    expect(headers['webhook-timestamp']).toBe('1800000001')
    expect(headers['webhook-id']).toBe('msg_3_7')
  })

  it.each([
    [503, false],
    [401, false],
    [302, false],
    [413, true],
    [422, true],
  ])('that answers %i is not told, final: %s, and nothing of its address is in the error', async (status, final) => {
    inbox.answer = () => ({ status, body: 'secret words of the other side' })
    const failing = open().deliver([opened], signal)
    await expect(failing).rejects.toMatchObject({ name: 'DeliveryError', message: `it answered ${status}`, final })
    // A redirect is not followed: it could lead anywhere, with the signed events.
    expect(inbox.received).toHaveLength(1)
  })

  it('that is not there is tried again', async () => {
    const gone = open()
    await inbox.close()
    await expect(gone.deliver([opened], signal)).rejects.toMatchObject({
      final: false,
      message: expect.not.stringContaining('token'),
    })
  })
})

describe('addresses', () => {
  it.each(['http://hooks.example.com/x', 'ftp://127.0.0.1/x', 'hooks.example.com', ''])('%j is refused at the start', (url) => {
    const settings = [{ kind: 'webhook', name: 'w', events: null, authorities: null, url, secret: 'x' }] as const
    expect(() => openReceivers(settings, unusedContext)).toThrow('deliver: the address of webhook w')
    if (url !== '') expect(() => openReceivers(settings, unusedContext)).not.toThrow(url)
  })
})

describe('a collector', () => {
  it('gets OTLP log records', async () => {
    const receiver = openCollector({
      name: 'c',
      wants,
      url: at('/base/'),
      header: 'x-api-key: k1',
      authorities: null,
      origin: 'gate.test',
    })
    await receiver.deliver([opened, logged(8, 'kill')], signal)
    const { path, headers, body } = inbox.newest
    expect(path).toBe('/base/v1/logs')
    expect(headers['x-api-key']).toBe('k1')
    expect(logsShape.parse(JSON.parse(body))).toMatchObject({
      resourceLogs: [
        {
          resource: { attributes: [{ key: 'service.name', value: { stringValue: 'sallyport' } }, {}] },
          scopeLogs: [
            {
              logRecords: [
                {
                  timeUnixNano: '1800000000123000000',
                  severityNumber: 13,
                  eventName: 'sallyport.request.opened',
                  attributes: [
                    { key: 'sallyport.log.index', value: { intValue: '7' } },
                    { key: 'session.id', value: { stringValue: 's1' } },
                    { key: 'sallyport.agent', value: { stringValue: 'coder' } },
                  ],
                },
                { severityNumber: 17, severityText: 'ERROR' },
              ],
            },
          ],
        },
      ],
    })
  })
})

describe('a collector of traces', () => {
  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const operations = [{ action: 'postgres.update', kind: 'write' }]
  const secret = 'hunter2-in-a-statement'
  const step = (index: number, type: EventType, data: Event['data']): LoggedEvent => ({
    index,
    event: { type, atMs: 1_800_000_000_000 + index, session: 's1', agent: 'coder', data },
  })
  const intent = (index: number, data: Event['data'] = {}): LoggedEvent =>
    step(index, 'intent', { intent: `i${index}`, digest: 'd'.repeat(64), operations, text: secret, ...data })
  const outcome = (index: number, of: number, result = 'succeeded'): LoggedEvent =>
    step(index, 'outcome', { intent: `i${of}`, result, rows: 3, detail: secret })
  const kept = new Map<string, string>()
  const memory = {
    get: (name: string) => kept.get(name) ?? null,
    set: (name: string, value: string) => void kept.set(name, value),
  }
  const open = (): Receiver =>
    openSpans({ name: 't', url: at('/'), header: null, authorities: null, origin: 'gate.test', memory })
  const spans = (): readonly z.infer<typeof tracesShape>['resourceSpans'][number]['scopeSpans'][number]['spans'][number][] => {
    expect(inbox.newest.path).toBe('/v1/traces')
    expect(inbox.newest.body).not.toContain(secret)
    return tracesShape
      .parse(JSON.parse(inbox.newest.body))
      .resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((one) => one.spans))
  }

  it('gets a span an operation, under the span of the agent, and nothing of what was said', async () => {
    await open().deliver([intent(1, { trace }), outcome(2, 1), intent(3), outcome(4, 3, 'failed')], signal)
    const [first, second] = spans()
    expect(first).toMatchObject({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parentSpanId: 'b7ad6b7169203331',
      name: 'postgres.update',
      startTimeUnixNano: '1800000000001000000',
      endTimeUnixNano: '1800000000002000000',
      status: { code: 1 },
    })
    expect(second).toMatchObject({ status: { code: 2, message: 'failed' } })
    expect(second?.parentSpanId).toBeUndefined()
    expect(second?.traceId).not.toBe(first?.traceId)
  })

  it('knows over a restart when it began, and tells the same span again when it has to', async () => {
    await open().deliver([intent(10)], signal)
    const again = open()
    await again.deliver([outcome(12, 10)], signal)
    const [told] = spans()
    expect(told).toMatchObject({ startTimeUnixNano: '1800000000010000000', endTimeUnixNano: '1800000000012000000' })
    await open().deliver([outcome(12, 10)], signal)
    expect(spans()).toEqual([told])
    await again.deliver([outcome(12, 10)], signal)
    expect(spans()).toEqual([told])
  })

  it('gets a moment of what was let through as a read, or refused; a comment of the statement names the trace', async () => {
    const text = `SELECT 1 /*traceparent='${trace}'*/`
    const denied = step(21, 'decision', { outcome: 'deny', operations, text: secret, trace: 'hostile\r\nx: y' })
    await open().deliver(
      [step(20, 'statement', { operations, text }), denied, step(22, 'decision', { outcome: 'permit' })],
      signal,
    )
    const [read, refused, ...more] = spans()
    expect(read).toMatchObject({ traceId: '0af7651916cd43dd8448eb211c80319c', parentSpanId: 'b7ad6b7169203331' })
    expect(refused).toMatchObject({ status: { code: 2, message: 'refused' } })
    expect(refused?.parentSpanId).toBeUndefined()
    expect(more).toEqual([])
  })

  it('takes whatever is on a log for a span of some shape', async () => {
    const odd = [intent(30, { operations: 7, digest: 7, trace: 7 }), step(31, 'outcome', { intent: 'never begun', result: 9 })]
    await open().deliver([...odd, outcome(32, 30)], signal)
    expect(spans().map(({ name }) => name)).toEqual(['operation', 'operation'])
    kept.set('spans:t', 'no JSON')
    await open().deliver([outcome(33, 30)], signal)
    expect(spans()).toHaveLength(1)
  })
})

describe('a telephone', () => {
  it('gets the question and a link, in JSON: no text of an agent is a header or a button', async () => {
    const receiver = openPush({ name: 'p', wants, url: at('/secret-topic'), token: 'tk', authorities: null, siteUrl })
    await receiver.deliver([opened], signal)
    const { path, headers, body } = inbox.newest
    expect(path).toBe('/')
    expect(headers['authorization']).toBe('Bearer tk')
    const message: unknown = JSON.parse(body)
    expect(message).toMatchObject({ topic: 'secret-topic', priority: 4, click: `http://localhost:6480/requests/${request}` })
    expect(Object.keys(z.record(z.string(), z.unknown()).parse(message)).toSorted()).toEqual([
      'click',
      'message',
      'priority',
      'title',
      'topic',
    ])
    expect(body).toContain('postgres.drop_table')
    expect(body).not.toContain('\u202E')
  })
})

describe('mail', () => {
  it('goes out over a real SMTP server as plain text, an agent’s line break no header of its own', async () => {
    const mails: string[] = []
    const recipients: string[] = []
    const server = new SMTPServer({
      authOptional: false,
      allowInsecureAuth: true,
      disabledCommands: ['STARTTLS'],
      onAuth: ({ username, password }, _session, callback) =>
        username === 'gate' && password === 'p@ss' ? callback(null, { user: 'gate' }) : callback(new Error('no')),
      onData: (stream, session, callback) => {
        const chunks: Buffer[] = []
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          mails.push(Buffer.concat(chunks).toString('utf8'))
          recipients.push(...session.envelope.rcptTo.map(({ address }) => address))
          callback()
        })
      },
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const settings = {
      name: 'm',
      wants,
      from: 'gate@example.com',
      to: ['ada@example.com', 'bob@example.com'],
      authorities: null,
      siteUrl,
    }
    await openMail({ ...settings, url: `smtp://gate:p%40ss@127.0.0.1:${port}` }).deliver([opened], signal)
    expect(recipients).toEqual(['ada@example.com', 'bob@example.com'])
    const [mail = ''] = mails
    const head = mail.slice(0, mail.indexOf('\r\n\r\n'))
    expect(head).toContain('Subject: Sallyport: an agent waits for people')
    expect(head).toMatch(/content-type: text\/plain/i)
    expect(head).not.toMatch(/^bcc:/im)
    expect(mail.replaceAll('=\r\n', '')).toContain(`http://localhost:6480/requests/${request}`)
    const wrong = openMail({ ...settings, url: `smtp://gate:wrong-one@127.0.0.1:${port}` }).deliver([opened], signal)
    await expect(wrong).rejects.toMatchObject({ name: 'DeliveryError', message: 'it answered 535', final: false })
    await new Promise<void>((resolve) => server.close(resolve))
  })
})
