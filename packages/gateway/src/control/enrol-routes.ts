import { renderEnrol } from '@sallyport/console'
import { drillAaguid, isSamePerson, visibleLine } from '@sallyport/core'
import { z } from 'zod'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { registrationOptions, registrationShape, verifyRegistration } from './passkeys.ts'
import type { Enrolled, Newcomer, Person } from './ports.ts'
import { confirmFrom, isUnconfirmed } from './second-person.ts'
import { makeFrame, ruleOf, type Site, type SiteApp } from './site.ts'
import { hashSecret } from './visitor.ts'

const nameShape = z
  .string()
  .max(64)
  .transform((name) => name.normalize('NFC').trim())
  .refine((name) => /^[\p{L}\p{N}][\p{L}\p{N}\p{M} .'’_-]*$/u.test(name) && visibleLine(name) === name && !isMixed(name))

/** Scripts whose letters pass for each other's: a Cyrillic а in a Latin name is a colleague's name to every reader, and another one to us. */
function isMixed(name: string): boolean {
  const alike = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u, /\p{Script=Armenian}/u, /\p{Script=Cherokee}/u]
  return alike.filter((script) => script.test(name)).length > 1
}

const tokenShape = z.string().regex(/^[0-9a-f]{64}$/)
const askShape = z.strictObject({ token: tokenShape, name: nameShape })
const finishShape = z.strictObject({ token: tokenShape, name: nameShape, response: registrationShape })

interface Applicant {
  readonly name: string
  readonly userHandle: string
  readonly tokenSha256: string
}

/** Enrolment by a one-time link: the first from the terminal, every other by a signed-in person's invitation, from the third on confirmed by another (team mode). */
export function addEnrolRoutes(app: SiteApp, site: Site): void {
  const challenges = createPendingChallenges<Applicant>(site.ports.clock)
  app.get('/enrol', async (context) => context.html(renderEnrol(await makeFrame(site, context))))

  app.post('/enrol/options', async (context) => {
    const { token, name } = await readBody(context, askShape).catch(refuseForm)
    const tokenSha256 = hashSecret(token)
    const people = await site.ports.people.ever()
    await checkLink(site, tokenSha256, people)
    checkName(site, name, people)
    const challenge = site.ports.random.hex(32)
    const newcomer = { name, userHandle: Buffer.from(site.ports.random.hex(32), 'hex').toString('base64url'), tokenSha256 }
    challenges.issue(context.get('visitor').browser, 'enrol', challenge, newcomer)
    return context.json({ publicKey: await registrationOptions(newcomer, challenge, people, ruleOf(site)) })
  })

  app.post('/enrol', async (context) => {
    const { token, name, response } = await readBody(context, finishShape)
    const asked = challenges.take(context.get('visitor').browser, 'enrol')
    if (asked === null || asked.matter.name !== name || asked.matter.tokenSha256 !== hashSecret(token)) {
      throw new Refused(
        409,
        'authentication_failed',
        'This enrolment was not started here, or took too long.',
        'Nobody was enrolled.',
        'Open the link again.',
      )
    }
    const nowMs = site.ports.clock.nowMs()
    const passkey = await verifyRegistration(response, asked.challenge, site.origin, nowMs, ruleOf(site))
    if (passkey === null) {
      throw new Refused(
        403,
        'authentication_failed',
        'The new passkey does not fit this page, or did not verify you.',
        'Nobody was enrolled.',
        'Use a passkey that asks for a fingerprint, face or PIN.',
      )
    }
    if ((passkey.aaguid === drillAaguid) !== site.drill) {
      throw new Refused(
        403,
        'authentication_failed',
        'Virtual persons belong to drills, and drills to them.',
        'Nobody was enrolled.',
        'Use a passkey of your own device.',
      )
    }
    const person: Newcomer = { name, userHandle: asked.matter.userHandle, passkeys: [passkey], enrolledAtMs: nowMs }
    await enrol(site, person, asked.matter.tokenSha256)
    await site.visitors.signIn(context, person, 'passkey')
    return context.json({ go: '/requests' })
  })
}

function refuseForm(error: unknown): never {
  if (error instanceof Refused && error.code === 'unreadable') {
    throw new Refused(
      400,
      'unreadable',
      'The link or the name is not one the gate can take: letters, digits, blanks, and . - _ in a name.',
      'Nobody was enrolled.',
      'Open the link from the terminal again.',
    )
  }
  throw error
}

async function checkLink(site: Site, tokenSha256: string, people: readonly Person[]): Promise<void> {
  const link = await site.ports.links.find(tokenSha256)
  if (link === null || link.usedAtMs !== null || link.withdrawnAtMs !== null || link.expiresAtMs <= site.ports.clock.nowMs())
    throw refuseEnrolment('link_invalid')
  if (link.invitedBy === null && people.length > 0) throw refuseEnrolment('not_first')
  if (isUnconfirmed(site.ports.control, link, people)) throw refuseEnrolment('unconfirmed')
}

function checkName(site: Site, name: string, people: readonly Person[]): void {
  // An agent's name, or the operator's, on an approval would mislead whoever reads the log.
  const taken = [...people.map((person) => person.name), ...site.ports.control.agents(), 'operator']
  if (taken.some((other) => isSamePerson(other, name))) throw refuseEnrolment('taken')
}

/** On the log before it counts: a person whom the log does not know must not be able to approve. */
async function enrol(site: Site, person: Newcomer, tokenSha256: string): Promise<void> {
  const { links, people, control } = site.ports
  const link = await links.find(tokenSha256)
  // The store has the last word; this keeps off the log what is known not to take place.
  if (link !== null && isUnconfirmed(control, link, await people.ever())) throw refuseEnrolment('unconfirmed')
  const [passkey] = person.passkeys
  const data = {
    person: person.name,
    invitedBy: link?.invitedBy ?? null,
    confirmedBy: link?.confirmation?.person ?? null,
    // Of its token: by it the invitation and its confirmation are found on the log.
    link: tokenSha256,
    credential: passkey?.credentialId ?? null,
    publicKey: passkey?.publicKey ?? null,
    synced: passkey?.synced ?? null,
    aaguid: passkey?.aaguid ?? null,
  }
  await site.ports.log.append({ type: 'person.enrolled', atMs: person.enrolledAtMs, data })
  const enrolled = await people.enrol(person, tokenSha256, person.enrolledAtMs, confirmFrom(control))
  if (enrolled === 'enrolled') return
  await site.ports.log.append({
    type: 'alarm',
    atMs: site.ports.clock.nowMs(),
    data: {
      person: person.name,
      credential: passkey?.credentialId ?? null,
      why: `The enrolment before this did not take place: ${enrolled}.`,
    },
  })
  throw refuseEnrolment(enrolled)
}

function refuseEnrolment(why: Exclude<Enrolled, 'enrolled'>): Refused {
  switch (why) {
    case 'link_invalid':
      return new Refused(
        410,
        'authentication_failed',
        'This link was used, has run out, or never was.',
        'Nobody was enrolled.',
        'Ask for another one.',
      )
    case 'not_first':
      return new Refused(
        403,
        'authentication_failed',
        'A link from the terminal enrols the first person only.',
        'Nobody was enrolled.',
        'Ask somebody who is enrolled for an invitation.',
      )
    case 'unconfirmed':
      return new Refused(
        403,
        'approval_required',
        'This invitation waits: somebody enrolled, other than who made it, has to confirm it on the People page.',
        'Nobody was enrolled.',
        'Ask for that, then press the button again. The link stays good for an hour from when it was made.',
      )
    case 'taken':
      return new Refused(
        409,
        'not_in_scope',
        'This name or this passkey is taken.',
        'Nobody was enrolled.',
        'Choose another name, or sign in.',
      )
  }
}
