import { get } from 'node:http'
import { eventTypes, type Event } from '@sallyport/core'
import { afterEach, describe, expect, it } from 'vitest'
import { render, startMetrics, type Metrics, type MetricsPorts } from './exposition.ts'
import { Tally } from './tally.ts'

const opened = (session: string, upstream: string): Event => ({
  type: 'session.opened',
  atMs: 0,
  session,
  agent: 'coder',
  data: { upstream },
})
const of = (session: string, type: Event['type'], data: Event['data'], atMs = 0): Event => ({
  type,
  atMs,
  session,
  agent: 'coder',
  data,
})

function tallied(...events: readonly Event[]): string {
  const tally = new Tally(['orders-db'])
  for (const event of events) tally.see(event)
  return render(tally.families())
}

describe('what is counted', () => {
  it('is verdicts, outcomes with their times, reads and alarms, by upstream and impact', () => {
    const operations = [
      { action: 'postgres.update', kind: 'write' },
      { action: 'postgres.delete', kind: 'destroy' },
    ]
    const text = tallied(
      opened('s1', 'orders-db'),
      of('s1', 'intent', { intent: 'i1', operations }, 1_000),
      of('s1', 'outcome', { intent: 'i1', result: 'succeeded' }, 1_030),
      of('s1', 'decision', { outcome: 'deny', code: 'refused_by_guard', operations }),
      {
        type: 'reads',
        atMs: 0,
        data: {
          reads: [
            { session: 's1', agent: 'coder', key: 'k', count: 40 },
            { session: 'sx', agent: 'a', key: 'k', count: 2 },
          ],
        },
      },
      { type: 'alarm', atMs: 0, agent: 'coder', data: { kind: 'burst' } },
    )
    expect(text).toContain('sallyport_verdicts_total{verdict="permit",code="",impact="destroy",upstream="orders-db"} 1\n')
    expect(text).toContain(
      'sallyport_verdicts_total{verdict="deny",code="refused_by_guard",impact="destroy",upstream="orders-db"} 1\n',
    )
    expect(text).toContain('sallyport_outcomes_total{result="succeeded",impact="destroy",upstream="orders-db"} 1\n')
    expect(text).toContain('sallyport_operation_seconds_bucket{upstream="orders-db",le="0.025"} 0\n')
    expect(text).toContain('sallyport_operation_seconds_bucket{upstream="orders-db",le="0.05"} 1\n')
    expect(text).toContain('sallyport_operation_seconds_count{upstream="orders-db"} 1\n')
    expect(text).toContain('sallyport_reads_total{upstream="orders-db"} 40\n')
    expect(text).toContain('sallyport_reads_total{upstream="other"} 2\n')
    expect(text).toContain('sallyport_alarms_total{kind="burst"} 1\n')
  })

  it('has no more series, whatever agents make up', () => {
    const flood = Array.from({ length: 3_000 }, (_, number) => [
      opened(`s${number}`, `made up ${number}`),
      of(`s${number}`, 'intent', { intent: `i${number}`, operations: [{ action: `a${number}`, kind: `k${number}` }] }),
      of(`s${number}`, 'outcome', { intent: `i${number}`, result: `r${number}` }),
      of(`s${number}`, 'decision', { outcome: 'deny', code: `c${number}` }),
      { type: 'alarm', atMs: 0, data: { kind: `k${number}` } } as const,
    ]).flat()
    const text = tallied(...flood)
    expect(text.split('\n').length).toBeLessThan(60)
    expect(text).not.toMatch(/made up|[akcr]\d/)
    for (const type of eventTypes) expect(() => tallied({ type, atMs: 0, data: {} })).not.toThrow()
  })

  it('stands in lines that nothing in a label can break', () => {
    const samples = [{ labels: { receiver: 'a"b\\c\nd' }, value: 1 }]
    expect(render([{ name: 'x', help: 'h', type: 'gauge', samples }])).toBe(
      '# HELP x h\n# TYPE x gauge\nx{receiver="a\\"b\\\\c\\nd"} 1\n',
    )
  })
})

describe('who asks', () => {
  let metrics: Metrics | null = null
  afterEach(async () => metrics?.close())

  const ports: MetricsPorts = {
    log: {
      subscribe: (listener) => {
        listener([{ event: opened('s1', 'orders-db') }])
        return () => undefined
      },
      health: () => ({ size: 10, state: 'ok', checkpointSize: 8, witnessedSize: null, oldestReadAgeMs: 3 }),
    },
    upstreams: ['orders-db'],
    sessions: () => 4,
    kills: () => 1,
    ready: async () => ({ ready: false, problems: ['vault'] }),
    receivers: () => [{ name: 'siem', behind: 7, failures: 2 }],
  }

  function ask(path: string): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      get(`http://${metrics?.address}${path}`, (response) => {
        let text = ''
        response.on('data', (piece: Buffer) => (text += piece.toString()))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      }).on('error', reject)
    })
  }

  it('gets counts and how far everything is behind', async () => {
    metrics = await startMetrics({ host: '127.0.0.1', port: 0 }, ports)
    const { status, text } = await ask('/metrics')
    expect(status).toBe(200)
    for (const line of [
      'sallyport_sessions 4',
      'sallyport_kills_in_force 1',
      'sallyport_log_unsigned_entries 2',
      'sallyport_log_unwitnessed_entries 10',
      'sallyport_log_read_age_seconds 0.003',
      'sallyport_receiver_behind_entries{receiver="siem"} 7',
      'sallyport_events_total{type="session.opened"} 1',
    ])
      expect(text).toContain(`${line}\n`)
    expect((await ask('/')).status).toBe(404)
    expect(await ask('/healthz')).toEqual({ status: 200, text: 'ok\n' })
    expect(await ask('/readyz')).toEqual({ status: 503, text: '{"ready":false,"problems":["vault"]}\n' })
  })

  it('gets nothing where nothing was configured, and a gate whose port is taken does not start', async () => {
    expect(await startMetrics(null, ports)).toBeNull()
    metrics = await startMetrics({ host: '127.0.0.1', port: 0 }, ports)
    const port = Number(metrics?.address.split(':').at(-1))
    await expect(startMetrics({ host: '127.0.0.1', port }, ports)).rejects.toThrow(/Nothing can listen for metrics/)
  })
})
