import { digestJson, isSamePerson, type Json } from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import type { Confirmed, EnrolmentLink, Person } from './ports.ts'
import { needsConfirmation } from './second-person.ts'
import { notFound, readId, refuseSignature, requireSigner, type Site, type SiteApp, verifySigner } from './site.ts'
import { hashSecret } from './visitor.ts'

const emptyShape = z.strictObject({})
const finishShape = z.strictObject({ response: assertionShape })
const notAsked = 'This signature was not asked for here, was used, or came too late.'

/** Invitations: a new person is new power, so making one takes a passkey, and in a team so does standing by somebody else's. */
export function addInvitationRoutes(app: SiteApp, site: Site): void {
  addInviteRoutes(app, site)
  addConfirmRoutes(app, site)
  app.post('/people/invitations/:id/withdraw', async (context) => {
    const { person } = requirePerson(context.get('visitor'))
    await readBody(context, emptyShape)
    const tokenSha256 = readId(context)
    // It only takes away, so anybody enrolled may, and it holds also when the log can't have it.
    if (!(await site.ports.links.withdraw(tokenSha256, site.ports.clock.nowMs()))) throw gone('Nothing was withdrawn.')
    await append(site, { what: 'invitation withdrawn', by: person.name, tokenSha256 })
    return context.json({ message: 'Withdrawn. The link enrols nobody.' })
  })
}

function addInviteRoutes(app: SiteApp, site: Site): void {
  const { clock, random, links, people, control } = site.ports
  const challenges = createPendingChallenges<{ readonly token: string; readonly expiresAtMs: number; readonly statement: Json }>(
    clock,
  )

  app.post('/people/invitations/options', async (context) => {
    const visitor = requireSigner(site, context)
    await readBody(context, emptyShape)
    await checkRoom(site)
    const token = random.hex(32)
    const lifeMs = needsConfirmation(control, await people.ever()) ? limits.confirmedLinkMs : limits.linkMs
    const expiresAtMs = clock.nowMs() + lifeMs
    const tokenSha256 = hashSecret(token)
    const statement = { v: 1, purpose: 'sallyport invitation', person: visitor.person.name, tokenSha256, expiresAtMs }
    const challenge = digestJson(statement)
    challenges.issue(visitor.browser, 'invitation', challenge, { token, expiresAtMs, statement })
    return context.json({ publicKey: assertionOptions(challenge, visitor.person.passkeys) })
  })

  app.post('/people/invitations', async (context) => {
    const visitor = requireSigner(site, context)
    const { response } = await readBody(context, finishShape)
    const asked = challenges.take(visitor.browser, 'invitation')
    if (asked === null) throw new Refused(409, 'authentication_failed', notAsked, 'Nobody was invited.')
    const signature = await verifySigner(site, visitor.person, response, asked.challenge, { what: 'invitation' })
    await checkRoom(site)
    const { token, statement, expiresAtMs } = asked.matter
    const by = visitor.person.name
    const { credentialId: credential, evidence } = signature
    await append(site, { what: 'invitation', by, statement, credential, evidence })
    const made = { tokenSha256: hashSecret(token), invitedBy: by, createdAtMs: clock.nowMs(), expiresAtMs }
    await links.create({ ...made, usedAtMs: null, confirmation: null, withdrawnAtMs: null })
    const waits = needsConfirmation(control, await people.ever())
    return context.json({
      message: waits
        ? 'Shown once, good for an hour. It enrols nobody until somebody else confirms it on this page:'
        : 'Shown once, good for ten minutes:',
      result: `${site.origin}/enrol#${token}`,
    })
  })
}

/** A confirmation is a passkey over exactly this invitation: who made it, which link, until when. */
function addConfirmRoutes(app: SiteApp, site: Site): void {
  const { clock, random, links } = site.ports
  const challenges = createPendingChallenges<Json>(clock)
  const purposeOf = (tokenSha256: string): string => `confirm ${tokenSha256}`

  app.post('/people/invitations/:id/confirm/options', async (context) => {
    const visitor = requireSigner(site, context)
    await readBody(context, emptyShape)
    const tokenSha256 = readId(context)
    const { invitedBy, expiresAtMs } = await findConfirmable(site, tokenSha256, visitor.person)
    const statement = {
      v: 1,
      purpose: 'sallyport invitation confirmed',
      person: visitor.person.name,
      invitedBy,
      tokenSha256,
      expiresAtMs,
      nonce: random.hex(16),
    }
    const challenge = digestJson(statement)
    challenges.issue(visitor.browser, purposeOf(tokenSha256), challenge, statement)
    return context.json({ publicKey: assertionOptions(challenge, visitor.person.passkeys) })
  })

  app.post('/people/invitations/:id/confirm', async (context) => {
    const visitor = requireSigner(site, context)
    const { response } = await readBody(context, finishShape)
    const tokenSha256 = readId(context)
    const asked = challenges.take(visitor.browser, purposeOf(tokenSha256))
    if (asked === null) throw new Refused(409, 'authentication_failed', notAsked, 'Nothing was confirmed.')
    const purpose = { what: 'invitation confirmed', tokenSha256 }
    const signature = await verifySigner(site, visitor.person, response, asked.challenge, purpose)
    await findConfirmable(site, tokenSha256, visitor.person)
    const { credentialId: credential, evidence } = signature
    // On the log before it counts.
    await append(site, { ...purpose, by: visitor.person.name, statement: asked.matter, credential, evidence })
    const confirmed = await links.confirm(tokenSha256, visitor.person.name, clock.nowMs())
    if (confirmed !== 'confirmed') {
      const why = `The confirmation before this does not count: ${confirmed}.`
      await refuseSignature(site, visitor.person, why, purpose)
      throw refuseConfirmation(confirmed)
    }
    return context.json({ message: 'Confirmed. The link works from now on.', go: '/people' })
  })
}

async function append(site: Site, data: { readonly [key: string]: Json }): Promise<void> {
  await site.ports.log.append({ type: 'configuration.applied', atMs: site.ports.clock.nowMs(), data })
}

/** So that nobody buries one invitation under a thousand. */
async function checkRoom(site: Site): Promise<void> {
  const { links, clock } = site.ports
  if ((await links.open(clock.nowMs())).length < limits.invitations) return
  throw new Refused(
    429,
    'limit_exceeded',
    `${limits.invitations} invitations are open already.`,
    'Nobody was invited.',
    'Withdraw some of them, or wait until they run out.',
  )
}

/** The invitation, when this person may confirm it. Judged again by the store. */
async function findConfirmable(site: Site, tokenSha256: string, person: Person): Promise<EnrolmentLink> {
  const { links, clock } = site.ports
  const link = (await links.open(clock.nowMs())).find((one) => one.tokenSha256 === tokenSha256)
  if (link === undefined || link.invitedBy === null) throw refuseConfirmation('link_invalid')
  if (isSamePerson(link.invitedBy, person.name)) throw refuseConfirmation('own')
  if (link.confirmation !== null) throw refuseConfirmation('already')
  return link
}

function gone(notDone: string): Refused {
  return new Refused(
    410,
    'target_changed',
    'This invitation was used or withdrawn, has run out, or never was.',
    notDone,
    'Reload the People page.',
  )
}

function refuseConfirmation(why: Exclude<Confirmed, 'confirmed'>): Refused {
  switch (why) {
    case 'link_invalid':
      return gone('Nothing was confirmed.')
    case 'own':
      return new Refused(
        403,
        'refused_by_guard',
        'This invitation is yours: somebody else who is enrolled has to confirm it.',
        'Nothing was confirmed.',
        'Ask one of them.',
      )
    case 'already':
      return new Refused(
        409,
        'target_changed',
        'Somebody has confirmed this invitation already.',
        'Nothing was changed.',
        'Reload the People page.',
      )
    case 'stranger':
      return notFound()
  }
}
