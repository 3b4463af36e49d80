import { renderPeople } from '@sallyport/console'
import { digestJson, type Json } from '@sallyport/core'
import { z } from 'zod'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import { makeFrame, requireSigner, signedIn, type Site, type SiteApp, toSignIn, verifySigner } from './site.ts'
import { hashSecret } from './visitor.ts'

const emptyShape = z.strictObject({})
const finishShape = z.strictObject({ response: assertionShape })

/** Who is enrolled, and invitations: a new person is new power, so an invitation takes a passkey. */
export function addPeopleRoutes(app: SiteApp, site: Site): void {
  const { clock, random, links, people, log } = site.ports
  const challenges = createPendingChallenges<{ readonly token: string; readonly statement: Json }>(clock)

  app.get('/people', async (context) => {
    if (signedIn(context) === null) return toSignIn(context)
    const lines = (await people.list()).map(({ name, enrolledAtMs, passkeys }) => ({
      name,
      enrolledAtMs,
      passkeys: passkeys.length,
    }))
    return context.html(renderPeople(await makeFrame(site, context), lines))
  })

  app.post('/people/invitations/options', async (context) => {
    const visitor = requireSigner(site, context)
    await readBody(context, emptyShape)
    const token = random.hex(32)
    const statement = {
      v: 1,
      purpose: 'sallyport invitation',
      person: visitor.person.name,
      tokenSha256: hashSecret(token),
      expiresAtMs: clock.nowMs() + limits.linkMs,
    }
    const challenge = digestJson(statement)
    challenges.issue(visitor.browser, 'invitation', challenge, { token, statement })
    return context.json({ publicKey: assertionOptions(challenge, visitor.person.passkeys) })
  })

  app.post('/people/invitations', async (context) => {
    const visitor = requireSigner(site, context)
    const { response } = await readBody(context, finishShape)
    const asked = challenges.take(visitor.browser, 'invitation')
    if (asked === null)
      throw new Refused(
        409,
        'authentication_failed',
        'This signature was not asked for here, was used, or came too late.',
        'Nobody was invited.',
      )
    const signature = await verifySigner(site, visitor.person, response, asked.challenge, { what: 'invitation' })
    const nowMs = clock.nowMs()
    const { token, statement } = asked.matter
    await log.append({
      type: 'configuration.applied',
      atMs: nowMs,
      data: {
        what: 'invitation',
        by: visitor.person.name,
        statement,
        credential: signature.credentialId,
        evidence: signature.evidence,
      },
    })
    await links.create({
      tokenSha256: hashSecret(token),
      invitedBy: visitor.person.name,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + limits.linkMs,
      usedAtMs: null,
    })
    return context.json({ message: 'Shown once, good for ten minutes:', result: `${site.origin}/enrol#${token}` })
  })
}
