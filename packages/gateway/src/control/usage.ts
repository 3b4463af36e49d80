import { type Event, impactKinds, type ImpactKind, readLoggedOperations } from '@sallyport/core'
import { z } from 'zod'

/** What one agent did of one kind, on one upstream. */
export interface Use {
  readonly action: string
  readonly kind: ImpactKind
  /** Null: its session was opened before the counting began. */
  readonly upstream: string | null
  /** Ran, each by its intent. */
  ran: number
  /** Put to people, whatever became of it. */
  asked: number
  lastAtMs: number
}

const agentsMax = 1_000
const usesMax = 500
const sessionsMax = 5_000
const openedShape = z.object({ upstream: z.string() })
const askedShape = z.object({
  question: z.object({ upstream: z.string(), operations: z.array(z.object({ action: z.string(), kind: z.enum(impactKinds) })) }),
})

/** What agents really used, as the log says it: every write by its intent, every kind of read when a session first made it, and what it asked people for. */
export class Usage {
  readonly #upstreams = new Map<string, string>()
  readonly #agents = new Map<string, Map<string, Use>>()
  #fromMs: number | null = null

  add({ type, atMs, agent, session, data }: Event): void {
    this.#fromMs ??= atMs
    if (type === 'session.opened' && session !== undefined) this.#noteSession(session, data)
    if (type === 'request.opened' && agent !== undefined) this.#noteAsked(agent, atMs, data)
    if ((type !== 'intent' && type !== 'statement') || agent === undefined) return
    const upstream = this.upstreamOf(session)
    for (const { action, kind } of readLoggedOperations(data['operations']).each)
      this.#count(agent, { action, kind, upstream, ran: 1, asked: 0, lastAtMs: atMs })
  }

  /** Asking for it is using it: whoever waits for people would lose what they wait for. */
  #noteAsked(agent: string, atMs: number, data: Event['data']): void {
    const asked = askedShape.safeParse(data)
    if (!asked.success) return
    const { upstream, operations } = asked.data.question
    for (const { action, kind } of operations) this.#count(agent, { action, kind, upstream, ran: 0, asked: 1, lastAtMs: atMs })
  }

  #noteSession(session: string, data: Event['data']): void {
    const opened = openedShape.safeParse(data)
    if (!opened.success) return
    this.#upstreams.set(session, opened.data.upstream)
    if (this.#upstreams.size > sessionsMax) this.#upstreams.delete(this.#upstreams.keys().next().value ?? '')
  }

  #count(agent: string, use: Use): void {
    const uses = this.#agents.get(agent) ?? new Map<string, Use>()
    if (!this.#agents.has(agent) && this.#agents.size < agentsMax) this.#agents.set(agent, uses)
    const key = `${use.kind} ${use.action} ${use.upstream ?? ''}`
    const known = uses.get(key)
    if (known === undefined) {
      if (uses.size < usesMax) uses.set(key, use)
      return
    }
    known.ran += use.ran
    known.asked += use.asked
    known.lastAtMs = use.lastAtMs
  }

  /** Null: its session was opened before the counting began. */
  upstreamOf(session: string | undefined): string | null {
    return this.#upstreams.get(session ?? '') ?? null
  }

  /** Most used first. */
  of(agent: string): readonly Readonly<Use>[] {
    return [...(this.#agents.get(agent)?.values() ?? [])].toSorted(
      (left, right) => right.ran + right.asked - left.ran - left.asked,
    )
  }

  get fromMs(): number | null {
    return this.#fromMs
  }
}
