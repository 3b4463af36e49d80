import { renderSignIn } from '@sallyport/console'
import { z } from 'zod'
import { tooOften } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { rates } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import { makeFrame, type Site, type SiteApp, verifySigner } from './site.ts'

const next = z.string().max(256)
const askShape = z.strictObject({ next })
const finishShape = z.strictObject({ next, response: assertionShape })

/** Where a sign-in may lead: our own pages, by name. Anything else would be an open redirect. */
const ownPage =
  /^\/(?:requests(?:\/[A-Za-z0-9_-]{1,128})?|live|people(?:\/me)?|configuration|console\/[a-z]{1,16}(?:\/[A-Za-z0-9_-]{1,128})?)$/

export function addSignInRoutes(app: SiteApp, site: Site): void {
  const challenges = createPendingChallenges<null>(site.ports.clock)

  app.get('/sign-in', async (context) => {
    const people = await site.ports.people.list()
    const asked = context.req.query('next') ?? ''
    return context.html(
      renderSignIn(await makeFrame(site, context), {
        anyoneEnrolled: people.length > 0,
        next: ownPage.test(asked) ? asked : '/requests',
      }),
    )
  })

  app.post('/sign-in/options', async (context) => {
    await readBody(context, askShape)
    const challenge = site.ports.random.hex(32)
    challenges.issue(context.get('visitor').browser, 'sign-in', challenge, null)
    return context.json({ publicKey: assertionOptions(challenge) })
  })

  app.post('/sign-in', async (context) => {
    const body = await readBody(context, finishShape)
    const { browser } = context.get('visitor')
    const asked = challenges.take(browser, 'sign-in')
    const person = (await site.ports.people.list()).find(({ passkeys }) =>
      passkeys.some(({ credentialId }) => credentialId === body.response.id),
    )
    if (asked === null || person === undefined) {
      throw new Refused(
        403,
        'authentication_failed',
        'This passkey is not enrolled here, or the sign-in took too long.',
        'Nobody was signed in.',
        'Try again.',
      )
    }
    // Failures are kept on the log, so they are bounded before they are made.
    if (!site.rate.take(`sign-in ${person.name}`, rates.signed)) throw tooOften()
    await verifySigner(site, person, body.response, asked.challenge, { what: 'sign-in' })
    await site.visitors.signIn(context, person)
    return context.json({ go: ownPage.test(body.next) ? body.next : '/requests' })
  })

  app.post('/sign-out', async (context) => {
    await site.visitors.signOut(context, context.get('visitor'))
    return context.json({ go: '/sign-in' })
  })
}
