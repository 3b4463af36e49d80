import { canonicalJson, eventJson, readTraceParent, type Event, type EventType } from '@sallyport/core'
import { checkTaken, post, readUrl } from './post.ts'
import type { LoggedEvent, Receiver } from './receiver.ts'

export interface CollectorSettings {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** Of the collector; `/v1/logs` or `/v1/traces` is added. */
  readonly url: string
  /** `name: value`, as a collector that wants a credential asks for one. */
  readonly header: string | null
  readonly authorities: string | null
  readonly origin: string
}

export interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue: string } | { readonly intValue: string }
}

export const text = (key: string, value: string): Attribute => ({ key, value: { stringValue: value } })

/** Sends one signal by OTLP over HTTP, in its JSON form (opentelemetry.io/docs/specs/otlp). */
export function openExport(
  { name, url, header, authorities }: Pick<CollectorSettings, 'name' | 'url' | 'header' | 'authorities'>,
  signalName: 'logs' | 'traces',
): (content: object, signal: AbortSignal) => Promise<void> {
  const base = readUrl(url, `collector ${name}`)
  const target = new URL(`${base.pathname.replace(/\/+$/, '')}/v1/${signalName}${base.search}`, base)
  const [, field, value] = /^([A-Za-z0-9-]+):\s*(.+)$/.exec(header ?? '') ?? []
  const credential = field === undefined || value === undefined ? {} : { [field]: value }
  const headers = { ...credential, 'content-type': 'application/json' }
  return async (content, signal) =>
    checkTaken(await post({ url: target, headers, body: JSON.stringify(content), authorities }, signal))
}

/** Who says it: this gate. */
export function resourceOf(origin: string): { readonly attributes: readonly Attribute[] } {
  return { attributes: [text('service.name', 'sallyport'), text('service.instance.id', origin)] }
}

/** OpenTelemetry logs: one record an event. */
export function openCollector(settings: CollectorSettings): Receiver {
  const { name, wants, origin } = settings
  const send = openExport(settings, 'logs')
  const resource = resourceOf(origin)
  return {
    name,
    wants,
    batchMax: 200,
    deliver: (batch, signal) => {
      const scopeLogs = [{ scope: { name: 'sallyport.log' }, logRecords: batch.map(recordOf) }]
      return send({ resourceLogs: [{ resource, scopeLogs }] }, signal)
    },
  }
}

function recordOf({ index, event }: LoggedEvent): object {
  const { number, name } = severityOf(event.type)
  return {
    // Nanoseconds do not fit a JSON number.
    timeUnixNano: `${event.atMs}000000`,
    severityNumber: number,
    severityText: name,
    eventName: `sallyport.${event.type}`,
    body: { stringValue: canonicalJson(eventJson(event)) },
    ...traceOf(event),
    attributes: [
      { key: 'sallyport.log.index', value: { intValue: String(index) } },
      ...(event.session === undefined ? [] : [text('session.id', event.session)]),
      ...(event.agent === undefined ? [] : [text('sallyport.agent', event.agent)]),
    ],
  }
}

/** So that a collector shows it with the agent's own spans. */
function traceOf({ data }: Event): object {
  const { trace } = data
  const parent = typeof trace === 'string' ? readTraceParent(trace) : null
  return parent === null ? {} : { traceId: parent.traceId, spanId: parent.spanId }
}

/** Severity numbers as the specification's: 9 INFO, 13 WARN, 17 ERROR. */
function severityOf(type: EventType): { readonly number: number; readonly name: string } {
  if (type === 'alarm' || type === 'kill') return { number: 17, name: 'ERROR' }
  if (warning.has(type)) return { number: 13, name: 'WARN' }
  return { number: 9, name: 'INFO' }
}

const warning: ReadonlySet<EventType> = new Set([
  'door.refused',
  'verdict.refused',
  'request.opened',
  'request.rejected',
  'snapshot.failed',
  'grant.void',
  'quarantine.purge',
  'quarantine.kept',
  'delivery.failed',
])
