import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  parseScope,
  SallyportError,
  stepsMax,
  type AgentDesk,
  type AllowedScope,
  type DeclaredPlan,
  type Handle,
} from '@sallyport/core'
import { z } from 'zod'
import { readBody } from './body.ts'
import type { Door } from './door.ts'
import { refuse } from './refusal.ts'
import type { Asker } from './token-exchange.ts'

/** Where an agent asks, with its own handle, how its requests stand, and for more scope for a time. */
const requestPath = /^\/requests\/([0-9a-f]{32})(?:\?wait=(\d{1,3}))?$/
const accessPath = '/access'
const plansPath = '/plans'

const waitSecondsMax = 60
const bodyBytesMax = 8 * 1024

const accessShape = z.strictObject({
  may: z.array(z.string().max(200)).min(1).max(8),
  minutes: z.int().min(1).max(1440),
  reason: z.string().min(1).max(500),
})

const planShape = z.strictObject({
  requests: z
    .array(z.string().regex(/^[0-9a-f]{32}$/))
    .min(2)
    .max(stepsMax),
  reason: z.string().min(1).max(500),
})

/** Long polls of one agent at once; past it the answer comes at once. One agent cannot take all connections by waiting. */
const waitsMax = 8

export class Waits {
  readonly #waiting = new Map<string, number>()

  /** The work, waiting for so long as there is room to. */
  async hold<Answer>(agent: string, waitMs: number, work: (waitMs: number) => Promise<Answer>): Promise<Answer> {
    const waiting = this.#waiting.get(agent) ?? 0
    if (waitMs === 0 || waiting >= waitsMax) return work(0)
    this.#waiting.set(agent, waiting + 1)
    try {
      return await work(waitMs)
    } finally {
      const left = (this.#waiting.get(agent) ?? 1) - 1
      if (left === 0) this.#waiting.delete(agent)
      else this.#waiting.set(agent, left)
    }
  }
}

export function isAgentPath(url: string): boolean {
  return url === accessPath || url === plansPath || url.startsWith('/requests/')
}

/** @throws SallyportError; what it says never holds the handle */
export async function answerAgent(
  { desk, door, waits }: { readonly desk: AgentDesk | undefined; readonly door: Door; readonly waits: Waits },
  asker: Asker,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (desk === undefined) throw refuse('not_supported', 'This gate answers no such questions.', 'Ask its owner.')
  const handle = await admit(door, asker, request)
  if (handle === null) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="sallyport"', 'content-length': 0 })
    response.end()
    return
  }
  if (request.url === accessPath) return answer(response, 200, await desk.requestAccess(handle, await readWanted(request)))
  if (request.url === plansPath) return answer(response, 200, await desk.declarePlan(handle, await readPlan(request)))
  if (request.method !== 'GET')
    throw refuse('not_supported', 'A request is looked at by GET; people decide about it elsewhere.', 'Send GET.')
  const [, id = '', wait = '0'] = requestPath.exec(request.url ?? '') ?? []
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const waitMs = Math.min(Number(wait), waitSecondsMax) * 1_000
  const found =
    id === '' ? null : await waits.hold(handle.agent, waitMs, (heldMs) => desk.inquire(handle, id, heldMs, gone.signal))
  if (found === null)
    return answer(response, 404, {
      code: 'not_in_scope',
      title: 'This agent has no such request.',
      notDone: 'Nothing was looked up.',
      next: 'Use the id that a refusal named, and the handle of the agent that asked.',
    })
  answer(response, 200, found)
}

async function admit(door: Door, { peer, address }: Asker, { headers }: IncomingMessage): Promise<Handle | null> {
  if (headers['proxy-authorization'] !== undefined)
    throw refuse('not_supported', 'The handle comes as Authorization.', 'Send it once, there.')
  const admission = await door.admit(headers.authorization, peer, address)
  return admission.kind === 'admitted' ? admission.handle : null
}

const accessExample = 'Send {"may":["write orders-db"],"minutes":30,"reason":"…"}.'
const planExample = 'Send {"requests":["ID of the first step","ID of the second"],"reason":"…"}.'

async function readWanted(
  request: IncomingMessage,
): Promise<{ scopes: readonly AllowedScope[]; durationMs: number; reason: string }> {
  const shape = accessShape.safeParse(await readJson(request, accessExample))
  if (!shape.success) throw refuse('protocol_violation', 'This is not what asking for scope looks like.', accessExample)
  const { may, minutes, reason } = shape.data
  return { scopes: may.map(readScope), durationMs: minutes * 60_000, reason }
}

async function readPlan(request: IncomingMessage): Promise<DeclaredPlan> {
  const shape = planShape.safeParse(await readJson(request, planExample))
  if (!shape.success) throw refuse('protocol_violation', 'This is not what a plan looks like.', planExample)
  return shape.data
}

async function readJson(request: IncomingMessage, example: string): Promise<unknown> {
  if (request.method !== 'POST') throw refuse('not_supported', 'This is asked for by POST.', 'Send POST.')
  if (!/^application\/json\s*(;\s*charset=utf-8\s*)?$/i.test(request.headers['content-type'] ?? ''))
    throw refuse('not_supported', 'It comes as application/json.', example)
  return parse(await readBody(request, null, bodyBytesMax))
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
}

function readScope(text: string): AllowedScope {
  const scope = parseScope(text)
  if (typeof scope !== 'string') return scope
  throw new SallyportError(
    'protocol_violation',
    'A scope is not of the form VERB UPSTREAM.',
    'Nothing was asked of people.',
    'Send for instance "write orders-db".',
  )
}

function answer(response: ServerResponse, status: number, content: object): void {
  const body = `${JSON.stringify(content)}\n`
  response.writeHead(status, {
    'content-type': status === 200 ? 'application/json' : 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(body)
}
