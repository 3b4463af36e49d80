import type { Frame, Posture } from '@sallyport/console'
import { drillAaguid, visibleLine, type AccessRequest, type Session } from '@sallyport/core'
import type { Context, Hono } from 'hono'
import type { Admitted } from './admission.ts'
import { requirePerson, tooOften } from './admission.ts'
import { Refused } from './answer.ts'
import type { AttestationRule } from './attestation.ts'
import { rates } from './limits.ts'
import { type Assertion, verifyAssertion } from './passkeys.ts'
import type { ControlPorts, Person } from './ports.ts'
import type { RateLimit } from './rate-limit.ts'
import { ownerWarnings } from './second-person.ts'
import type { Visitor, Visitors } from './visitor.ts'

/** What the routes of the pages share. */
export interface Site {
  readonly ports: ControlPorts
  readonly origin: string
  readonly visitors: Visitors
  readonly rate: RateLimit
  /** The gate of a drill: virtual persons and nobody else. */
  readonly drill: boolean
}

export type SiteApp = Hono<Admitted>

/** Which models of passkeys are let in here; null: all. A drill's are virtual, and nobody else's get in there. */
export function ruleOf({ ports, drill }: Site): AttestationRule | null {
  return drill ? null : (ports.attestation ?? null)
}

/** Where a sign-in may lead: our own pages, by name. Anything else would be an open redirect. */
const ownPage =
  /^\/(?:requests(?:\/[A-Za-z0-9_-]{1,128})?|live|people(?:\/me)?|configuration|console\/[a-z]{1,16}(?:\/[A-Za-z0-9_-]{1,128})?)$/

export function ownPageOf(asked: string): string {
  return ownPage.test(asked) ? asked : '/requests'
}

const idShape = /^[A-Za-z0-9_-]{1,128}$/

/** An id from an address, or 404: what can't be an id is not looked up. */
export function readId(context: Context): string {
  const id = context.req.param('id') ?? ''
  if (!idShape.test(id)) throw notFound()
  return id
}

export function notFound(): Refused {
  return new Refused(404, 'unreadable', 'There is nothing at this address.', 'Nothing was done.', 'Go to the requests.')
}

export async function findRequest(site: Site, id: string): Promise<AccessRequest> {
  const request = await site.ports.requests.get(id)
  if (request === null) throw notFound()
  return request
}

/** The posture of the configuration, and what is wrong with it for the people who are enrolled now. */
export async function postureNow({ control, people }: Pick<ControlPorts, 'control' | 'people'>): Promise<Posture> {
  const posture = control.posture()
  const reviews = (await control.reviews()).map(
    ({ person, agent, request }) =>
      `${visibleLine(person)} broke glass for what ${visibleLine(agent)} asked, and nobody else has looked at it yet: /requests/${request}`,
  )
  return { ...posture, warnings: [...posture.warnings, ...ownerWarnings(control, await people.list()), ...reviews] }
}

export async function makeFrame(site: Site, context: Context<Admitted>): Promise<Frame> {
  const visitor = context.get('visitor')
  const nowMs = site.ports.clock.nowMs()
  const pending = visitor.kind === 'person' ? await site.ports.requests.list() : []
  return {
    nonce: context.get('nonce'),
    csrf: visitor.csrf,
    person: visitor.kind === 'person' ? visitor.person.name : null,
    nowMs,
    waiting: pending.filter(({ state, expiresAtMs }) => state === 'pending' && expiresAtMs > nowMs).length,
    isProposed: visitor.kind === 'person' && site.ports.control.configuration.proposal() !== null,
    posture: visitor.kind === 'person' ? await postureNow(site.ports) : site.ports.control.posture(),
  }
}

/** For pages: the person, or null after which the answer is a redirect to the sign-in. */
export function signedIn(context: Context<Admitted>): Person | null {
  const visitor = context.get('visitor')
  return visitor.kind === 'person' ? visitor.person : null
}

export function toSignIn(context: Context<Admitted>): Response {
  return context.redirect(`/sign-in?next=${encodeURIComponent(new URL(context.req.url).pathname)}`, 303)
}

/** A signed-in person about to sign something, within the rate. */
export function requireSigner(site: Site, context: Context<Admitted>): Extract<Visitor, { kind: 'person' }> {
  const visitor = requirePerson(context.get('visitor'))
  if (!site.rate.take(`signed ${visitor.browser}`, rates.signed)) throw tooOften()
  return visitor
}

/** Those of this gate, and those that the others told of a second ago. */
export async function sessionsOfAll({ ports: { control } }: Site): Promise<readonly (Session & { readonly gate?: string })[]> {
  return [...(await control.sessions()), ...((await control.gates?.sessionsElsewhere()) ?? [])]
}

export interface Signature {
  readonly credentialId: string
  readonly evidence: Extract<Awaited<ReturnType<typeof verifyAssertion>>, { result: 'verified' }>['evidence']
}

/** Verifies this person's passkey over a challenge. A bad one is on the log with what it was for; a copied key rings. */
export async function verifySigner(
  site: Site,
  person: Person,
  assertion: Assertion,
  challenge: string,
  purpose: { readonly [key: string]: string },
): Promise<Signature> {
  const passkey = person.passkeys.find(({ credentialId }) => credentialId === assertion.id)
  // A store that a drill wrote to, or that a drill is started on: virtual persons count in drills, and nobody else does there.
  if (passkey !== undefined && (passkey.aaguid === drillAaguid) !== site.drill) {
    const why = 'Virtual persons belong to drills, and drills to them.'
    await refuseSignature(site, person, why, purpose)
    throw new Refused(403, 'authentication_failed', why)
  }
  const verified = await verifyAssertion(site.ports.people, person.passkeys, assertion, challenge, site.origin)
  switch (verified.result) {
    case 'verified':
      return { credentialId: verified.credentialId, evidence: verified.evidence }
    case 'cloned':
      await site.ports.log.append({
        type: 'alarm',
        atMs: site.ports.clock.nowMs(),
        data: { ...purpose, person: person.name, credential: verified.credentialId, why: verified.why },
      })
      throw new Refused(
        403,
        'authentication_failed',
        verified.why,
        'Nothing was signed off.',
        'Tell whoever runs the gate, and enrol another passkey.',
      )
    case 'refused':
      await refuseSignature(site, person, verified.why, purpose)
  }
  throw new Refused(403, 'authentication_failed', verified.why)
}

/** A signature that is not accepted is a fact worth keeping. */
export async function refuseSignature(
  site: Site,
  person: Person,
  why: string,
  purpose: { readonly [key: string]: string },
): Promise<void> {
  await site.ports.log.append({
    type: 'verdict.refused',
    atMs: site.ports.clock.nowMs(),
    data: { ...purpose, person: person.name, why },
  })
}
