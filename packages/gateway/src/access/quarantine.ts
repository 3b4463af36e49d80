import {
  SallyportError,
  type Clock,
  type Connector,
  type KillSwitch,
  type Log,
  type Quarantine as MovedAway,
  type Quarantined,
  type Upstream,
} from '@sallyport/core'

export interface QuarantinePorts {
  readonly clock: Clock
  readonly log: Log
  readonly killSwitch: KillSwitch
  /** What the gate itself moved. */
  readonly store: {
    of(upstream: string): readonly MovedAway[] | Promise<readonly MovedAway[]>
    forget(upstream: string, id: string): void | Promise<void>
  }
  /** Whether this gate is the one that does this, for so long. Absent: there is no other. */
  readonly claim?: (name: string, forMs: number) => Promise<boolean>
  /** The upstreams where what is dropped is kept out of reach first, with how long. */
  readonly keptMs: ReadonlyMap<string, number>
  readonly withUpstream: <Result>(
    name: string,
    work: (upstream: Upstream, connector: Connector) => Promise<Result>,
  ) => Promise<Result>
}

/** How long a gate that took one has to drop it, before another tries. */
const claimMs = 300_000
/** How often it looks, unless something is to be kept for less. */
const sweepEveryMs = 15_000

/** What is in quarantine, with the upstream it is in. */
interface QuarantinedThing extends Quarantined {
  readonly upstream: string
}

/**
 * Shuts the rooms that something was moved into, and drops for good what is due: people approved that, and the time in which they could take it back is
 * over. Each is on the log before it goes. While a kill is in force nothing goes.
 */
export class Quarantine {
  readonly #ports: QuarantinePorts
  readonly #stopped = new AbortController()
  #looking: Promise<void> = Promise.resolve()

  constructor(ports: QuarantinePorts) {
    this.#ports = ports
  }

  start(): void {
    if (this.#ports.keptMs.size > 0) this.#looking = this.#look()
  }

  /** Waits for the drop that runs now, if one does. */
  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#looking
  }

  /** @throws SallyportError when one of the upstreams does not answer */
  async list(): Promise<readonly QuarantinedThing[]> {
    const found: QuarantinedThing[] = []
    for (const upstream of this.#ports.keptMs.keys())
      found.push(...(await this.#find(upstream)).map((one) => ({ ...one, upstream })))
    return found
  }

  async #find(name: string): Promise<readonly Quarantined[]> {
    const { store, withUpstream } = this.#ports
    const known = await store.of(name)
    if (known.length === 0) return []
    return withUpstream(name, async (upstream, connector) => (await connector.quarantined?.(upstream, known)) ?? [])
  }

  async #look(): Promise<void> {
    const { clock, keptMs } = this.#ports
    const everyMs = Math.min(sweepEveryMs, ...keptMs.values())
    const { signal } = this.#stopped
    while (!signal.aborted) {
      // A database that is away now is looked at the next time; until then nothing of it goes.
      for (const name of keptMs.keys()) if (!signal.aborted) await this.#sweep(name).catch(() => undefined)
      await clock.sleep(everyMs, signal)
    }
  }

  async #sweep(name: string): Promise<void> {
    for (const one of await this.#find(name)) if (one.due && !this.#stopped.signal.aborted) await this.#purge(name, one)
  }

  async #purge(name: string, one: Quarantined): Promise<void> {
    const { clock, log, killSwitch, store, withUpstream } = this.#ports
    if (killSwitch.stopped('', '', '', name) !== null) return
    if (!(await (this.#ports.claim?.(`purge ${name} ${one.id}`, claimMs) ?? true))) return
    const { id, things, bytes, untilMs } = one
    const data = { upstream: name, quarantine: id, things: [...things], bytes, untilMs }
    await log.append({ type: 'quarantine.purge', atMs: clock.nowMs(), data })
    try {
      await withUpstream(name, async (upstream, connector) => connector.purge?.(upstream, one))
      await log.append({ type: 'quarantine.purged', atMs: clock.nowMs(), data })
      await store.forget(name, id)
    } catch (error) {
      const why = error instanceof SallyportError ? error.message : 'it failed'
      await log.append({ type: 'quarantine.kept', atMs: clock.nowMs(), data: { ...data, why } })
    }
  }
}
