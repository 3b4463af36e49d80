import { findTraceParent, readTraceParent, sha256Hex, type Event, type EventType, type TraceParent } from '@sallyport/core'
import { z } from 'zod'
import { openExport, resourceOf, text, type Attribute, type CollectorSettings } from './collector.ts'
import type { LoggedEvent, Receiver } from './receiver.ts'

/** What spans are made of; nothing else is asked for. */
const spanTypes: ReadonlySet<EventType> = new Set(['intent', 'outcome', 'statement', 'decision'])
/** Operations that were begun and have not ended; of more, the oldest are sent as ended when they began. */
const begunMax = 1_000
const actionsMax = 5
const nameMax = 128

/** SpanKind and StatusCode as the protocol numbers them. */
const clientKind = 3
const [okStatus, errorStatus] = [1, 2] as const

const operationsShape = z.array(z.object({ action: z.string(), kind: z.string() })).catch([])
const intentShape = z.object({ intent: z.string() })
const endShape = z.object({ result: z.string(), rows: z.number().optional().catch(undefined) })
const attributeShape = z.object({
  key: z.string(),
  value: z.union([z.object({ stringValue: z.string() }), z.object({ intValue: z.string() })]),
})
const spanShape = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().exactOptional(),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.string(),
  attributes: z.array(attributeShape),
})
type SpanBegin = z.infer<typeof spanShape>
const begunShape = z.array(z.tuple([z.string(), spanShape])).catch([])

export interface SpanSettings extends Omit<CollectorSettings, 'wants'> {
  /** What was begun outlives a restart, as the place in the log does. */
  readonly memory: { get(name: string): string | null; set(name: string, value: string): void }
}

/**
 * OpenTelemetry traces: a span an operation, under the agent's own span where it sent `traceparent`. What is in a span is what the gate says of it,
 * never the statement, what it names, or what the upstream answered. Ids come of the log's places, so that a span told twice is the same span.
 */
export function openSpans(settings: SpanSettings): Receiver {
  const { name, origin, memory } = settings
  const send = openExport(settings, 'traces')
  const resource = resourceOf(origin)
  const key = `spans:${name}`
  const begun = new Map(begunShape.parse(readJson(memory.get(key) ?? '[]')))
  /** Ended in what was told last: kept until the next, since the same may have to be told again. */
  let ended: readonly string[] = []
  return {
    name,
    wants: spanTypes,
    batchMax: 200,
    deliver: async (batch, signal) => {
      const spans: object[] = []
      const ends: string[] = []
      for (const one of batch) {
        const intent = intentShape.safeParse(one.event.data)
        if (one.event.type === 'intent' && intent.success) begun.set(intent.data.intent, beginOf(one, origin))
        else if (one.event.type === 'outcome' && intent.success) {
          ends.push(intent.data.intent)
          spans.push(endOf(begun.get(intent.data.intent) ?? beginOf(one, origin), one.event))
        } else spans.push(...momentOf(one, origin))
      }
      while (begun.size > begunMax) begun.delete(begun.keys().next().value ?? '')
      if (spans.length > 0)
        await send({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'sallyport' }, spans }] }] }, signal)
      for (const id of ended) begun.delete(id)
      ended = ends
      memory.set(key, JSON.stringify([...begun]))
    },
  }
}

function beginOf({ index, event }: LoggedEvent, origin: string): SpanBegin {
  const { atMs, agent, session = '', data } = event
  const operations = operationsShape.parse(data['operations'])
  const parent = parentOf(event)
  const actions = operations.slice(0, actionsMax).map(({ action }) => action.slice(0, nameMax))
  return {
    // Without one of the agent's, what one session does is one trace.
    traceId: parent?.traceId ?? sha256Hex(`sallyport trace ${origin} ${session}`).slice(0, 32),
    spanId: sha256Hex(`sallyport span ${origin} ${index}`).slice(0, 16),
    ...(parent === null ? {} : { parentSpanId: parent.spanId }),
    name: actions[0] ?? 'operation',
    kind: clientKind,
    startTimeUnixNano: nanoseconds(atMs),
    attributes: [
      { key: 'sallyport.log.index', value: { intValue: String(index) } },
      ...(session === '' ? [] : [text('session.id', session)]),
      ...(agent === undefined ? [] : [text('sallyport.agent', agent)]),
      ...(actions.length === 0 ? [] : [text('sallyport.actions', actions.join(' '))]),
      ...(operations[0] === undefined ? [] : [text('sallyport.impact', operations[0].kind.slice(0, nameMax))]),
      ...named(data, 'digest'),
      ...named(data, 'request'),
    ],
  }
}

/** By the agent's header, as the log has it; or by the comment at the end of its statement. */
function parentOf({ data }: Event): TraceParent | null {
  const { trace, text: statement } = data
  if (typeof trace === 'string') return readTraceParent(trace)
  return typeof statement === 'string' ? findTraceParent(statement) : null
}

function named(data: Event['data'], name: 'digest' | 'request'): readonly Attribute[] {
  const value = data[name]
  return typeof value === 'string' ? [text(`sallyport.${name}`, value.slice(0, nameMax))] : []
}

function endOf(begin: SpanBegin, { atMs, data }: Event): object {
  const { result, rows } = endShape.catch({ result: 'unknown' }).parse(data)
  const counted = rows === undefined ? [] : [{ key: 'sallyport.rows', value: { intValue: String(rows) } }]
  return {
    ...begin,
    endTimeUnixNano: nanoseconds(atMs),
    attributes: [...begin.attributes, text('sallyport.result', result.slice(0, nameMax)), ...counted],
    status: result === 'succeeded' ? { code: okStatus } : { code: errorStatus, message: result.slice(0, nameMax) },
  }
}

/** What has one moment on the log: a read that was let through, and what was refused. */
function momentOf(one: LoggedEvent, origin: string): readonly object[] {
  const { event } = one
  const begin = beginOf(one, origin)
  const at = { ...begin, endTimeUnixNano: begin.startTimeUnixNano }
  if (event.type === 'statement') return [at]
  if (event.type !== 'decision' || event.data['outcome'] !== 'deny') return []
  return [
    {
      ...at,
      attributes: [...begin.attributes, text('sallyport.result', 'refused')],
      status: { code: errorStatus, message: 'refused' },
    },
  ]
}

/** A 64-bit number in the JSON form is a string. */
function nanoseconds(ms: number): string {
  return `${Math.trunc(ms)}000000`
}

function readJson(kept: string): unknown {
  try {
    return JSON.parse(kept)
  } catch {
    return []
  }
}
