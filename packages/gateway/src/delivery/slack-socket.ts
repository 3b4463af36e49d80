import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { isOwnHost, type Clock, type Json } from '@sallyport/core'
import type { WebSocket } from 'undici'
import { z } from 'zod'
import { DeliveryError, type Attachment } from './receiver.ts'
import { callSlack, type SlackPlace } from './slack-api.ts'

export interface SocketSettings extends SlackPlace {
  readonly appToken: string
  readonly clock: Clock
  /** What a command is answered; within two seconds, or it is only acknowledged. */
  readonly answer: (payload: unknown) => Promise<Json>
}

/** Everything that Slack sends (docs.slack.dev, using Socket Mode); what it says besides is none of ours. */
const frameShape = z.object({
  type: z.string().max(64),
  envelope_id: z.string().min(1).max(128).optional(),
  accepts_response_payload: z.boolean().optional(),
  payload: z.unknown().optional(),
})
type Frame = z.infer<typeof frameShape>

/** Bytes of one message; Slack's are a few thousand. */
const frameBytesMax = 1024 * 1024
const openTimeoutMs = 15_000
/** Slack wants each envelope acknowledged within three seconds. */
const answerTimeoutMs = 2_000
const answersMax = 20
const pingEveryMs = 30_000
const retryMsMin = 1_000
const retryMsMax = 60_000
/** A connection that ends sooner counts as a failure, or one that is refreshed at once would be opened in a circle. */
const steadyMs = 30_000

/** One connection that said hello. */
interface Line {
  /** `refresh`: it still works, and another one is wanted in its place. */
  readonly ended: Promise<'refresh' | 'closed'>
  close(): void
}

/** Slack's Socket Mode: we dial out, so there is no port to open. What comes in is acknowledged; a command is answered; nothing else is done about it. */
export class SlackSocket implements Attachment {
  readonly #settings: SocketSettings
  readonly #stopped = new AbortController()
  #fault: string | null = 'its socket is not open yet'
  #running: Promise<void> = Promise.resolve()
  #line: Line | null = null
  #answering = 0

  constructor(settings: SocketSettings) {
    this.#settings = settings
  }

  start(): void {
    this.#running = this.#run()
  }

  fault(): string | null {
    return this.#fault
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    this.#line?.close()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock } = this.#settings
    const { signal } = this.#stopped
    let failures = 0
    while (!signal.aborted) {
      const beganMs = clock.nowMs()
      const waitMs = await this.#stay().catch((error: unknown) => this.#failed(error))
      failures = clock.nowMs() - beganMs >= steadyMs ? 0 : failures + 1
      const retryMs = failures === 0 ? 0 : Math.min(retryMsMax, retryMsMin * 2 ** Math.min(failures - 1, 10))
      const pauseMs = Math.max(waitMs, retryMs)
      if (pauseMs > 0 && !signal.aborted) await clock.sleep(pauseMs, signal)
    }
    this.#line?.close()
  }

  #failed(error: unknown): number {
    this.#fault = `its socket: ${error instanceof DeliveryError ? error.message : 'it could not be opened'}`
    return error instanceof DeliveryError ? error.waitMs : 0
  }

  /** Opens another connection beside the one there is, then lets go of that: nothing falls between. Resolves when this one has to be replaced. */
  async #stay(): Promise<number> {
    const url = await this.#findUrl()
    const line = await this.#dial(url)
    this.#line?.close()
    this.#line = line
    this.#fault = null
    if (this.#stopped.signal.aborted) return 0
    if ((await line.ended) === 'refresh') return 0
    this.#fault = 'its socket was closed'
    return 0
  }

  async #findUrl(): Promise<string> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(openTimeoutMs)])
    const call = { method: 'apps.connections.open', token: this.#settings.appToken, fields: {} } as const
    const { url } = await callSlack(this.#settings, call, signal)
    const parsed = URL.parse(url ?? '')
    const isSafe = parsed?.protocol === 'wss:' || (parsed?.protocol === 'ws:' && isOwnHost(parsed.hostname))
    if (parsed === null || !isSafe) throw new DeliveryError('Slack gave no address for it that is safe')
    return parsed.href
  }

  /** Resolves once Slack said hello. */
  async #dial(url: string): Promise<Line> {
    // Loaded only where it is used: a start is to be quick.
    const { Agent, ping, WebSocket } = await import('undici')
    const { authorities, clock } = this.#settings
    const connect = authorities === null ? {} : { ca: authorities }
    const dispatcher = new Agent({ connect, webSocket: { maxPayloadSize: frameBytesMax } })
    const socket = new WebSocket(url, { dispatcher })
    const hello = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<'refresh' | 'closed'>()
    const gone = new AbortController()
    let heardMs = clock.nowMs()
    const pong = (message: unknown): void => {
      if (typeof message === 'object' && message !== null && 'websocket' in message && message.websocket === socket)
        heardMs = clock.nowMs()
    }
    subscribe('undici:websocket:pong', pong)
    const end = (): void => {
      unsubscribe('undici:websocket:pong', pong)
      gone.abort()
      ended.resolve('closed')
      hello.reject(new DeliveryError('it was closed before it began'))
      socket.close()
      void dispatcher.destroy().catch(() => undefined)
    }
    socket.addEventListener('close', end)
    socket.addEventListener('error', end)
    socket.addEventListener('message', ({ data }) => {
      heardMs = clock.nowMs()
      const frame = readFrame(data)
      if (frame?.type === 'hello') hello.resolve()
      else if (frame?.type === 'disconnect') ended.resolve('refresh')
      else if (frame !== null) void this.#acknowledge(socket, frame)
    })
    const watch = async (): Promise<void> => {
      while (!gone.signal.aborted) {
        await clock.sleep(pingEveryMs, gone.signal)
        // A connection that a middlebox forgot hears nothing any more, and nobody says so.
        if (clock.nowMs() - heardMs > 2 * pingEveryMs) end()
        else if (socket.readyState === WebSocket.OPEN) ping(socket)
      }
    }
    void watch()
    const patience = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(openTimeoutMs)])
    patience.addEventListener('abort', () => hello.reject(new DeliveryError('it did not say hello in time')), { once: true })
    if (patience.aborted) hello.reject(new DeliveryError('the gate is stopping'))
    try {
      await hello.promise
    } catch (error) {
      end()
      throw error
    }
    return { ended: ended.promise, close: end }
  }

  async #acknowledge(socket: WebSocket, frame: Frame): Promise<void> {
    const { envelope_id: id, type, accepts_response_payload: takesAnswer, payload } = frame
    if (id === undefined) return
    const wantsAnswer = type === 'slash_commands' && takesAnswer === true && this.#answering < answersMax
    const answer = wantsAnswer ? await this.#answer(payload) : null
    if (socket.readyState !== socket.OPEN) return
    socket.send(JSON.stringify({ envelope_id: id, ...(answer !== null && { payload: answer }) }))
  }

  async #answer(payload: unknown): Promise<Json | null> {
    this.#answering += 1
    const late = new AbortController()
    const tooLate = this.#settings.clock.sleep(answerTimeoutMs, late.signal).then(() => null)
    try {
      return await Promise.race([this.#settings.answer(payload), tooLate])
    } catch {
      return null
    } finally {
      late.abort()
      this.#answering -= 1
    }
  }
}

function readFrame(data: unknown): Frame | null {
  if (typeof data !== 'string') return null
  try {
    const parsed = frameShape.safeParse(JSON.parse(data))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
