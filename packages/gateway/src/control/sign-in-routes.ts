import { renderSignIn } from '@sallyport/console'
import { digestJson, type Json } from '@sallyport/core'
import type { Context } from 'hono'
import { z } from 'zod'
import { tooOften } from './admission.ts'
import { Refused } from './answer.ts'
import { readBody } from './body.ts'
import { createPendingChallenges } from './challenges.ts'
import { connect, connectionStatement, type Connection, type Connections } from './connections.ts'
import { rates } from './limits.ts'
import { assertionOptions, assertionShape } from './passkeys.ts'
import { makeFrame, ownPageOf, type Site, type SiteApp, verifySigner } from './site.ts'

const next = z.string().max(256)
/** Of the account that the page said it would connect. */
const connects = z.string().max(64).optional()
const askShape = z.strictObject({ next, connects })
const finishShape = z.strictObject({ next, connects, response: assertionShape })

type Asked = { readonly connection: Connection; readonly statement: Json } | null

export function addSignInRoutes(app: SiteApp, site: Site, connections: Connections): void {
  const challenges = createPendingChallenges<Asked>(site.ports.clock)

  app.get('/sign-in', async (context) => {
    const people = await site.ports.people.list()
    const connection = connections.of(context)
    return context.html(
      renderSignIn(await makeFrame(site, context), {
        anyoneEnrolled: people.length > 0,
        next: ownPageOf(context.req.query('next') ?? ''),
        provider: site.ports.accounts?.issuer ?? null,
        connects: connection === null ? null : { id: connection.id, ...connection.account },
      }),
    )
  })

  app.post('/sign-in/options', async (context) => {
    const asked = await readBody(context, askShape)
    const connection = findConnection(connections, context, asked.connects)
    const nonce = site.ports.random.hex(32)
    const statement = connection === null ? null : connectionStatement(connection, nonce)
    const challenge = statement === null ? nonce : digestJson(statement)
    const matter = connection === null || statement === null ? null : { connection, statement }
    challenges.issue(context.get('visitor').browser, 'sign-in', challenge, matter)
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
    const signature = await verifySigner(site, person, body.response, asked.challenge, { what: 'sign-in' })
    if (asked.matter !== null) {
      const { connection, statement } = asked.matter
      connections.end(context, connection)
      await connect(site.ports, connection, person, { statement, signature })
    }
    await site.visitors.signIn(context, person, 'passkey')
    return context.json({ go: ownPageOf(body.next) })
  })

  app.post('/sign-out', async (context) => {
    await site.visitors.signOut(context, context.get('visitor'))
    return context.json({ go: '/sign-in' })
  })
}

/** What the page showed, and this browser has proven to have: both, or nothing is connected. */
function findConnection(connections: Connections, context: Context, shown: string | undefined): Connection | null {
  if (shown === undefined) return null
  const found = connections.of(context)
  if (found?.id === shown) return found
  throw new Refused(
    409,
    'target_changed',
    'The account that this page shows is no longer the one to be connected.',
    'Nothing was connected, and nobody was signed in.',
    'Begin again on the sign-in page.',
  )
}
