import { type Acted, type LiveMessage, liveShape, type NowView, type ShownLine } from '../shapes/now.ts'

/** What the stream said last, for whoever shows it. */
export interface LiveState {
  readonly state: 'connecting' | 'live' | 'reconnecting' | 'ended'
  readonly lines: readonly ShownLine[]
  readonly totals: NowView['totals'] | null
  readonly minute: LiveMessage['minute'] | null
  /** By agent and upstream: what the stream said anew since this page was opened. */
  readonly acting: ReadonlyMap<string, Acted>
  readonly logSize: number
  /** Events that were too many to show since this page was opened. */
  readonly skipped: number
  /** Grows when sessions, kills, requests or the configuration changed. */
  readonly changes: number
}

const linesKept = 200
const pairsKept = 200

/** What one agent does on one upstream is told apart by this. */
export function pairOf({ agent, upstream }: Pick<Acted, 'agent' | 'upstream'>): string {
  return JSON.stringify([agent, upstream])
}

const first: LiveState = {
  state: 'connecting',
  lines: [],
  totals: null,
  minute: null,
  acting: new Map(),
  logSize: 0,
  skipped: 0,
  changes: 0,
}
let current: LiveState = first
const listeners = new Set<() => void>()

export function subscribeLive(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function currentLive(): LiveState {
  return current
}

function become(next: Partial<LiveState>): void {
  current = { ...current, ...next }
  for (const listener of listeners) listener()
}

/** What the page was opened with: lines that the stream then goes on from. */
export function seedLive(lines: readonly ShownLine[]): void {
  if (current.lines.length === 0 && lines.length > 0) become({ lines })
}

function hear(message: LiveMessage): void {
  const newest = current.lines[0]?.index ?? -1
  const fresh = message.lines.filter(({ index }) => index > newest).toReversed()
  become({
    state: 'live',
    lines: fresh.length === 0 ? current.lines : [...fresh, ...current.lines].slice(0, linesKept),
    totals: message.totals,
    minute: message.minute,
    acting: new Map([...current.acting, ...message.acting.map((acted) => [pairOf(acted), acted] as const)].slice(-pairsKept)),
    logSize: message.logSize,
    skipped: current.skipped + message.skipped,
    changes: current.changes + (message.changed ? 1 : 0),
  })
}

function read(data: unknown): void {
  if (typeof data !== 'string') return
  const message = liveShape.safeParse(JSON.parse(data))
  if (message.success) hear(message.data)
}

/** One tab of a browser holds the stream and tells the others, so that many tabs don't use up its connections. */
export function startLive(): void {
  const channel = new BroadcastChannel('sallyport-console')
  channel.addEventListener('message', (event: MessageEvent<unknown>) => read(event.data))
  void navigator.locks.request('sallyport-console', () => {
    const source = new EventSource(`/console/stream?after=${current.lines[0]?.index ?? ''}`)
    source.addEventListener('live', (event) => {
      read(event.data)
      channel.postMessage(event.data)
    })
    source.addEventListener('open', () => become({ state: 'live' }))
    source.addEventListener('error', () => become({ state: source.readyState === EventSource.CLOSED ? 'ended' : 'reconnecting' }))
    return new Promise<never>(() => undefined)
  })
}
