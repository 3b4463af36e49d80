import { renderArrived } from '@sallyport/console'
import { isSamePerson } from '@sallyport/core'
import type { Context } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { z } from 'zod'
import type { Account, AccountSignIn } from './account-ports.ts'
import { tooOften, type Admitted } from './admission.ts'
import { Refused } from './answer.ts'
import type { Connections } from './connections.ts'
import { limits, rates } from './limits.ts'
import type { Person } from './ports.ts'
import { makeFrame, ownPageOf, refuseSignature, type Site, type SiteApp } from './site.ts'
import { hashSecret } from './visitor.ts'

const flowCookie = 'sallyport_account'
const place = '/sign-in/account'
const secretShape = /^[0-9a-f]{64}$/

const flowShape = z.strictObject({
  secrets: z.strictObject({ state: z.string(), nonce: z.string(), codeVerifier: z.string() }),
  next: z.string(),
})
type Flow = z.infer<typeof flowShape>

/**
 * Signing in by an account at the team's identity provider. It shows pages, and no more: verdicts, releases, invitations and whatever else gives power
 * take a passkey. An account is somebody's after they connected it with a passkey of theirs, so nobody becomes a person here by what a provider says.
 */
export function addAccountRoutes(app: SiteApp, site: Site, connections: Connections): void {
  const { accounts, clock, random } = site.ports
  if (accounts === undefined) return
  const redirectUri = `${site.origin}${place}/callback`

  app.get(place, async (context) => {
    // Another page that sends a browser here would begin what nobody asked for.
    if (!['same-origin', 'none'].includes(context.req.header('sec-fetch-site') ?? 'none')) throw notBegun()
    if (!site.rate.take('account', rates.accounts)) throw tooOften()
    const { url, secrets } = await accounts.begin(redirectUri)
    const secret = random.hex(32)
    setFlow(context, secret, limits.accountMs / 1000)
    const flow: Flow = { secrets, next: ownPageOf(context.req.query('next') ?? '') }
    const nowMs = clock.nowMs()
    await accounts.signIns.keep(hashSecret(secret), JSON.stringify(flow), nowMs + limits.accountMs, nowMs)
    return context.redirect(url, 303)
  })

  app.get(`${place}/callback`, async (context) => {
    const flow = await takeFlow(context, accounts, clock.nowMs())
    if (flow === null) throw notBegun()
    // Only the address that we gave, whatever name the browser used for it.
    const answered = new URL(`${redirectUri}${new URL(context.req.url).search}`)
    const account = await accounts.finish(answered, flow.secrets)
    const person = await findPerson(site, accounts, account)
    if (person.isConnected) {
      await accounts.learnGroups(account, account.groups, clock.nowMs())
      await site.visitors.signIn(context, person.person, 'account')
    } else connections.begin(context, account)
    // By a page of ours: a browser keeps our cookies from a journey that began at the provider.
    const go = person.isConnected ? flow.next : `/sign-in?next=${encodeURIComponent(flow.next)}`
    return context.html(renderArrived(await makeFrame(site, context), { go, isConnected: person.isConnected }))
  })
}

function setFlow(context: Context<Admitted>, secret: string, maxAge: number): void {
  // Lax, since the browser comes back from the provider; what it may be used for once is to end what it began.
  setCookie(context, flowCookie, secret, { httpOnly: true, sameSite: 'Lax', path: place, maxAge })
}

/** What this browser began, forgotten by the asking. */
async function takeFlow(context: Context<Admitted>, { signIns }: AccountSignIn, nowMs: number): Promise<Flow | null> {
  const secret = getCookie(context, flowCookie)
  setFlow(context, '', 0)
  if (secret === undefined || !secretShape.test(secret)) return null
  const body = await signIns.take(hashSecret(secret), nowMs)
  return body === null ? null : flowShape.parse(JSON.parse(body))
}

async function findPerson(
  site: Site,
  accounts: AccountSignIn,
  account: Account,
): Promise<{ readonly person: Person; readonly isConnected: boolean }> {
  const { issuer, subject, name } = account
  const enrolled = await site.ports.people.list()
  const connectedTo = await accounts.find(issuer, subject)
  const wanted = connectedTo ?? name
  const person = wanted === null ? undefined : enrolled.find((one) => isSamePerson(one.name, wanted))
  if (person === undefined)
    throw new Refused(
      403,
      'authentication_failed',
      wanted === null ? 'Your account has no name that the gate knows you by.' : `Nobody is enrolled here as ${wanted}.`,
      'Nobody was signed in.',
      'Ask somebody who is enrolled to invite you: an account alone enrols nobody.',
    )
  if (connectedTo !== null) return { person, isConnected: true }
  if (await accounts.isConnected(issuer, person.name)) {
    // Whoever runs the provider can give anybody anybody's name.
    await refuseSignature(site, person, 'Another account has this name at the provider.', { what: 'account', issuer, subject })
    throw new Refused(
      403,
      'authentication_failed',
      `${person.name} has connected another account of this provider.`,
      'Nobody was signed in.',
      'Sign in with that one, or with a passkey.',
    )
  }
  return { person, isConnected: false }
}

function notBegun(): Refused {
  return new Refused(
    403,
    'authentication_failed',
    'This sign-in was not begun in this browser, was used, or took too long.',
    'Nobody was signed in.',
    'Begin again on the sign-in page.',
  )
}
