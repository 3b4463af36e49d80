import { z } from 'zod'
import { type NowView, nowShape, type RequestsView, requestsShape } from '@sallyport/console'

const many = 40
const upstreamOf = (index: number): string => (index % 3 === 0 ? 'customers-of-the-european-region' : 'orders-db')
const longName = 'nightly-reconciliation-worker-of-the-billing-team'

/** The first page as it is, and more of everything: many agents, long names, long texts, a busy hour. */
export function stretchNow(text: string): NowView {
  const view = z.parse(nowShape, JSON.parse(text))
  const times = Array.from({ length: many }, (_, index) => index)
  const nameOf = (index: number): string => (index === 0 ? longName : `agent-${index}`)
  return {
    ...view,
    agents: times.map((index) => ({ name: nameOf(index), owner: 'billing-platform@example.test' })),
    acting: times.slice(0, 14).map((index) => ({
      agent: nameOf(index),
      upstream: upstreamOf(index),
      counts: {
        read: 12_345 * (many - index),
        write: 431 * index,
        disrupt: index % 5 === 0 ? 2 : 0,
        escalate: index % 7 === 0 ? 1 : 0,
        destroy: index === 3 ? 4 : 0,
        unknown: index === 5 ? 1 : 0,
        refused: index * 3,
      },
      lastAtMs: view.nowMs - index * 4_000,
    })),
    environments: { ...view.environments, 'customers-of-the-european-region': 'production', 'orders-db': 'staging' },
    sessions: times.flatMap((index) =>
      view.sessions
        .slice(0, 1)
        .map((session) => ({ ...session, id: `${session.id}${index}`, agent: nameOf(index), upstream: upstreamOf(index) })),
    ),
    sessionsInAll: many,
    waiting: times.flatMap((index) =>
      view.waiting.slice(0, 1).map((request) => ({
        ...request,
        id: `${request.id}${index}`,
        agent: nameOf(index),
        upstream: upstreamOf(index),
        state: index % 4 === 1 ? ('cooling' as const) : ('pending' as const),
        notBeforeMs: view.nowMs + 540_000,
      })),
    ),
    waitingInAll: many,
    minutes: view.minutes
      .map(({ startMs }, index) => ({
        startMs,
        counts: {
          read: 400 + 300 * Math.abs(Math.sin(index / 6)),
          write: 90 + 60 * Math.abs(Math.cos(index / 4)),
          disrupt: index % 20 === 0 ? 6 : 0,
          escalate: index % 17 === 0 ? 4 : 0,
          destroy: index > 40 && index % 6 === 0 ? 30 : 0,
          unknown: 0,
          refused: index > 45 ? 25 : 2,
        },
      }))
      .map(({ startMs, counts }) => ({
        startMs,
        counts: { ...counts, read: Math.round(counts.read), write: Math.round(counts.write) },
      })),
  }
}

const dayMs = 86_400_000

/** The inbox after a month: verdicts on most days, some of them faster than anybody reads. */
export function stretchRequests(text: string): RequestsView {
  const view = z.parse(requestsShape, JSON.parse(text))
  const days = view.days.map((day, index) => ({ ...day, approved: (index * 7) % 11, rejected: index % 4, unanswered: index % 3 }))
  const waitsMs = days.flatMap(({ startMs }, index) => [
    { atMs: startMs + dayMs / 2, waitMs: 40_000 + 9_000 * (index % 7) },
    { atMs: startMs + dayMs / 3, waitMs: 90_000 + 30_000 * (index % 5) },
  ])
  return { ...view, days, waitsMs, verdicts: 190, verdictsUnderThreeSeconds: 104 }
}
