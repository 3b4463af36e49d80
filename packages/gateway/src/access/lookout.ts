import { Watch, type Clock, type Event, type Log } from '@sallyport/core'

/** An alarm is answered at once. One this long before a gate was killed, and not answered, was not meant to be. */
const answeredWithinMs = 10_000

interface Logged {
  readonly index: number
  readonly event: Event
}

export interface LookoutPorts {
  readonly clock: Clock
  readonly log: Log
  /** Hears of events once they are durable. */
  readonly subscribe: (listener: (events: readonly Logged[]) => void) => () => void
  /** What is on the log already: habits are learned from it, and nothing of it is told again. */
  readonly past: () => Promise<readonly Logged[]>
  /** Alarms that stop the agent they are about. */
  readonly stopping: ReadonlySet<string>
  readonly stop: (agent: string, reason: string) => Promise<unknown>
}

/**
 * Looks at the log as it grows, raises alarms for what single events do not show, and stops an agent where the configuration says that an alarm does.
 * It is behind the log, never before it: nothing waits for it.
 */
export function openLookout({ clock, log, subscribe, past, stopping, stop }: LookoutPorts): { close(): void } {
  const watch = new Watch()
  /** What came before the past was learned; null from then on. */
  let early: Logged[] | null = []
  const close = subscribe((events) => {
    if (early !== null) early.push(...events)
    else look(events)
  })
  void past()
    .catch((): readonly Logged[] => [])
    .then((learned) => {
      const unanswered = new Unanswered(stopping)
      for (const { index, event } of learned) {
        watch.see(index, event)
        unanswered.see(index, event)
      }
      for (const { index, event } of unanswered.left()) answer(event, index)
      const waiting = (early ?? []).filter(({ index }) => index > (learned.at(-1)?.index ?? -1))
      early = null
      look(waiting)
    })

  function look(events: readonly Logged[]): void {
    for (const { index, event } of events) {
      if (event.type === 'alarm') {
        answer(event, index)
        continue
      }
      const spotted = watch.see(index, event)
      if (spotted === null) continue
      const { kind, who, session, events: rests, why } = spotted
      const about = kind === 'knocking' ? {} : { agent: who }
      const data = { kind, who, why, events: [...rests] }
      const alarm = { type: 'alarm', atMs: clock.nowMs(), ...about, ...(session === null ? {} : { session }), data } as const
      void log.append(alarm).catch(() => undefined)
    }
  }

  function answer({ agent, data }: Event, index: number): void {
    const { kind } = data
    if (typeof kind !== 'string' || !stopping.has(kind) || agent === undefined || agent === '') return
    // Whatever comes of it is on the log: a kill that could not be written still holds.
    void stop(agent, `alarm ${kind} (event ${index} on the log)`).catch(() => undefined)
  }

  return { close }
}

/** Alarms of the run before that should have stopped somebody, when that run was killed before it could. */
class Unanswered {
  readonly #stopping: ReadonlySet<string>
  #alarms = new Map<string, Logged>()
  #before: readonly Logged[] = []
  #lastAtMs = 0

  constructor(stopping: ReadonlySet<string>) {
    this.#stopping = stopping
  }

  see(index: number, event: Event): void {
    const { type, agent, data, atMs } = event
    // The start of this very gate is among the past: what counts is the run before it.
    if (type === 'gate.started') {
      this.#before = [...this.#alarms.values()].filter((one) => this.#lastAtMs - one.event.atMs <= answeredWithinMs)
      this.#alarms = new Map()
    }
    this.#lastAtMs = atMs
    if (type === 'gate.stopped') this.#alarms.clear()
    if (type === 'kill' && (data['kind'] === 'agent' || data['kind'] === 'all')) this.#forget(data['kind'], data['name'])
    const kind = data['kind']
    if (type === 'alarm' && agent !== undefined && typeof kind === 'string' && this.#stopping.has(kind))
      this.#alarms.set(agent, { index, event })
  }

  #forget(kind: string, name: unknown): void {
    const isStopped = ({ event }: Logged): boolean => kind === 'all' || event.agent === name
    for (const [agent, alarm] of this.#alarms) if (isStopped(alarm)) this.#alarms.delete(agent)
    this.#before = this.#before.filter((one) => !isStopped(one))
  }

  left(): readonly Logged[] {
    return this.#before
  }
}
