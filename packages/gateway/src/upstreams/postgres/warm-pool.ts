import { isOutOfPlaces, type Connected } from './connect.ts'
import { Fitness } from './fitness.ts'

/** The longest a connection waits for its session. A password that was changed meanwhile is noticed no later. */
const ageMaxMs = 60_000
/** What nobody asked for in so long is kept ready no more. */
const wantedMs = 600_000
const sweepEveryMs = 5_000
/** After one could not be made, none is made for so long: the server may have no place left, or the role no right. */
const restMs = 5_000
/** The session that took one has its first answer before the next one is made, which keeps a server busy that forks for it. */
const fillAfterMs = 5
/** Between tries where the server had no place left. */
const firstPauseMs = 10
const lastPauseMs = 320
/** Ways to connect that are remembered of one upstream. */
const lanesMax = 64

/** Opens and authenticates, and checks that it leads where it should. */
export type Dial = (signal: AbortSignal) => Promise<Connected>

interface Idle {
  readonly connected: Connected
  readonly fitness: Fitness
  readonly readyMs: number
  readonly forget: () => void
}

/** Connections that are authenticated as one role with one set of start-up settings: nothing else may be handed out in their place. */
interface Lane {
  readonly dial: Dial
  readonly idle: Idle[]
  making: number
  wantedAtMs: number
}

/**
 * Connections of one upstream that are authenticated ahead. Each is handed to one session, once, and never comes back: it has run nothing but the
 * gate's own questions: what a session begins with, and whether a connection made now would be the same.
 */
export class WarmPool {
  readonly #max: number
  readonly #nowMs: () => number
  /** The one wanted longest ago comes first. */
  readonly #lanes = new Map<string, Lane>()
  #ending = new AbortController()
  #sweeper: NodeJS.Timeout | null = null
  #restUntilMs = -Infinity

  /** @param max of all lanes together; 0: none is made ahead */
  constructor(max: number, nowMs: () => number = () => performance.now()) {
    this.#max = max
    this.#nowMs = nowMs
  }

  /** How many are ready. */
  get size(): number {
    return [...this.#lanes.values()].reduce((sum, { idle }) => sum + idle.length, 0)
  }

  /**
   * A connection for one session: one made ahead where there is one that is still as if made now, else a new one.
   * @param key says all that the connection is authenticated as, and every setting it starts with
   */
  async take(key: string, dial: Dial, signal: AbortSignal): Promise<Connected> {
    if (this.#max === 0) return dial(signal)
    const lane = this.#want(key, dial)
    const ready = await this.#takeReady(lane, signal)
    const connected = ready ?? (await this.#dialAnyway(dial, signal))
    setTimeout(() => this.#fill(lane), fillAfterMs).unref()
    return connected
  }

  #want(key: string, dial: Dial): Lane {
    const lane = this.#lanes.get(key) ?? { dial, idle: [], making: 0, wantedAtMs: 0 }
    this.#lanes.delete(key)
    this.#lanes.set(key, lane)
    lane.wantedAtMs = this.#nowMs()
    for (const [oldest, { idle }] of this.#lanes) {
      if (this.#lanes.size <= lanesMax) break
      this.#lanes.delete(oldest)
      for (const one of idle) one.connected.socket.destroy()
    }
    return lane
  }

  async #takeReady(lane: Lane, signal: AbortSignal): Promise<Connected | null> {
    for (;;) {
      const one = lane.idle.shift()
      if (one === undefined) return null
      one.forget()
      const { connected, fitness, readyMs } = one
      const isYoung = this.#nowMs() - readyMs <= ageMaxMs
      const taken = isYoung && !connected.socket.destroyed ? await fitness.take(signal) : null
      if (taken !== null) return taken
      connected.socket.destroy()
    }
  }

  /** Where the server has no place left, those that only wait for somebody give theirs up. It takes the server a moment to see that. */
  async #dialAnyway(dial: Dial, signal: AbortSignal): Promise<Connected> {
    for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
      const used = this.#used
      try {
        return await dial(signal)
      } catch (error) {
        const hasGivenUp = pauseMs > firstPauseMs
        if (!isOutOfPlaces(error) || (used === 0 && !hasGivenUp) || pauseMs > lastPauseMs || signal.aborted) throw error
      }
      this.#rest()
      this.#giveUpAll()
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  /** Ready, and on their way. */
  get #used(): number {
    return [...this.#lanes.values()].reduce((sum, { idle, making }) => sum + idle.length + making, 0)
  }

  #fill(lane: Lane): void {
    if (this.#nowMs() < this.#restUntilMs || this.#ending.signal.aborted || !this.#holds(lane)) return
    while (lane.idle.length + lane.making < this.#max) {
      if (this.#used >= this.#max && !this.#giveUpOther(lane)) return
      void this.#make(lane)
    }
  }

  /** One of the lane that was wanted longest ago makes room. */
  #giveUpOther(lane: Lane): boolean {
    for (const other of this.#lanes.values()) {
      const one = other === lane ? undefined : other.idle.shift()
      if (one === undefined) continue
      one.forget()
      one.connected.socket.destroy()
      return true
    }
    return false
  }

  async #make(lane: Lane): Promise<void> {
    lane.making += 1
    const { signal } = this.#ending
    try {
      const connected = await lane.dial(signal)
      const fitness = new Fitness(connected)
      const hasBegun = await fitness.begin(signal)
      if (!hasBegun && !signal.aborted) this.#rest()
      if (hasBegun && !signal.aborted && this.#holds(lane)) this.#keep(lane, connected, fitness)
      else connected.socket.destroy()
    } catch {
      if (!signal.aborted) this.#rest()
    } finally {
      lane.making -= 1
    }
  }

  #rest(): void {
    this.#restUntilMs = this.#nowMs() + restMs
  }

  #holds(lane: Lane): boolean {
    return [...this.#lanes.values()].includes(lane)
  }

  #keep(lane: Lane, connected: Connected, fitness: Fitness): void {
    const { socket } = connected
    const drop = (): void => {
      forget()
      const at = lane.idle.indexOf(one)
      if (at !== -1) lane.idle.splice(at, 1)
      socket.destroy()
    }
    const forget = (): void => {
      socket.pause()
      socket.off('data', drop)
      socket.off('close', drop)
      socket.ref()
    }
    const one: Idle = { connected, fitness, readyMs: this.#nowMs(), forget }
    // A server that says anything meanwhile says that it is ending, or that a setting is another: then a new one is made instead.
    socket.on('data', drop)
    socket.on('close', drop)
    socket.resume()
    socket.unref()
    lane.idle.push(one)
    this.#sweeper ??= setInterval(() => this.sweep(), sweepEveryMs).unref()
  }

  /** Replaces what is old, forgets what nobody wants any more. Called from time to time. */
  sweep(): void {
    const nowMs = this.#nowMs()
    for (const [key, lane] of this.#lanes) {
      const isWanted = nowMs - lane.wantedAtMs <= wantedMs
      for (const one of lane.idle.filter(({ readyMs }) => !isWanted || nowMs - readyMs > ageMaxMs)) one.connected.socket.destroy()
      lane.idle.splice(0, lane.idle.length, ...lane.idle.filter(({ connected }) => !connected.socket.destroyed))
      if (!isWanted) this.#lanes.delete(key)
    }
    // The one wanted last is filled first.
    // No other lane gives anything up because of time.
    for (const lane of [...this.#lanes.values()].toReversed()) if (this.#used < this.#max) this.#fill(lane)
    if (this.#lanes.size > 0 || this.#sweeper === null) return
    clearInterval(this.#sweeper)
    this.#sweeper = null
  }

  /** Synchronously: nothing that was made ahead is there after it, nothing is on its way, and nothing is wanted. */
  drop(): void {
    this.#giveUpAll()
    this.#lanes.clear()
  }

  #giveUpAll(): void {
    this.#ending.abort()
    this.#ending = new AbortController()
    for (const { idle } of this.#lanes.values()) for (const one of idle.splice(0)) one.connected.socket.destroy()
  }

  close(): void {
    this.drop()
    this.#ending.abort()
    if (this.#sweeper !== null) clearInterval(this.#sweeper)
    this.#sweeper = null
  }
}
