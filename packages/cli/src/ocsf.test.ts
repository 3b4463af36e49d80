import { eventTypes, type Event } from '@sallyport/core'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { OcsfExport, type OcsfEvent } from './ocsf.ts'

/**
 * Facts of the published schema, as far as we write it: schema.ocsf.io, classes Datastore Activity, API Activity, Detection Finding. Objects are
 * strict, so that an attribute that the schema does not know is found.
 */
const ip = z.union([z.ipv4(), z.ipv6()])
const endpoint = z
  .strictObject({ ip: ip.optional(), name: z.string().min(1).optional() })
  .refine((one) => Object.keys(one).length > 0)
const actor = z
  .strictObject({
    app_name: z.string().optional(),
    user: z.strictObject({ name: z.string().min(1) }).optional(),
    session: z.strictObject({ uid: z.string() }).optional(),
  })
  .refine((one) => Object.keys(one).length > 0)
const base = {
  time: z.int().positive(),
  severity_id: z.union([
    z.literal(0),
    z.literal(1),
    z.literal(2),
    z.literal(3),
    z.literal(4),
    z.literal(5),
    z.literal(6),
    z.literal(99),
  ]),
  status_id: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(99)]),
  activity_name: z.string().optional(),
  type_uid: z.int(),
  message: z.string(),
  count: z.int().positive().optional(),
  start_time: z.int().optional(),
  end_time: z.int().optional(),
  metadata: z.strictObject({
    version: z.string().regex(/^1\.\d+\.\d+$/),
    product: z.strictObject({ name: z.string(), vendor_name: z.string() }),
    log_name: z.string(),
    sequence: z.int().min(0),
    uid: z.string(),
    event_code: z.string(),
  }),
  unmapped: z.record(z.string(), z.json()),
}
const activity = (last: number): z.ZodType<number> => z.int().refine((id) => (id >= 0 && id <= last) || id === 99)
const classesShape = z
  .discriminatedUnion('class_uid', [
    z.strictObject({
      ...base,
      class_uid: z.literal(6005),
      category_uid: z.literal(6),
      activity_id: activity(10),
      actor,
      src_endpoint: endpoint,
      dst_endpoint: endpoint,
      database: z.strictObject({ name: z.string(), type_id: z.literal(1) }),
      query_info: z.strictObject({ query_string: z.string(), uid: z.string() }).optional(),
    }),
    z.strictObject({
      ...base,
      class_uid: z.literal(6003),
      category_uid: z.literal(6),
      activity_id: activity(4),
      actor,
      src_endpoint: endpoint,
      dst_endpoint: endpoint.optional(),
      api: z.strictObject({ operation: z.string().min(1), service: z.strictObject({ name: z.string() }) }),
      resources: z.array(z.strictObject({ name: z.string() })).optional(),
    }),
    z.strictObject({
      ...base,
      class_uid: z.literal(2004),
      category_uid: z.literal(2),
      activity_id: activity(3),
      is_alert: z.boolean(),
      actor: actor.optional(),
      finding_info: z.strictObject({
        uid: z.string(),
        title: z.string(),
        desc: z.string(),
        created_time: z.int(),
        types: z.array(z.string()),
        related_events: z.array(z.strictObject({ uid: z.string() })).optional(),
      }),
    }),
  ])
  .refine(({ class_uid, activity_id, type_uid }) => type_uid === class_uid * 100 + activity_id, 'type_uid')
  .refine(({ activity_id, activity_name }) => activity_id !== 99 || activity_name !== undefined, 'activity_name')

const origin = 'sallyport/0123456789abcdef'
const opened = (session: string, protocol: string): Event => ({
  type: 'session.opened',
  atMs: 1_700_000_000_000,
  session,
  agent: 'coder',
  data: { owner: 'ada', handle: 'h', protocol, upstream: `${protocol}-upstream`, peer: '127.0.0.1:50123' },
})
const ofSession = (session: string, type: Event['type'], data: Event['data']): Event => ({
  type,
  atMs: 1_700_000_000_500,
  session,
  agent: 'coder',
  data,
})

function translate(...events: readonly Event[]): readonly OcsfEvent[] {
  const translation = new OcsfExport(origin)
  return events.flatMap((event, index) => translation.translate(index, event))
}

describe('the log as OCSF', () => {
  it('every kind of event is valid by the schema, with and without a session that is known', () => {
    const translation = new OcsfExport(origin)
    for (const [index, type] of eventTypes.entries()) {
      for (const event of [
        { type, atMs: 1, data: {} },
        { type, atMs: 1, session: 'unknown', agent: 'coder', data: { text: 'x', operations: [{ kind: 'read' }, { more: 3 }] } },
      ] as const) {
        for (const written of translation.translate(index, event)) expect(() => classesShape.parse(written), type).not.toThrow()
      }
    }
  })

  it('says what an agent did to a database', () => {
    const sql = 'DELETE FROM orders'
    const [connect, intent, outcome] = translate(
      opened('s1', 'postgres'),
      ofSession('s1', 'intent', {
        text: sql,
        operations: [
          { action: 'postgres.insert', kind: 'write' },
          { action: 'postgres.delete', kind: 'destroy' },
        ],
      }),
      ofSession('s1', 'outcome', { intent: 'i', result: 'failed' }),
    )
    expect(classesShape.parse(connect)).toMatchObject({
      class_uid: 6005,
      activity_id: 3,
      type_uid: 600_503,
      src_endpoint: { ip: '127.0.0.1' },
    })
    expect(classesShape.parse(intent)).toMatchObject({
      class_uid: 6005,
      activity_id: 7,
      actor: { app_name: 'coder', user: { name: 'ada' }, session: { uid: 's1' } },
      database: { name: 'postgres-upstream' },
      query_info: { query_string: sql },
      metadata: { sequence: 1, uid: `${origin}/1`, event_code: 'intent' },
    })
    expect(classesShape.parse(outcome)).toMatchObject({ activity_id: 99, activity_name: 'outcome', status_id: 2 })
  })

  it('and to an API, and what was refused', () => {
    const [, denied] = translate(
      opened('s2', 'http'),
      ofSession('s2', 'decision', {
        outcome: 'deny',
        why: 'no',
        operations: [{ action: 'railway.volumeDelete', kind: 'destroy' }],
      }),
    )
    expect(classesShape.parse(denied)).toMatchObject({
      class_uid: 6003,
      activity_id: 4,
      severity_id: 3,
      status_id: 2,
      message: 'no',
      api: { operation: 'railway.volumeDelete', service: { name: 'http-upstream' } },
    })
  })

  it('counted reads one by one, alarms as findings, people as those who act', () => {
    const read = (session: string): object => ({ session, agent: 'coder', key: 'k', count: 40, firstAtMs: 5, lastAtMs: 9 })
    const written = translate(
      opened('s1', 'postgres'),
      { type: 'reads', atMs: 10, data: { reads: JSON.parse(JSON.stringify([read('s1'), read('s9')])) } },
      { type: 'alarm', atMs: 11, agent: 'coder', data: { kind: 'burst', why: 'too many', events: [1, 2] } },
      { type: 'kill', atMs: 12, data: { kind: 'agent', name: 'coder', by: 'ada', reason: 'enough' } },
    )
    for (const one of written) expect(() => classesShape.parse(one)).not.toThrow()
    expect(written[1]).toMatchObject({ class_uid: 6005, activity_id: 4, count: 40, start_time: 5, end_time: 9 })
    expect(written[2]).toMatchObject({ class_uid: 6003, activity_id: 2, count: 40 })
    expect(written[3]).toMatchObject({
      class_uid: 2004,
      severity_id: 4,
      finding_info: { title: 'burst', related_events: [{ uid: `${origin}/1` }, { uid: `${origin}/2` }] },
    })
    expect(written[4]).toMatchObject({ actor: { user: { name: 'ada' } }, api: { operation: 'kill' }, severity_id: 4 })
  })
})
