import type { Context, MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import { bodyLimit } from 'hono/body-limit'
import type { Randomness } from '@sallyport/core'
import { Refused } from './answer.ts'
import { limits, rates } from './limits.ts'
import type { RateLimit } from './rate-limit.ts'
import { isEqualSecret, type Visitor, type Visitors } from './visitor.ts'

/** What every handler of the pages finds in its context. */
export interface Admitted {
  Variables: { nonce: string; visitor: Visitor }
}

/** Headers on every answer, refusals included. Scripts and style only by this answer's nonce; markup from text is impossible in our pages. */
export function answerSafely(random: Randomness): MiddlewareHandler<Admitted> {
  return createMiddleware<Admitted>(async (context, next) => {
    const nonce = random.hex(16)
    context.set('nonce', nonce)
    await next()
    const headers = context.res.headers
    headers.set(
      'content-security-policy',
      `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`,
    )
    headers.set('x-content-type-options', 'nosniff')
    headers.set('x-frame-options', 'DENY')
    headers.set('referrer-policy', 'no-referrer')
    headers.set('cross-origin-opener-policy', 'same-origin')
    headers.set('cross-origin-resource-policy', 'same-origin')
    headers.set(
      'permissions-policy',
      'publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()',
    )
    if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  })
}

/**
 * The Host allow-list: a name that somebody's DNS points at this machine is not ours (DNS rebinding). The API also answers on the bare
 * addresses; pages opened there are sent to the one name that passkeys belong to.
 */
export function admitHost(port: number): MiddlewareHandler<Admitted> {
  const name = `localhost:${port}`
  const addresses = new Set([`127.0.0.1:${port}`, `[::1]:${port}`])
  return createMiddleware<Admitted>(async (context, next) => {
    const url = new URL(context.req.url)
    const host = context.req.header('host') ?? url.host
    if (host !== url.host || (host !== name && !addresses.has(host))) {
      throw new Refused(
        421,
        'protocol_violation',
        'This address is not the gate’s.',
        'Nothing was done.',
        `Open http://${name}/.`,
      )
    }
    if (host !== name && !url.pathname.startsWith('/api/')) {
      if (context.req.method !== 'GET')
        throw new Refused(
          421,
          'protocol_violation',
          'Pages work under their name only.',
          'Nothing was done.',
          `Open http://${name}/.`,
        )
      return context.redirect(`http://${name}/`, 307)
    }
    return next()
  })
}

/** A request that is no POST, names no length and is not chunked has no body (RFC 9112 §6.3); the one made up for it cannot be read. */
export const admitBody: MiddlewareHandler = async (context, next) => {
  const hasBody =
    context.req.method === 'POST' ||
    ['content-length', 'transfer-encoding'].some((name) => context.req.header(name) !== undefined)
  return hasBody ? limitBody(context, next) : next()
}

const limitBody: MiddlewareHandler = bodyLimit({
  maxSize: limits.bodyBytes,
  onError: () => {
    throw new Refused(413, 'too_large', `The gate reads at most ${limits.bodyBytes} bytes here.`)
  },
})

/** Who looks; and for a POST: from our own page, with the token that only our own page was given, and not too often. */
export function admitPost(visitors: Visitors, rate: RateLimit, origin: string): MiddlewareHandler<Admitted> {
  return createMiddleware<Admitted>(async (context, next) => {
    const visitor = await visitors.of(context)
    context.set('visitor', visitor)
    const { method } = context.req
    if (method === 'GET' || method === 'HEAD') return next()
    if (method !== 'POST') throw new Refused(405, 'not_supported', 'Only GET and POST are understood here.')
    checkOrigin(context, origin)
    if (!(context.req.header('content-type') ?? '').startsWith('application/json'))
      throw new Refused(415, 'not_supported', 'Only JSON is understood here.')
    if (!isEqualSecret(context.req.header('x-csrf-token') ?? '', visitor.csrf)) {
      throw new Refused(
        403,
        'authentication_failed',
        'This page is no longer yours: it was opened before you signed in or before the gate started.',
      )
    }
    if (visitor.kind === 'person' && visitor.by === 'account' && !forAccounts.test(context.req.path)) throw needsPasskey()
    if (!rate.take(`post ${visitor.browser}`, visitor.kind === 'person' ? rates.posts : rates.stranger)) throw tooOften()
    if (visitor.kind === 'stranger' && !rate.take('strangers', rates.strangers)) throw tooOften()
    return next()
  })
}

/** What somebody may post who showed an account only: what signs itself with a passkey, and what stops something. All else is refused, whatever is added. */
const forAccounts =
  /^\/(?:sign-in(?:\/options)?|sign-out|kill|requests\/[A-Za-z0-9_-]+\/(?:challenge|verdict)|kills\/[A-Za-z0-9_-]+\/(?:challenge|release))$/

function needsPasskey(): Refused {
  return new Refused(
    403,
    'authentication_failed',
    'You are signed in by your account, which shows pages.',
    'Nothing was done.',
    'Sign in with your passkey for this.',
  )
}

function checkOrigin(context: Context, origin: string): void {
  const site = context.req.header('sec-fetch-site')
  if (context.req.header('origin') === origin && (site === undefined || site === 'same-origin')) return
  throw new Refused(
    403,
    'authentication_failed',
    'This was sent from another page.',
    'Nothing was done.',
    `Open ${origin}/ yourself.`,
  )
}

export function tooOften(): Refused {
  return new Refused(429, 'limit_exceeded', 'Too many attempts.', 'Nothing was done.', 'Wait a minute and try again.')
}

/** The person who is signed in, or a refusal. */
export function requirePerson(visitor: Visitor): Extract<Visitor, { kind: 'person' }> {
  if (visitor.kind === 'person') return visitor
  throw new Refused(401, 'authentication_failed', 'Nobody is signed in.', 'Nothing was done.', 'Sign in and try again.')
}
