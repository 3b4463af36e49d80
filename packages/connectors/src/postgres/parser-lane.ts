import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import type { Operation } from '@sallyport/core'
import { unreadable } from './describe-text.ts'
import { isAnswer, type Answer } from './parser-answer.ts'

export interface LaneSettings {
  /** Longest time for one text, from when the thread could begin with it. */
  readonly timeoutMs: number
  /** Texts handed to the thread at once. More save wake-ups; one that fails or hangs makes the rest run again. */
  readonly windowMax: number
  /** Texts that may wait. One more is unknown at once. */
  readonly waitingMax: number
  /** Longest time a text waits for its turn; then it is unknown. */
  readonly waitMs: number
  /** Short texts go first, since the time a text takes grows with its length: a flood of long ones holds up only its like. */
  readonly shortestFirst: boolean
  /** The thread is given up after so long without work, with the memory that long texts took. Null: kept. */
  readonly idleMs: number | null
}

/** One parser thread and the texts that wait for it. It never keeps the process alive by itself. */
export interface Lane {
  describe(sql: string): Promise<readonly Operation[]>
  /** How often the thread had to be replaced because of a fault or a time-out. */
  faults(): number
  close(): Promise<void>
}

interface Job {
  readonly id: number
  readonly sql: string
  readonly sinceMs: number
  readonly done: (operations: readonly Operation[]) => void
}

/** Megabytes. Deeply nested SQL needs as much; with the default stack it ends the thread. */
const stackSizeMb = 64
/** Megabytes of JavaScript heap: a tree of the longest text needs a tenth. */
const heapMb = 512

/** All that the thread sees of our environment: where compiled code is kept, without which its start takes three times as long. */
function compiledCode(): { readonly NODE_COMPILE_CACHE?: string } {
  const folder = getCompileCacheDir()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) }
}

/**
 * After some ten texts V8 would compile PostgreSQL's grammar, one function of 100 KB, once more: that takes 600 MB and over a second of a
 * processor, to make a text cheaper that is read once and then remembered (40 µs instead of 55). What V8 makes at first stays. It holds for all
 * WebAssembly of the process, and must be said before the first of it is compiled in a thread.
 */
function keepFirstCode(): void {
  setFlagsFromString('--no-wasm-dynamic-tiering')
  setFlagsFromString('--no-wasm-tier-up')
}

export function openLane(settings: LaneSettings): Lane {
  const waiting: Job[] = []
  let running: Job[] = []
  let worker: Worker | null = null
  let timer: NodeJS.Timeout | null = null
  let nextId = 0
  let faults = 0
  let isReady = false
  let idle: NodeJS.Timeout | null = null

  function start(): Worker {
    keepFirstCode()
    const made = new Worker(new URL('./parser-worker.ts', import.meta.url), {
      resourceLimits: { stackSizeMb, maxOldGenerationSizeMb: heapMb },
      execArgv: [],
      env: compiledCode(),
      stdin: false,
    })
    made.on('message', (message: unknown) => {
      if (made === worker && isAnswer(message)) finish(message)
    })
    made.on('online', () => {
      isReady = true
      arm()
    })
    made.on('error', () => replace(made, true))
    made.on('exit', () => replace(made, true))
    return made
  }

  function finish(answer: Answer): void {
    const job = running.shift()
    // answers come in the order of the questions; another order means a thread that can't be trusted
    if (!job || job.id !== answer.id) {
      if (job) running.unshift(job)
      if (worker) replace(worker, true)
      return
    }
    disarm()
    job.done(answer.operations)
    if (answer.isSpent && worker) replace(worker, false)
    else pump()
  }

  /** Gives the thread up. The text it was at is unknown when it was to blame; those behind it run again. */
  function replace(old: Worker, isFault: boolean): void {
    if (old !== worker) return
    worker = null
    isReady = false
    disarm()
    void old.terminate()
    if (isFault) {
      faults += 1
      running.shift()?.done([unreadable('makes the parser fail, or takes it too long')])
    }
    waiting.unshift(...running)
    running = []
    pump()
  }

  function pump(): void {
    if (waiting.length === 0 && running.length === 0) {
      worker?.unref()
      rest()
      return
    }
    if (idle) clearTimeout(idle)
    idle = null
    const current = worker ?? start()
    worker = current
    current.ref()
    while (running.length < settings.windowMax) {
      const job = takeNext()
      if (!job) break
      running.push(job)
      current.postMessage({ id: job.id, sql: job.sql })
    }
    arm()
  }

  function takeNext(): Job | undefined {
    for (;;) {
      const index = settings.shortestFirst
        ? waiting.reduce((best, job, at) => (job.sql.length < (waiting[best]?.sql.length ?? 0) ? at : best), 0)
        : 0
      const [job] = index === 0 ? [waiting.shift()] : waiting.splice(index, 1)
      if (!job || performance.now() - job.sinceMs <= settings.waitMs) return job
      job.done([unreadable('waited too long for its turn to be read')])
    }
  }

  function rest(): void {
    if (settings.idleMs === null || idle || !worker) return
    idle = setTimeout(() => {
      idle = null
      const old = worker
      worker = null
      isReady = false
      void old?.terminate()
    }, settings.idleMs)
    idle.unref()
  }

  /** The clock runs for the text at the head, once the thread is up. */
  function arm(): void {
    if (timer || running.length === 0) return
    const allowedMs = isReady ? settings.timeoutMs : settings.timeoutMs + startMs
    const head = running[0]
    timer = setTimeout(() => {
      timer = null
      // An answer that came while this thread was busy is heard first.
      setImmediate(() => {
        if (worker && running[0] === head) replace(worker, true)
      })
    }, allowedMs)
  }

  function disarm(): void {
    if (timer) clearTimeout(timer)
    timer = null
  }

  return {
    describe: (sql) =>
      new Promise((done) => {
        if (waiting.length >= settings.waitingMax) {
          done([unreadable('came while too many others waited to be read')])
          return
        }
        nextId += 1
        waiting.push({ id: nextId, sql, sinceMs: performance.now(), done })
        pump()
      }),
    faults: () => faults,
    close: async () => {
      const old = worker
      worker = null
      disarm()
      if (idle) clearTimeout(idle)
      for (const job of [...running.splice(0), ...waiting.splice(0)]) job.done([unreadable('came while the gate was closing')])
      await old?.terminate()
    },
  }
}

/** How much longer the first text of a new thread may take: its program and PostgreSQL's parser are loaded first. */
const startMs = 10_000
