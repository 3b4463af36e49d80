import { recover, SallyportError, type Event, type VerdictPorts } from '@sallyport/core'
import { z } from 'zod'
import type { FileLog, LoggedEvent } from './file-log.ts'

/** Small facts that outlive a run: here, from where on the log has not been looked at by a recovery. */
export interface RunMemory {
  get(name: string): string | null | Promise<string | null>
  set(name: string, value: string): void | Promise<void>
}

/** What the log says was taken away, for a store that may not have it: the store's folder keeps it. */
export interface Narrowing {
  kill(kind: KillKind, name: string, reason: string, by: string, atMs: number): void | Promise<void>
  revokeHandle(id: string, nowMs: number): void | Promise<void>
  endHandle(id: string, endsAtMs: number, nowMs: number): void | Promise<void>
  removePerson(name: string, by: string, nowMs: number): void | Promise<void>
  removePasskey(person: string, credentialId: string): void | Promise<void>
  removeCodeApp(person: string, id: string): void | Promise<void>
  freeze(reason: string, nowMs: number): void | Promise<void>
}

const readBatch = 1_000
const killKind = z.enum(['session', 'agent', 'owner', 'upstream', 'all'])
type KillKind = z.infer<typeof killKind>
const killData = z.object({ kind: killKind, name: z.string(), reason: z.string().default(''), by: z.string().default('') })
const revokedData = z.object({ handle: z.string() })
const rotatedData = z.object({ rotated: z.string(), oldEndsAtMs: z.number() })
const removalData = z.object({ person: z.string(), by: z.string() })
const restoredData = z.object({ person: z.string() })
const passkeyData = z.object({ person: z.string(), removed: z.string() })
const codeAppData = z.object({ person: z.string(), app: z.string() })

/** Store and log agree again before anything listens. */
export async function recoverRun(
  verdicts: VerdictPorts,
  log: FileLog,
  meta: RunMemory,
  narrowing: Narrowing,
  report: (problem: string) => void,
): Promise<void> {
  const known = Number((await meta.get('recoverFrom')) ?? -1)
  const from = Math.max(0, known)
  // A start that was cut off before it could remember itself is no later run of another store.
  const seen = new Seen(known, Number((await meta.get('startingAt')) ?? -1))
  const found = await recover(verdicts, seen.watch(readEvents(log, from, log.size())))
  for (const intent of found.unknown) report(`intent ${intent} has no outcome: it may have run; look at the upstream`)
  const nowMs = verdicts.clock.nowMs()
  await seen.apply(narrowing, nowMs)
  if (seen.laterRuns > 0) {
    const why = `the store is older than the log: ${seen.laterRuns} later ${seen.laterRuns === 1 ? 'run' : 'runs'} of this gate are not in it`
    report(`${why}; everything is stopped until a person releases it`)
    await log.append({ type: 'alarm', atMs: nowMs, data: { kind: 'old_store', why } })
    await narrowing.freeze(why, nowMs)
  }
  await meta.set('startingAt', String(log.size()))
  const started = await log.append({
    type: 'gate.started',
    atMs: verdicts.clock.nowMs(),
    data: { unknown: found.unknown, givenBack: found.givenBack, applied: found.applied },
  })
  await meta.set('recoverFrom', String(started))
}

/** What passed by on the log since the start that the store remembers, besides what recovery itself looks at. */
class Seen {
  /** Where on the log the last start that the store remembers stands; -1: it remembers none. */
  readonly #known: number
  readonly #startingAt: number
  readonly #kills = new Map<string, { readonly data: z.infer<typeof killData>; readonly atMs: number }>()
  readonly #revoked: string[] = []
  readonly #rotated: z.infer<typeof rotatedData>[] = []
  readonly #removed: z.infer<typeof removalData>[] = []
  readonly #passkeys: z.infer<typeof passkeyData>[] = []
  readonly #codeApps: z.infer<typeof codeAppData>[] = []
  laterRuns = 0

  constructor(known: number, startingAt: number) {
    this.#known = known
    this.#startingAt = startingAt
  }

  async *watch(events: AsyncIterable<Event>): AsyncGenerator<Event> {
    let index = Math.max(0, this.#known)
    for await (const event of events) {
      this.#note(event, index)
      index += 1
      yield event
    }
  }

  #note({ type, data, atMs }: Event, index: number): void {
    if (type === 'gate.started' && index > this.#known && !this.#wasCutOff(index)) this.laterRuns += 1
    if (type === 'handle.revoked') this.#revoked.push(revokedData.parse(data).handle)
    if (type === 'handle.rotated') this.#rotated.push(rotatedData.parse(data))
    if (type === 'person.removed') this.#removed.push(removalData.parse(data))
    // Somebody who was taken back is not removed again by the next start.
    if (type === 'person.restored') this.#forgetRemoval(restoredData.parse(data).person)
    if (type === 'passkey.removed') this.#passkeys.push(passkeyData.parse(data))
    if (type === 'code.removed') this.#codeApps.push(codeAppData.parse(data))
    if (type !== 'kill' && type !== 'release') return
    const stop = killData.parse(data)
    if (type === 'kill') this.#kills.set(`${stop.kind} ${stop.name}`, { data: stop, atMs })
    else this.#kills.delete(`${stop.kind} ${stop.name}`)
  }

  #forgetRemoval(person: string): void {
    for (const [at, one] of this.#removed.entries()) if (one.person === person) this.#removed.splice(at, 1)
  }

  #wasCutOff(index: number): boolean {
    return this.#startingAt > this.#known && index >= this.#startingAt
  }

  async apply(narrowing: Narrowing, nowMs: number): Promise<void> {
    for (const { data, atMs } of this.#kills.values()) await narrowing.kill(data.kind, data.name, data.reason, data.by, atMs)
    for (const handle of this.#revoked) await narrowing.revokeHandle(handle, nowMs)
    for (const { rotated, oldEndsAtMs } of this.#rotated) await narrowing.endHandle(rotated, oldEndsAtMs, nowMs)
    for (const { person, removed } of this.#passkeys) await narrowing.removePasskey(person, removed)
    for (const { person, app } of this.#codeApps) await narrowing.removeCodeApp(person, app)
    for (const { person, by } of this.#removed) await narrowing.removePerson(person, by, nowMs)
  }
}

async function* readEvents(log: FileLog, from: number, to: number): AsyncGenerator<Event, void> {
  for (let next = from; next < to;) {
    const batch = await log.read(next, Math.min(readBatch, to - next))
    if (batch.length === 0)
      throw new SallyportError(
        'log_unavailable',
        `The log ends at ${next}, before ${to}.`,
        'The gate did not start.',
        'Run sallyport log verify.',
      )
    for (const { event } of batch) yield event
    next += batch.length
  }
}

/** The log as it grows, in the shape that the people's listener asks for. */
export function feedOf(log: FileLog): {
  recent(after: number | null, limit: number): Promise<readonly LoggedEvent[]>
  subscribe(listener: (recorded: LoggedEvent) => void): () => void
} {
  return {
    recent: async (after, limit) => {
      const size = log.size()
      const from = Math.max(after === null ? 0 : after + 1, size - limit)
      return from >= size ? [] : log.read(from, size - from)
    },
    subscribe: (listener) => log.subscribe((events) => events.forEach(listener)),
  }
}
