import { canonicalJson, eventJson, type EventType } from '@sallyport/core'
import { checkTaken, post, readUrl } from './post.ts'
import type { LoggedEvent, Receiver } from './receiver.ts'

export interface CollectorSettings {
  readonly name: string
  readonly wants: ReadonlySet<EventType>
  /** Of the collector; `/v1/logs` is added. */
  readonly url: string
  /** `name: value`, as a collector that wants a credential asks for one. */
  readonly header: string | null
  readonly authorities: string | null
  readonly origin: string
}

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue: string } | { readonly intValue: string }
}

const text = (key: string, value: string): Attribute => ({ key, value: { stringValue: value } })

/** OpenTelemetry logs by OTLP over HTTP, in its JSON form (opentelemetry.io/docs/specs/otlp): one record an event. */
export function openCollector({ name, wants, url, header, authorities, origin }: CollectorSettings): Receiver {
  const base = readUrl(url, `collector ${name}`)
  const target = new URL(`${base.pathname.replace(/\/+$/, '')}/v1/logs${base.search}`, base)
  const [, field, value] = /^([A-Za-z0-9-]+):\s*(.+)$/.exec(header ?? '') ?? []
  const resource = { attributes: [text('service.name', 'sallyport'), text('service.instance.id', origin)] }
  return {
    name,
    wants,
    batchMax: 200,
    deliver: async (batch, signal) => {
      const scopeLogs = [{ scope: { name: 'sallyport.log' }, logRecords: batch.map(recordOf) }]
      const body = JSON.stringify({ resourceLogs: [{ resource, scopeLogs }] })
      const credential = field === undefined || value === undefined ? {} : { [field]: value }
      checkTaken(
        await post({ url: target, headers: { ...credential, 'content-type': 'application/json' }, body, authorities }, signal),
      )
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
    attributes: [
      { key: 'sallyport.log.index', value: { intValue: String(index) } },
      ...(event.session === undefined ? [] : [text('session.id', event.session)]),
      ...(event.agent === undefined ? [] : [text('sallyport.agent', event.agent)]),
    ],
  }
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
