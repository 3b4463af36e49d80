import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { isSamePerson } from '@sallyport/core'
import { limits } from './limits.ts'
import type { ControlPorts, Person } from './ports.ts'

/** Who looks: a browser nobody signed in with yet, or a person. `browser` is what challenges and CSRF tokens are bound to. */
export type Visitor =
  | { readonly kind: 'stranger'; readonly browser: string; readonly csrf: string }
  | {
      readonly kind: 'person'
      readonly browser: string
      readonly csrf: string
      readonly person: Person
      /** What they showed when they signed in. */
      readonly by: 'passkey' | 'account'
      readonly idSha256: string
    }

export interface Visitors {
  /** Reads the cookies; gives a stranger one to be recognised by while enrolling or signing in. */
  of(context: Context): Promise<Visitor>
  /** A new session under a new secret, whatever the browser brought along: a planted cookie is worth nothing. */
  signIn(context: Context, person: Pick<Person, 'name'>, by: 'passkey' | 'account'): Promise<void>
  signOut(context: Context, visitor: Visitor): Promise<void>
  /** Whether the session is still good; for streams that outlive a request. */
  isSignedIn(idSha256: string): Promise<boolean>
}

const sessionCookie = 'sallyport_session'
const strangerCookie = 'sallyport_visit'
const secretShape = /^[0-9a-f]{64}$/

/** Cookies ignore ports, so any server on this machine that the person visits can read them: hence they alone authorise nothing (DESIGN §6). */
export function createVisitors(ports: Pick<ControlPorts, 'clock' | 'random' | 'people' | 'webSessions'>): Visitors {
  const csrfKey = ports.random.hex(32)
  const csrfOf = (browser: string): string => createHmac('sha256', csrfKey).update(browser).digest('hex')

  const findPerson = async (
    idSha256: string,
  ): Promise<{ readonly person: Person; readonly by: 'passkey' | 'account' } | null> => {
    const session = await ports.webSessions.get(idSha256)
    if (session === null) return null
    const nowMs = ports.clock.nowMs()
    if (nowMs - session.createdAtMs >= limits.sessionMs || nowMs - session.lastSeenAtMs >= limits.sessionIdleMs) {
      await ports.webSessions.end(idSha256)
      return null
    }
    const person = (await ports.people.list()).find(({ name }) => isSamePerson(name, session.person))
    return person === undefined ? null : { person, by: session.by }
  }

  const signedIn = async (context: Context): Promise<Visitor | null> => {
    const secret = getCookie(context, sessionCookie)
    if (secret === undefined || !secretShape.test(secret)) return null
    const idSha256 = hashSecret(secret)
    const found = await findPerson(idSha256)
    if (found === null) return null
    await ports.webSessions.touch(idSha256, ports.clock.nowMs())
    const browser = `session:${idSha256}`
    return { kind: 'person', browser, csrf: csrfOf(browser), ...found, idSha256 }
  }

  const stranger = (context: Context): Visitor => {
    const brought = getCookie(context, strangerCookie)
    const secret = brought !== undefined && secretShape.test(brought) ? brought : ports.random.hex(32)
    if (secret !== brought)
      setCookie(context, strangerCookie, secret, {
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
        maxAge: limits.confirmedLinkMs / 1000,
      })
    const browser = `visit:${hashSecret(secret)}`
    return { kind: 'stranger', browser, csrf: csrfOf(browser) }
  }

  return {
    async of(context) {
      return (await signedIn(context)) ?? stranger(context)
    },
    async signIn(context, person, by) {
      const secret = ports.random.hex(32)
      const nowMs = ports.clock.nowMs()
      await ports.webSessions.create({
        idSha256: hashSecret(secret),
        person: person.name,
        by,
        createdAtMs: nowMs,
        lastSeenAtMs: nowMs,
      })
      setCookie(context, sessionCookie, secret, {
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
        maxAge: limits.sessionMs / 1000,
      })
    },
    async signOut(context, visitor) {
      if (visitor.kind === 'person') await ports.webSessions.end(visitor.idSha256)
      setCookie(context, sessionCookie, '', { httpOnly: true, sameSite: 'Strict', path: '/', maxAge: 0 })
    },
    async isSignedIn(idSha256) {
      return (await findPerson(idSha256)) !== null
    },
  }
}

/** SHA-256 of a secret with 256 bits of entropy, hex: what is kept of it. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** Compares two hex digests or tokens without telling by time how much of them agrees. */
export function isEqualSecret(left: string, right: string): boolean {
  return timingSafeEqual(Buffer.from(hashSecret(left), 'hex'), Buffer.from(hashSecret(right), 'hex'))
}
