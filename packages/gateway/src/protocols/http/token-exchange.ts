import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseScope, scopeText, type AllowedScope, type Gate, type Handle, type WantedHandle } from '@sallyport/core'
import { readBody } from './body.ts'
import type { Door } from './door.ts'
import { refuse } from './refusal.ts'

/** Where an agent narrows its own handle for a part of itself, and a workload shows its issuer's token for one, by the parameters of OAuth 2.0 Token Exchange (RFC 8693 §2.1). */
export const tokenPath = '/token'

const formBytesMax = 16 * 1024
const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const tokenType = 'urn:ietf:params:oauth:token-type:access_token'
const jwtType = 'urn:ietf:params:oauth:token-type:jwt'
const formType = /^application\/x-www-form-urlencoded\s*(;\s*charset=utf-8\s*)?$/i
const known = new Set([
  'grant_type',
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'client_id',
  'scope',
  'actor',
  'expires_in',
  'uses',
])

export interface Asker {
  readonly peer: string
  readonly address: string
}

interface Exchange {
  readonly agent: string
  readonly secret: string
  readonly wanted: WantedHandle
}

/** Answers with a new handle. @throws SallyportError for anything else; what it says never holds the token */
export async function exchangeToken(
  { gate, door }: Reception,
  asker: Asker,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const form = await readForm(request)
  checkGrant(request, form)
  const made =
    form.get('subject_token_type') === jwtType
      ? await showToken({ gate, door }, asker, form)
      : await narrowOwn({ gate, door }, asker, readExchange(form))
  answer(response, made)
}

interface Reception {
  readonly gate: Gate
  readonly door: Door
}

interface Made {
  readonly handle: Handle
  readonly secret: string
  readonly scope: string | null
}

async function narrowOwn({ gate, door }: Reception, asker: Asker, { agent, secret, wanted }: Exchange): Promise<Made> {
  // The same door as for everything else: what fails is counted, slowed down and on the log.
  const credentials = `Basic ${Buffer.from(`${agent}:${secret}`, 'utf8').toString('base64')}`
  const admission = await door.admit(credentials, asker.peer, asker.address)
  if (admission.kind !== 'admitted')
    throw refuse(
      'authentication_failed',
      'No handle in force fits client_id and subject_token.',
      'Use the agent’s name and its handle.',
    )
  const made = await gate.handles.narrow(admission.handle, wanted)
  return { ...made, scope: wanted.scopes.map(scopeWord).join(' ') }
}

/** What a token may not say: a handle made of it is the agent's own, and may be narrowed after. */
const ofNarrowing = ['scope', 'actor', 'uses']

async function showToken({ gate, door }: Reception, asker: Asker, form: ReadonlyMap<string, string>): Promise<Made> {
  const surplus = ofNarrowing.find((name) => form.has(name))
  if (surplus !== undefined)
    throw refuse('not_supported', `${surplus} is for a handle that is narrowed.`, 'Ask for a handle first, and narrow that.')
  const { agent, secret: token } = readSubject(form)
  const ttlSeconds = readCount(form, 'expires_in')
  const shown = (await gate.workloads?.exchange(agent, token, ttlSeconds === null ? null : ttlSeconds * 1_000)) ?? {
    refused: 'no workload gets a handle here',
  }
  if ('made' in shown) {
    door.passed(agent, asker.address)
    return { ...shown.made, scope: null }
  }
  await door.fail(agent, `a workload’s token: ${shown.refused}`, asker.peer, asker.address)
  throw refuse(
    'authentication_failed',
    'The token fits no workload of this agent, was used before, or is not in force.',
    'Get a new one for this gate’s audience; the gate’s log says what did not fit.',
  )
}

function answer(response: ServerResponse, { handle, secret, scope }: Made): void {
  const lifeMs = handle.expiresAtMs - handle.issuedAtMs
  const body = JSON.stringify({
    access_token: secret,
    issued_token_type: tokenType,
    // It is presented as a password, not as a bearer token (RFC 8693 §2.2.1).
    token_type: 'N_A',
    expires_in: Math.floor(lifeMs / 1_000),
    ...(scope === null ? {} : { scope }),
    handle: handle.id,
    act: handle.narrowing?.act ?? [handle.agent],
  })
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(body)
}

async function readForm(request: IncomingMessage): Promise<ReadonlyMap<string, string>> {
  if (request.method !== 'POST') throw refuse('not_supported', 'A handle is narrowed by POST.', 'Send POST.')
  if (!formType.test(request.headers['content-type'] ?? '') || request.headers['content-encoding'] !== undefined)
    throw refuse('not_supported', 'The parameters come as application/x-www-form-urlencoded.', 'Send them so, not compressed.')
  const body = await readBody(request, null, formBytesMax)
  const form = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(body.toString('utf8'))) {
    if (form.has(name)) throw refuse('protocol_violation', 'A parameter stands there twice.', 'Send each once.')
    if (!known.has(name))
      throw refuse('not_supported', 'There is a parameter that this gate does not know.', `Known are: ${[...known].join(', ')}.`)
    form.set(name, value)
  }
  return form
}

function checkGrant(request: IncomingMessage, form: ReadonlyMap<string, string>): void {
  if (request.headers.authorization !== undefined || request.headers['proxy-authorization'] !== undefined)
    throw refuse('not_supported', 'The handle comes as subject_token.', 'Send no Authorization.')
  if (form.get('grant_type') !== grantType)
    throw refuse('not_supported', `Only one grant_type is known: ${grantType}.`, 'Send that.')
  if ((form.get('requested_token_type') ?? tokenType) !== tokenType)
    throw refuse('not_supported', `Only one requested_token_type is known: ${tokenType}.`, 'Send that, or leave it out.')
  if (![tokenType, jwtType].includes(form.get('subject_token_type') ?? tokenType))
    throw refuse('not_supported', `A subject_token_type is ${tokenType} or ${jwtType}.`, 'Send one of them.')
}

function readSubject(form: ReadonlyMap<string, string>): Pick<Exchange, 'agent' | 'secret'> {
  const agent = form.get('client_id') ?? ''
  const secret = form.get('subject_token') ?? ''
  if (agent === '' || secret === '')
    throw refuse('protocol_violation', 'client_id or subject_token is missing.', 'Send the agent’s name and its handle.')
  return { agent, secret }
}

function readExchange(form: ReadonlyMap<string, string>): Exchange {
  const ttlSeconds = readCount(form, 'expires_in')
  return {
    ...readSubject(form),
    wanted: {
      scopes: (form.get('scope') ?? '')
        .split(' ')
        .filter((word) => word !== '')
        .map(readScopeWord),
      actor: form.get('actor') ?? '',
      ttlMs: ttlSeconds === null ? null : ttlSeconds * 1_000,
      usesMax: readCount(form, 'uses'),
    },
  }
}

function readCount(form: ReadonlyMap<string, string>, name: string): number | null {
  const text = form.get(name)
  if (text === undefined) return null
  if (!/^[1-9]\d{0,8}$/.test(text)) throw refuse('protocol_violation', `${name} is no whole number from 1 on.`, 'Send one.')
  return Number(text)
}

/** A scope has a blank in it in sallyport.yaml, which separates scopes here (RFC 6749 §3.3): `read:orders-db`. */
function readScopeWord(word: string): AllowedScope {
  const scope = parseScope(word.replace(':', ' '))
  if (typeof scope === 'string')
    throw refuse('protocol_violation', 'A scope is not of the form VERB:UPSTREAM.', 'Send for instance read:orders-db.')
  return scope
}

function scopeWord(scope: AllowedScope): string {
  return scopeText(scope).replace(' ', ':')
}
