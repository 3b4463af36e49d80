import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { CommandFailure, exitCodes, type ExitCode } from './failure.ts'
import { isAlive, isClosedToUs, readRun, type Run } from './state-directory.ts'

/** Bodies beyond this are not the control API's. */
const answerBytesMax = 16 * 1024 * 1024
const answerTimeoutMs = 15_000
/** For what works through a whole copy: as long as fetch itself waits for an answer to begin. */
export const longAnswerTimeoutMs = 300_000

/** The people's API of a running gate, as the operator of this machine. Answers are parsed with the shape the caller names. */
export interface ControlClient {
  readonly run: Run
  get<Shape>(path: string, shape: z.ZodType<Shape>): Promise<Shape>
  post<Shape>(path: string, body: unknown, shape: z.ZodType<Shape>, timeoutMs?: number): Promise<Shape>
  /** Server-sent events (their `data`) or JSON lines, one parsed value each, until the signal aborts or the gate ends it. */
  stream<Shape>(path: string, shape: z.ZodType<Shape>, signal?: AbortSignal): AsyncIterable<Shape>
}

const refusalShape = z.object({
  error: z.union([
    z.string(),
    z.object({
      code: z.string().optional(),
      message: z.string().optional(),
      what: z.string().optional(),
      notDone: z.string().optional(),
      next: z.string().optional(),
    }),
  ]),
})

/** Finds the running gate by its state directory. Fails with exit code 3 when none runs there. */
export async function connectControl(stateDirectory: string): Promise<ControlClient> {
  const directory = resolve(stateDirectory)
  const run = readRun(directory)
  // A port left by a dead gate may be somebody else's by now, who would be handed the operator's token.
  if (!run || !isAlive(run.gatewayPid)) throw noGate(directory)
  const base = new URL(run.controlUrl)
  if (base.protocol !== 'https:' && !isLoopback(base.hostname)) {
    throw unreachable(
      `The gate's address ${base.origin} is neither on this machine nor https.`,
      'Start the gate again with `sallyport up`.',
    )
  }
  const token = readToken(directory)
  const call = (path: string, method: string, body: unknown, signal: AbortSignal): Promise<Response> =>
    request(new URL(path, base), method, body, token, signal)
  return {
    run,
    async get(path, shape) {
      return readAnswer(await call(path, 'GET', undefined, AbortSignal.timeout(answerTimeoutMs)), shape)
    },
    async post(path, body, shape, timeoutMs = answerTimeoutMs) {
      return readAnswer(await call(path, 'POST', body, AbortSignal.timeout(timeoutMs)), shape)
    },
    stream(path, shape, signal) {
      return readStream(() => call(path, 'GET', undefined, signal ?? new AbortController().signal), shape, signal)
    },
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

function noGate(directory: string): CommandFailure {
  if (isClosedToUs(directory)) {
    return unreachable(`This user may not read the gate's state in ${directory}.`, 'Run it as the user who started the gate.')
  }
  return unreachable(
    `No gate is running with its state in ${directory}.`,
    'Start one with `sallyport up`, or name its state directory with --state.',
  )
}

function unreachable(what: string, next: string): CommandFailure {
  return new CommandFailure(exitCodes.unreachable, 'gate_unreachable', what, 'The gate was not asked.', next)
}

function readToken(directory: string): string {
  try {
    return readFileSync(join(directory, 'operator.token'), 'utf8').trim()
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw unreachable(
      `The operator's token in ${directory} cannot be read (${reason}).`,
      'Run this as the user the gate runs as, or start the gate again with `sallyport up`.',
    )
  }
}

async function request(url: URL, method: string, body: unknown, token: string, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { authorization: `Bearer ${token}`, accept: 'application/json, text/event-stream' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  let response: Response
  try {
    // A redirect would carry the token to where it was not meant to go.
    response = await fetch(url, {
      method,
      headers,
      signal,
      redirect: 'error',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    if (signal.aborted && signal.reason instanceof DOMException && signal.reason.name === 'AbortError') throw error
    throw unreachable(`The gate at ${url.origin} does not answer.`, 'See what `sallyport up` printed, or run `sallyport doctor`.')
  }
  if (response.ok) return response
  throw await readRefusal(response)
}

async function readRefusal(response: Response): Promise<CommandFailure> {
  const parsed = refusalShape.safeParse(parseJson(await readText(response)))
  const said = parsed.success ? parsed.data.error : {}
  const detail = typeof said === 'string' ? { message: said } : said
  return new CommandFailure(
    exitCodeFor(response.status),
    detail.code ?? `http_${response.status}`,
    detail.message ?? detail.what ?? `The gate answered ${response.status}.`,
    detail.notDone ?? 'Nothing was changed.',
    detail.next ?? 'Run `sallyport doctor`.',
  )
}

function exitCodeFor(status: number): ExitCode {
  if (status === 400 || status === 422) return exitCodes.usage
  if (status >= 400 && status < 500) return status === 404 ? exitCodes.failed : exitCodes.refused
  return exitCodes.failed
}

async function readAnswer<Shape>(response: Response, shape: z.ZodType<Shape>): Promise<Shape> {
  const text = await readText(response)
  return shape.parse(text === '' ? null : parseJson(text))
}

/** The body's stream is typed loosely; its reader is not. */
async function* chunksOf(response: Response): AsyncIterable<Uint8Array> {
  if (response.body === null) return
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader()
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunksOf(response)) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > answerBytesMax)
      throw unreachable('The gate answered with more than it ever should.', 'Run `sallyport doctor`.')
  }
  return text + decoder.decode()
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function* readStream<Shape>(
  open: () => Promise<Response>,
  shape: z.ZodType<Shape>,
  signal: AbortSignal | undefined,
): AsyncIterable<Shape> {
  try {
    const response = await open()
    const eventStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false
    for await (const line of readLines(response)) {
      const data = eventStream ? (line.startsWith('data:') ? line.slice(5).trim() : '') : line.trim()
      if (data !== '') yield shape.parse(parseJson(data))
    }
  } catch (error) {
    if (signal?.aborted) return
    throw error
  }
}

async function* readLines(response: Response): AsyncIterable<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunksOf(response)) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > answerBytesMax) throw unreachable('The gate sent a line without an end.', 'Run `sallyport doctor`.')
    yield* lines
  }
  if (rest !== '') yield rest
}
