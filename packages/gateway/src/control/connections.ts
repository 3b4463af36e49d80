import { digestJson, isSamePerson, type Clock, type Json, type Randomness } from '@sallyport/core'
import type { Context } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import type { Account } from './account-ports.ts'
import { Refused } from './answer.ts'
import { limits } from './limits.ts'
import type { Signature } from './site.ts'
import type { ControlPorts, Person } from './ports.ts'
import { hashSecret } from './visitor.ts'

/** An account that a browser has proven to have, and that is nobody's here yet. */
export interface Connection {
  /** Not secret: the page names it, so that nothing is connected that the page did not show. */
  readonly id: string
  readonly account: Account
  readonly expiresAtMs: number
}

export interface Connections {
  begin(context: Context, account: Account): void
  /** What this browser could connect now. */
  of(context: Context): Connection | null
  /** Forgotten by whoever connects it, or by its time. */
  end(context: Context, connection: Connection): void
}

const cookie = 'sallyport_connect'
const secretShape = /^[0-9a-f]{64}$/

export function createConnections({ clock, random }: { readonly clock: Clock; readonly random: Randomness }): Connections {
  const open = new Map<string, Connection>()
  const setSecret = (context: Context, secret: string, maxAge: number): void =>
    setCookie(context, cookie, secret, { httpOnly: true, sameSite: 'Strict', path: '/sign-in', maxAge })
  return {
    begin(context, account) {
      const secret = random.hex(32)
      setSecret(context, secret, limits.accountMs / 1000)
      open.set(hashSecret(secret), { id: random.hex(16), account, expiresAtMs: clock.nowMs() + limits.accountMs })
      if (open.size > limits.challenges) open.delete(open.keys().next().value ?? '')
    },
    of(context) {
      const secret = getCookie(context, cookie)
      const found = secret === undefined || !secretShape.test(secret) ? undefined : open.get(hashSecret(secret))
      return found === undefined || found.expiresAtMs <= clock.nowMs() ? null : found
    },
    end(context, connection) {
      for (const [key, one] of open) if (one.id === connection.id) open.delete(key)
      setSecret(context, '', 0)
    },
  }
}

/** What a passkey signs when it also connects an account. */
export function connectionStatement({ account, expiresAtMs }: Connection, nonce: string): Json {
  const { issuer, subject, name } = account
  return { v: 1, purpose: 'sallyport account', issuer, subject, name, nonce, expiresAtMs }
}

/** After the passkey was verified over the statement. @throws Refused */
export async function connect(
  { accounts, log, clock }: ControlPorts,
  { account }: Connection,
  person: Person,
  { statement, signature }: { readonly statement: Json; readonly signature: Signature },
): Promise<void> {
  const { issuer, subject } = account
  const isTheirs = account.name !== null && isSamePerson(account.name, person.name)
  if (!isTheirs || accounts === undefined || (await accounts.find(issuer, subject)) !== null) throw notConnected()
  if (await accounts.isConnected(issuer, person.name)) throw notConnected()
  const { credentialId: credential, evidence } = signature
  // On the log before it counts.
  const data = { person: person.name, issuer, subject, statement, challenge: digestJson(statement), credential, evidence }
  await log.append({ type: 'person.connected', atMs: clock.nowMs(), data })
  if (!(await accounts.connect(account, person.name))) throw notConnected()
  await accounts.learnGroups(account, account.groups, clock.nowMs())
}

function notConnected(): Refused {
  return new Refused(
    403,
    'authentication_failed',
    'This account and this passkey are not one person’s, or one of them is connected already.',
    'Nothing was connected, and nobody was signed in.',
    'Sign in with the passkey alone.',
  )
}
