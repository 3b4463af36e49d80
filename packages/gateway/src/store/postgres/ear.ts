import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads'
import type { Ear } from '../store.ts'

export interface ThreadEar extends Ear {
  /** To every gate, at once: what this one stops now. A hint; the store says what is in force. */
  callOut(hint: string): void
  /** The switch's thread hands over by it what it was told to kill. */
  readonly pulls: MessagePort
  close(): Promise<void>
}

/** Megabytes of JavaScript heap: it holds a message at a time. */
const heapMb = 32

/**
 * What the ear's own thread heard, told to `take` in the middle of whatever this thread is at. It only makes a kill quicker: a gate whose ear is
 * gone still hears by its own line, and freezes with its lease.
 */
export function openEar(settings: { readonly url: string; readonly gate: string }, take: (message: string) => void): ThreadEar {
  const { port1, port2 } = new MessageChannel()
  const pulls = new MessageChannel()
  const memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const told = new Int32Array(memory)
  const folder = getCompileCacheDir()
  const worker = new Worker(new URL('./ear-worker.ts', import.meta.url), {
    workerData: { ...settings, memory, port: port2, pulls: pulls.port2 },
    transferList: [port2, pulls.port2],
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
    execArgv: [],
    // All that the thread sees of our environment: where compiled code is kept.
    env: folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) },
    stdin: false,
  })
  worker.on('error', () => undefined)
  worker.unref()
  const pass = (message: unknown): void => {
    if (typeof message === 'string') take(message)
  }
  port1.on('message', pass)
  port1.unref()
  let seen = 0
  return {
    hear: () => {
      const now = Atomics.load(told, 0)
      if (now === seen) return
      seen = now
      for (let next = receiveMessageOnPort(port1); next !== undefined; next = receiveMessageOnPort(port1)) pass(next.message)
    },
    callOut: (hint) => port1.postMessage(hint),
    pulls: pulls.port1,
    close: async () => {
      await worker.terminate()
      port1.close()
      pulls.port1.close()
    },
  }
}
