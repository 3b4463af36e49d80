import { Agent, request as openRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { SallyportError, type Json } from '@sallyport/core'
import { z } from 'zod'
import { notDone, toCopyError, toSallyportError, VaultRefusal } from './vault-refusal.ts'

/** Bytes of a document that the vault answers with, at most: the connector's manifest is in one. */
const documentBytesMax = 64 << 20
const connectionsMax = 64

export interface ConnectionSettings {
  readonly socketPath: string
  readonly token: string
  /** How long the vault may take to answer a small request. */
  readonly answerMs: number
  /** How long nothing may move while a part is on its way. */
  readonly idleMs: number
}

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly body?: Json
  readonly text?: string
  /** A small body that is whole already: it leaves in one piece. */
  readonly bytes?: Uint8Array
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** HTTP over the vault's Unix socket. Whatever goes wrong is a SallyportError or a VaultRefusal; every wait has an end. */
export class VaultConnection {
  readonly #settings: ConnectionSettings
  readonly #agent: Agent

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
    this.#agent = new Agent({ keepAlive: true, maxSockets: connectionsMax, maxFreeSockets: 8 })
  }

  /** Asks for a document. @throws VaultRefusal when the vault said no; SallyportError when it could not be asked */
  async ask<Schema extends z.ZodType>(what: Ask, schema: Schema): Promise<z.infer<Schema>> {
    const text = await this.askText(what)
    const parsed = schema.safeParse(parseJson(text))
    if (parsed.success) return parsed.data
    throw unavailable('The vault answered something this gate does not understand.')
  }

  async askText(what: Ask): Promise<string> {
    const timeoutMs = what.timeoutMs ?? this.#settings.answerMs
    const body = what.body === undefined ? (what.bytes ?? what.text ?? null) : JSON.stringify(what.body)
    const request = this.#open(what.method, what.path, body === null ? null : Buffer.byteLength(body))
    const timer = setTimeout(() => request.destroy(new Error('timeout')), timeoutMs)
    const abort = (): void => void request.destroy(new Error('aborted'))
    what.signal?.addEventListener('abort', abort, { once: true })
    try {
      const answered = untilAnswered(request)
      request.end(body ?? undefined)
      if (what.signal?.aborted === true) abort()
      return await readDocument(await answered)
    } catch (error) {
      throw asKnown(error)
    } finally {
      clearTimeout(timer)
      what.signal?.removeEventListener('abort', abort)
    }
  }

  /** Sends a stream, held back to the pace of the vault. An error of the source is passed on, and the vault forgets what it got. */
  async send<Schema extends z.ZodType>(
    path: string,
    source: AsyncIterable<Uint8Array>,
    schema: Schema,
  ): Promise<z.infer<Schema>> {
    const request = this.#open('PUT', path, null)
    request.setTimeout(this.#settings.idleMs, () => request.destroy(new Error('timeout')))
    const answered = untilAnswered(request)
    const stop = new AbortController()
    const broken: unknown[] = []
    const watched = watch(source, (error) => void broken.push(error))
    // Ends by itself once the request is destroyed; its failure shows in `answered` too.
    const sent = pipeline(watched, request, { signal: stop.signal }).catch(() => undefined)
    try {
      const text = await readDocument(await answered)
      const parsed = schema.safeParse(parseJson(text))
      if (parsed.success) return parsed.data
      throw unavailable('The vault answered something this gate does not understand.')
    } catch (error) {
      throw broken.length === 0 ? asKnown(error) : toCopyError(broken[0])
    } finally {
      stop.abort()
      await sent
    }
  }

  /** Receives a stream. It ends with an error, never early, when the vault breaks off. */
  async *receive(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const request = this.#open('GET', path, null)
    request.setTimeout(this.#settings.idleMs, () => request.destroy(new Error('timeout')))
    let whole = false
    try {
      const answered = untilAnswered(request)
      request.end()
      const response = await answered
      if (response.statusCode !== 200) {
        await readDocument(response)
        throw unavailable('The vault answered something this gate does not understand.')
      }
      for await (const piece of response) if (Buffer.isBuffer(piece)) yield piece
      if (!response.complete) throw unavailable('The vault broke off in the middle of a part.')
      whole = true
    } catch (error) {
      throw asKnown(error)
    } finally {
      if (!whole) request.destroy()
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #open(method: string, path: string, bytes: number | null): ClientRequest {
    const headers = { authorization: `Bearer ${this.#settings.token}`, ...(bytes === null ? {} : { 'content-length': bytes }) }
    return openRequest({ socketPath: this.#settings.socketPath, agent: this.#agent, method, path, headers, host: 'vault' })
  }
}

function untilAnswered(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
    request.once('close', () => reject(new Error('closed')))
  })
}

const refusalSchema = z.object({ error: z.string(), message: z.string() })

async function readDocument(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of response) {
    if (!Buffer.isBuffer(piece)) continue
    bytes += piece.length
    if (bytes > documentBytesMax) throw unavailable('The vault answered more than this gate takes.')
    pieces.push(piece)
  }
  const text = Buffer.concat(pieces).toString('utf8')
  const status = response.statusCode ?? 0
  if (status >= 200 && status < 300) return text
  const refusal = refusalSchema.safeParse(parseJson(text))
  throw refusal.success
    ? new VaultRefusal(refusal.data.error, refusal.data.message)
    : unavailable(`The vault answered with status ${status}.`)
}

async function* watch(
  source: AsyncIterable<Uint8Array>,
  failed: (error: unknown) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source
  } catch (error) {
    failed(error)
    throw error
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function asKnown(error: unknown): SallyportError | VaultRefusal {
  return error instanceof VaultRefusal || error instanceof SallyportError ? error : toSallyportError(error)
}

function unavailable(what: string): SallyportError {
  return new SallyportError('vault_unavailable', what, notDone, 'Check that gate and vault are of the same version.')
}
