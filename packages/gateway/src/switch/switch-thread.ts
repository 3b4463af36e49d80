import { mkdtempSync, rmSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads'
import { SallyportError, sha256Hex } from '@sallyport/core'
import { readRecord } from './open-kills.ts'
import { wordCount, words, type SwitchData, type ToSwitch } from './heard.ts'
import { toGateShape, type KillOrder } from './order.ts'
import { removeAddress, writeAddress } from './switch-address.ts'

/** How long the gate's thread has to confirm a kill before its process is ended: longer than any honest pause of it. */
const leaseMs = 5_000
/** How often the gate looks whether the switch's thread lives, and after how many looks in vain it takes it for dead. */
const lookEveryMs = 250
const looksInVainMax = 20
/** Megabytes of JavaScript heap: it holds a few orders. */
const heapMb = 32
/** Bytes of a socket's path that every system takes, with its final zero. */
const socketPathBytesMax = 100

/** What stopping took, as seen by the gate's thread. */
export interface Halt {
  readonly sessions: number
  readonly haltMs: number
}

export interface SwitchSettings {
  /** The state folder. */
  readonly directory: string
  readonly token: string
  readonly nowMs: () => number
  /** Stops what the order names: synchronously, so that nothing of it is written upstream after. Returns how many sessions it ended. */
  readonly stop: (order: KillOrder) => number
  /** Has it in the store and on the log; the kill's id. */
  readonly write: (order: KillOrder, halt: Halt) => Promise<number>
  /** The switch cannot be heard any more: everything stops until a new start. */
  readonly deaf: (reason: string) => void
  readonly report: (problem: string) => void
  readonly leaseMs?: number
  /** Other gates share the store; `write` resolves when all of them have stopped it too. */
  readonly isShared?: boolean
  /** To the thread that hears the other gates: what is pulled is told them without a turn of the gate's own thread. */
  readonly gates?: MessagePort | null
  /** What the thread runs. Only a test names another. */
  readonly program?: URL
}

/** What the gate asks before it writes anything upstream. */
export interface KillEar {
  /** Carries out what was pulled since the last look. A glance at shared memory when there is nothing. */
  hear(): void
}

export interface SwitchThread extends KillEar {
  close(): Promise<void>
}

/** Carries out what the last life left open, then starts the switch's thread; resolves when that listens. */
export async function startSwitch(settings: SwitchSettings): Promise<SwitchThread> {
  const { directory, nowMs, stop, write } = settings
  const recordPath = join(directory, 'kills.record')
  for (const order of readRecord(recordPath, nowMs())) await write(order, { sessions: stop(order), haltMs: 0 })
  const inState = join(directory, 'switch.sock')
  const folder = Buffer.byteLength(inState) <= socketPathBytesMax ? null : mkdtempSync(join(tmpdir(), 'sallyport-switch-'))
  const socketPath = folder === null ? inState : join(folder, 'switch.sock')
  const thread = new RunningSwitch(settings, {
    recordPath,
    socketPath,
    filePath: join(directory, 'kill'),
    tokenSha256: sha256Hex(settings.token),
    leaseMs: settings.leaseMs ?? leaseMs,
    isShared: settings.isShared ?? false,
    memory: new SharedArrayBuffer(wordCount * Int32Array.BYTES_PER_ELEMENT),
    gates: settings.gates ?? null,
  })
  await thread.listening
  writeAddress(directory, { socketPath, pid: process.pid })
  return {
    hear: () => thread.hear(),
    close: async () => {
      removeAddress(directory)
      await thread.close()
      rmSync(folder ?? socketPath, { recursive: true, force: true })
    },
  }
}

class RunningSwitch implements SwitchThread {
  readonly listening: Promise<void>
  readonly #settings: SwitchSettings
  readonly #memory: Int32Array
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #look: NodeJS.Timeout
  readonly #signal = (): void => this.#tell({ says: 'signal' })
  #heard = 0
  #beat = 0
  #looksInVain = 0
  #isClosing = false

  constructor(settings: SwitchSettings, data: Omit<SwitchData, 'port'>) {
    this.#settings = settings
    this.#memory = new Int32Array(data.memory)
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const listening = Promise.withResolvers<void>()
    this.listening = listening.promise
    this.#worker = new Worker(settings.program ?? new URL('./switch-worker.ts', import.meta.url), {
      workerData: { ...data, port: port2 } satisfies SwitchData,
      transferList: data.gates === null ? [port2] : [port2, data.gates],
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
      execArgv: [],
      env: compiledCode(),
      stdin: false,
    })
    this.#worker.on('error', (error) => {
      this.#lost(messageOf(error))
      listening.reject(notStarted(error))
    })
    this.#worker.on('exit', () => {
      this.#lost('its thread has ended')
      listening.reject(notStarted(null))
    })
    this.#port.on('message', (message: unknown) => this.#take(message, listening.resolve))
    // Neither keeps a process alive that has nothing else to do, once it listens.
    void this.listening.then(
      () => {
        this.#port.unref()
        this.#worker.unref()
      },
      () => this.#port.close(),
    )
    this.#look = setInterval(() => this.#lookAtBeat(), lookEveryMs).unref()
    process.on('SIGUSR2', this.#signal)
  }

  hear(): void {
    if (Atomics.load(this.#memory, words.pulled) === this.#heard) return
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port)) {
      this.#take(next.message)
    }
  }

  #take(message: unknown, listens?: () => void): void {
    const said = toGateShape.parse(message)
    if (said.says === 'listening') return listens?.()
    const { number, order } = said
    this.#heard = number
    const startedMs = performance.now()
    let sessions: number
    try {
      sessions = this.#settings.stop(order)
    } catch (error) {
      // Not confirmed: when the lease ends the process does.
      return this.#settings.report(`A kill could not be carried out, so this process ends: ${messageOf(error)}.`)
    }
    this.#tell({ says: 'stopped', number, sessions })
    void this.#write(number, order, { sessions, haltMs: performance.now() - startedMs })
  }

  async #write(number: number, order: KillOrder, halt: Halt): Promise<void> {
    let id: number | null = null
    try {
      id = await this.#settings.write(order, halt)
    } catch (error) {
      this.#settings.report(`A kill holds, and stands in the switch's own record alone: ${messageOf(error)}.`)
    }
    this.#tell({ says: 'written', number, id })
  }

  #tell(message: ToSwitch): void {
    this.#port.postMessage(message)
  }

  /** The switch's thread lives as long as its beat goes on. A machine that slept stops both threads, so looks are counted and not time. */
  #lookAtBeat(): void {
    const beat = Atomics.load(this.#memory, words.beat)
    this.#looksInVain = beat === this.#beat ? this.#looksInVain + 1 : 0
    this.#beat = beat
    if (this.#looksInVain === looksInVainMax) this.#lost('its thread does not answer')
  }

  #lost(why: string): void {
    if (this.#isClosing) return
    this.#isClosing = true
    clearInterval(this.#look)
    this.#settings.deaf(`this gate cannot hear its kill switch: ${why}`)
    this.#settings.report(`This gate stopped everything, for it cannot hear its kill switch: ${why}. Start it again.`)
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearInterval(this.#look)
    process.off('SIGUSR2', this.#signal)
    await this.#worker.terminate()
    this.#port.close()
  }
}

/** All that the thread sees of our environment: where compiled code is kept. */
function compiledCode(): { readonly NODE_COMPILE_CACHE?: string } {
  const folder = getCompileCacheDir()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error'
}

function notStarted(cause: unknown): SallyportError {
  return new SallyportError(
    'internal',
    `The kill switch's own thread did not start${cause instanceof Error ? `: ${cause.message}` : ''}.`,
    'The gate did not start.',
    'A gate without its switch runs nothing: see that its state folder can be written, and start it again.',
    { cause },
  )
}
