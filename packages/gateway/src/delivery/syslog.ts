import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { canonicalJson, eventJson, isOwnHost, sha256Hex, visibleLine, type Event, type EventType } from '@sallyport/core'
import { DeliveryError, type LoggedEvent, type Receiver } from './receiver.ts'

export interface SyslogSettings {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** `tls://host:6514`, or `tcp://127.0.0.1:601` on this machine. */
  readonly url: string
  readonly authorities: string | null
  readonly origin: string
}

/** RFC 5424 §6.2.1: log audit. */
const facility = 13
/** RFC 5424 §6.3.2 wants a private enterprise number; this one is for documentation (RFC 5612), and ours by nobody's claim. */
const structuredId = 'sallyport@32473'
/** RFC 5425 §4.3.1: what every receiver should take is 8,192 bytes; the event's own JSON has most of it. */
const jsonBytesMax = 6_000
const defaultPorts = { 'tls:': 6514, 'tcp:': 601 } as const

/**
 * CEF in RFC 5424 messages, octet counted (RFC 6587 §3.4.1, RFC 5425). Syslog answers nothing: a batch counts as told when the other side has closed
 * a connection in which everything was written, which a receiver does once it has read to the end.
 */
export function openSyslog({ name, wants, url, authorities, origin }: SyslogSettings): Receiver {
  const target = readTarget(url, name)
  return {
    name,
    wants,
    batchMax: 200,
    deliver: (batch, signal) => send(target, authorities, Buffer.concat(batch.map((one) => frame(one, origin))), signal),
  }
}

interface Target {
  readonly protocol: 'tls:' | 'tcp:'
  readonly host: string
  readonly port: number
}

function readTarget(text: string, name: string): Target {
  const url = URL.parse(text)
  const protocol = url?.protocol
  if (url === null || url.hostname === '' || (protocol !== 'tls:' && protocol !== 'tcp:'))
    throw new DeliveryError(`the address of syslog ${name} is not like tls://host:6514`)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (protocol === 'tcp:' && !isOwnHost(host))
    throw new DeliveryError(
      `the address of syslog ${name} is tcp:, and not of this machine: what it is told would cross the network in the clear`,
    )
  return { protocol, host, port: url.port === '' ? defaultPorts[protocol] : Number(url.port) }
}

function send({ protocol, host, port }: Target, authorities: string | null, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const fail = (): void => reject(new DeliveryError('it could not be reached, or did not take everything in time'))
  const socket: Socket =
    protocol === 'tls:'
      ? connectTls({ host, port, servername: host, ...(authorities === null ? {} : { ca: authorities }) })
      : connectPlain({ host, port })
  const abort = (): void => void socket.destroy(new Error('aborted'))
  signal.addEventListener('abort', abort, { once: true })
  let isEnded = false
  // Whatever it says is no part of the protocol.
  socket.resume()
  socket.once('error', fail)
  socket.once('end', () => (isEnded = true))
  socket.once('close', (hadError) => {
    signal.removeEventListener('abort', abort)
    if (hadError || !isEnded || !socket.writableFinished) fail()
    else resolve()
  })
  socket.end(bytes)
  if (signal.aborted) abort()
  return promise
}

function frame(logged: LoggedEvent, origin: string): Buffer {
  const message = Buffer.from(formatMessage(logged, origin))
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}

/** One RFC 5424 message. Its fields are printable ASCII by the log's own rules; what people and agents wrote is escaped. */
export function formatMessage({ index, event }: LoggedEvent, origin: string): string {
  const { type, atMs, session, agent } = event
  const parameters = [
    ['index', String(index)],
    ...(session === undefined ? [] : [['session', session]]),
    ...(agent === undefined ? [] : [['agent', agent]]),
  ].map(([key = '', value = '']) => ` ${key}="${value.replace(/["\\\]]/g, '\\$&')}"`)
  const time = new Date(atMs).toISOString()
  return `<${facility * 8 + severityOf(event)}>1 ${time} ${headerWord(origin)} sallyport - ${headerWord(type).slice(0, 32)} [${structuredId}${parameters.join('')}] \ufeff${formatCef(index, event)}`
}

/** RFC 5424 §6: printable ASCII without spaces, or the nil value. */
function headerWord(text: string): string {
  const word = text.replace(/[^\x21-\x7e]/g, '_').slice(0, 255)
  return word === '' ? '-' : word
}

/** 3 error, 4 warning, 6 informational. */
function severityOf({ type, data }: Event): number {
  if (type === 'alarm' || type === 'kill') return 3
  if (type === 'door.refused' || type.endsWith('.failed') || type.endsWith('.refused') || data['outcome'] === 'deny') return 4
  return 6
}

const cefSeverities: Readonly<Record<number, number>> = { 3: 9, 4: 6, 6: 3 }

function formatCef(index: number, event: Event): string {
  const { type, atMs, agent, session } = event
  const json = canonicalJson(eventJson(event))
  const cut = cutToBytes(json)
  const extension = [
    ['rt', String(atMs)],
    ['externalId', String(index)],
    ...(agent === undefined ? [] : [['suser', agent]]),
    ...(session === undefined
      ? []
      : [
          ['cs1Label', 'session'],
          ['cs1', session],
        ]),
    // What was left out can be told apart, and found on the log.
    ...(cut === json
      ? []
      : [
          ['cs2Label', 'sha256 of the whole event'],
          ['cs2', sha256Hex(json)],
        ]),
    ['msg', visibleLine(cut)],
  ].map(([key = '', value = '']) => `${key}=${value.replace(/[\\=]/g, '\\$&').replace(/\r\n|\r|\n/g, '\\n')}`)
  const head = ['CEF:0', 'Sallyport', 'Sallyport', '1', type, type, String(cefSeverities[severityOf(event)] ?? 3)]
  return `${head.map((word) => word.replace(/[\\|]/g, '\\$&')).join('|')}|${extension.join(' ')}`
}

function cutToBytes(text: string): string {
  if (Buffer.byteLength(text) <= jsonBytesMax) return text
  // A character that the cut went through is left out.
  return new TextDecoder().decode(Buffer.from(text).subarray(0, jsonBytesMax)).replace(/\ufffd+$/, '')
}
