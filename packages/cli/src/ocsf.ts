import { type Event, sha256Hex } from '@sallyport/core'
import { z } from 'zod'

/** Of the schema that is written (schema.ocsf.io). Classes and attributes used here mean the same since 1.1. */
const schemaVersion = '1.6.0'
const classes = {
  datastore: { class_uid: 6005, category_uid: 6 },
  api: { class_uid: 6003, category_uid: 6 },
  finding: { class_uid: 2004, category_uid: 2 },
} as const
const other = 99
/** Activities of Datastore Activity and API Activity by what an operation would do at worst. */
const datastoreActivities: Readonly<Record<string, number>> = { read: 4, write: 5, destroy: 7 }
const apiActivities: Readonly<Record<string, number>> = { read: 2, write: 3, destroy: 4 }
const severities = { informational: 1, medium: 3, high: 4 } as const
const statuses = { unknown: 0, success: 1, failure: 2 } as const

/** One event of OCSF, as it is written. */
export type OcsfEvent = Readonly<Record<string, unknown>>

const openedShape = z.object({ protocol: z.string(), upstream: z.string(), peer: z.string(), owner: z.string() })
const operationsShape = z.array(z.object({ action: z.string().optional(), kind: z.string().optional() }))
const readsShape = z.array(
  z.object({ session: z.string(), agent: z.string(), count: z.number(), firstAtMs: z.number(), lastAtMs: z.number() }),
)

/** What is known of a session from its beginning. */
interface Known {
  readonly protocol: string
  readonly upstream: string
  readonly ip: string | null
  readonly owner: string
}

/** Sessions remembered; past it the one that began longest ago is forgotten. */
const sessionsMax = 50_000

/** Turns the log's events, in their order, into those of OCSF: what an agent does says no upstream itself, but its session's beginning does. */
export class OcsfExport {
  readonly #origin: string
  readonly #sessions = new Map<string, Known>()

  constructor(origin: string) {
    this.#origin = origin
  }

  /** One or more: counted reads of many sessions stand in one event. */
  translate(index: number, event: Event): readonly OcsfEvent[] {
    this.#learn(event)
    const { type, data } = event
    if (type === 'alarm') return [this.#finding(index, event)]
    const reads = type === 'reads' ? readsShape.safeParse(data['reads']) : null
    if (reads?.success === true) {
      return reads.data.map((read) => ({
        ...this.#ofSession(index, { ...event, session: read.session, agent: read.agent }, 'read'),
        count: read.count,
        start_time: read.firstAtMs,
        end_time: read.lastAtMs,
      }))
    }
    if (event.session !== undefined) return [this.#ofSession(index, event, worstKind(data['operations']))]
    return [this.#ofGate(index, event)]
  }

  #learn({ type, session, data }: Event): void {
    const opened = type === 'session.opened' ? openedShape.safeParse(data) : null
    if (session === undefined || opened?.success !== true) return
    const { protocol, upstream, peer, owner } = opened.data
    const ip = peer.replace(/:\d{1,5}$/, '')
    this.#sessions.set(session, { protocol, upstream, ip: /^[0-9a-fA-F.:]+$/.test(ip) ? ip : null, owner })
    const oldest = this.#sessions.size > sessionsMax ? this.#sessions.keys().next().value : undefined
    if (oldest !== undefined) this.#sessions.delete(oldest)
  }

  #base(index: number, event: Event, of: (typeof classes)[keyof typeof classes], activity: number): OcsfEvent {
    const { type, atMs, data } = event
    const severity =
      type === 'alarm' || type === 'kill' ? severities.high : isRefusal(event) ? severities.medium : severities.informational
    return {
      ...of,
      activity_id: activity,
      type_uid: of.class_uid * 100 + activity,
      ...(activity === other ? { activity_name: type } : {}),
      time: atMs,
      severity_id: severity,
      status_id: statusOf(event),
      message: messageOf(event),
      metadata: {
        version: schemaVersion,
        product: { name: 'Sallyport', vendor_name: 'Sallyport' },
        log_name: this.#origin,
        sequence: index,
        uid: `${this.#origin}/${index}`,
        event_code: type,
      },
      unmapped: data,
    }
  }

  #ofSession(index: number, event: Event, kind: string | null): OcsfEvent {
    const { session = '', agent = '', type, data } = event
    const known = this.#sessions.get(session)
    const upstream = known?.upstream ?? 'unknown'
    const actor = { app_name: agent, ...(known === undefined ? {} : { user: { name: known.owner } }), session: { uid: session } }
    const source =
      known?.ip === undefined || known.ip === null ? { name: agent === '' ? 'unknown' : agent } : { ip: known.ip, name: agent }
    const ends = { actor, src_endpoint: source, dst_endpoint: { name: upstream } }
    const text = typeof data['text'] === 'string' ? data['text'] : null
    if (known?.protocol === 'postgres') {
      const activity = type === 'session.opened' ? 3 : (datastoreActivities[kind ?? ''] ?? other)
      const query = text === null ? {} : { query_info: { query_string: text, uid: sha256Hex(text) } }
      return {
        ...this.#base(index, event, classes.datastore, activity),
        ...ends,
        database: { name: upstream, type_id: 1 },
        ...query,
      }
    }
    const activity = apiActivities[kind ?? ''] ?? other
    const api = { operation: firstAction(data['operations']) ?? type, service: { name: upstream } }
    return { ...this.#base(index, event, classes.api, activity), ...ends, api, resources: [{ name: upstream }] }
  }

  /** What people and the gate itself do: enrol, approve, kill, start. */
  #ofGate(index: number, event: Event): OcsfEvent {
    const { type, agent, data } = event
    const by = [data['by'], data['person'], agent].find((one) => typeof one === 'string' && one !== '')
    const who = typeof by === 'string' ? by : 'sallyport'
    return {
      ...this.#base(index, event, classes.api, other),
      actor: { app_name: 'sallyport', user: { name: who } },
      src_endpoint: { name: 'sallyport' },
      api: { operation: type, service: { name: 'sallyport' } },
    }
  }

  #finding(index: number, event: Event): OcsfEvent {
    const { data, agent, atMs } = event
    const kind = typeof data['kind'] === 'string' ? data['kind'] : 'alarm'
    const events = z.array(z.number()).safeParse(data['events'])
    return {
      ...this.#base(index, event, classes.finding, 1),
      is_alert: true,
      finding_info: {
        uid: `${this.#origin}/${index}`,
        title: kind,
        desc: messageOf(event),
        created_time: atMs,
        types: [kind],
        ...(events.success
          ? { related_events: events.data.slice(0, 100).map((one) => ({ uid: `${this.#origin}/${one}` })) }
          : {}),
      },
      ...(agent === undefined ? {} : { actor: { app_name: agent } }),
    }
  }
}

function isRefusal({ type, data }: Event): boolean {
  return type === 'door.refused' || type === 'verdict.refused' || data['outcome'] === 'deny'
}

function statusOf(event: Event): number {
  const { data } = event
  if (isRefusal(event) || data['result'] === 'failed' || event.type.endsWith('.failed')) return statuses.failure
  return data['result'] === 'unknown' ? statuses.unknown : statuses.success
}

function messageOf({ type, data }: Event): string {
  for (const key of ['why', 'reason', 'text', 'result', 'detail']) {
    const value = data[key]
    if (typeof value === 'string' && value !== '') return value
  }
  return type
}

const kindsByWorst = ['destroy', 'unknown', 'escalate', 'disrupt', 'write', 'read']

function worstKind(operations: unknown): string | null {
  const read = operationsShape.safeParse(operations)
  if (!read.success) return null
  return kindsByWorst.find((kind) => read.data.some((one) => one.kind === kind)) ?? null
}

function firstAction(operations: unknown): string | null {
  const read = operationsShape.safeParse(operations)
  return read.success ? (read.data.find(({ action }) => action !== undefined)?.action ?? null) : null
}
