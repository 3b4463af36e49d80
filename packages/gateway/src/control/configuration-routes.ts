import { renderConfiguration } from '@sallyport/console'
import { digestJson, isSamePerson, type Json } from '@sallyport/core'
import { z } from 'zod'
import { requirePerson } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { limits } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import type { Proposed } from './ports.ts'
import { needsConfirmation } from './second-person.ts'
import { makeFrame, readId, requireSigner, signedIn, type Site, type SiteApp, toSignIn, verifySigner } from './site.ts'

const emptyShape = z.strictObject({})
const finishShape = z.strictObject({ response: assertionShape })

/** What the configuration file gives beyond what is in force, and people's passkeys over it (DESIGN §6: widening is itself an operation people approve). */
export function addConfigurationRoutes(app: SiteApp, site: Site): void {
  const { configuration } = site.ports.control
  app.get('/configuration', async (context) => {
    const person = signedIn(context)
    if (person === null) return toSignIn(context)
    const proposal = configuration.proposal()
    return context.html(
      renderConfiguration(await makeFrame(site, context), {
        path: configuration.path,
        textInForce: configuration.textInForce,
        proposal,
        needed: await countNeeded(site),
        coolOffMs: configuration.coolOffMs,
        hasAccepted: proposal?.acceptances.some((one) => isSamePerson(one.person, person.name)) === true,
      }),
    )
  })
  app.post('/configuration/reread', async (context) => {
    requirePerson(context.get('visitor'))
    await readBody(context, emptyShape)
    return context.json({ message: (await configuration.reread()).outcome, go: '/configuration' })
  })
  app.post('/configuration/:id/withdraw', async (context) => {
    const { person } = requirePerson(context.get('visitor'))
    await readBody(context, emptyShape)
    if (!(await configuration.withdraw(readId(context), person.name))) throw gone('Nothing was withdrawn.')
    return context.json({ message: 'Withdrawn. What was in force stays in force.' })
  })
  addAcceptRoutes(app, site)
}

function addAcceptRoutes(app: SiteApp, site: Site): void {
  const { clock, random, control } = site.ports
  const challenges = createPendingChallenges<Json>(clock)
  const purposeOf = (digest: string): string => `configuration ${digest}`

  app.post('/configuration/:id/options', async (context) => {
    const visitor = requireSigner(site, context)
    await readBody(context, emptyShape)
    const { digest, textSha256, widenings } = findProposal(site, readId(context), 'Nothing was signed.')
    const statement = {
      v: 1,
      purpose: 'sallyport configuration',
      person: visitor.person.name,
      digest,
      textSha256,
      widenings,
      nonce: random.hex(16),
      expiresAtMs: clock.nowMs() + limits.challengeMs,
    }
    const challenge = digestJson(statement)
    challenges.issue(visitor.browser, purposeOf(digest), challenge, statement)
    return context.json({ publicKey: assertionOptions(challenge, visitor.person.passkeys) })
  })

  app.post('/configuration/:id/accept', async (context) => {
    const visitor = requireSigner(site, context)
    const { response } = await readBody(context, finishShape)
    const { digest } = findProposal(site, readId(context), 'Nothing was accepted.')
    const asked = challenges.take(visitor.browser, purposeOf(digest))
    if (asked === null)
      throw new Refused(
        409,
        'authentication_failed',
        'This signature was not asked for here, was used, or came too late.',
        'Nothing was accepted.',
      )
    const signature = await verifySigner(site, visitor.person, response, asked.challenge, { what: 'configuration', digest })
    const signed = { person: visitor.person.name, challenge: asked.challenge, statement: asked.matter, ...signature }
    const accepted = await control.configuration.accept(digest, signed, await countNeeded(site))
    if (accepted === null) throw gone('Nothing was accepted.')
    return context.json({ message: accepted.missing > 0 ? 'Accepted by you.' : 'Accepted.', go: '/configuration' })
  })
}

/** In a team nobody widens alone, from the second person on. */
async function countNeeded({ ports }: Site): Promise<number> {
  return needsConfirmation(ports.control, await ports.people.list()) ? 2 : 1
}

function findProposal(site: Site, digest: string, notDone: string): Proposed {
  const proposal = site.ports.control.configuration.proposal()
  if (proposal?.digest !== digest) throw gone(notDone)
  return proposal
}

function gone(notDone: string): Refused {
  return new Refused(409, 'target_changed', 'This is no longer what is proposed.', notDone, 'Reload the page and read it again.')
}
