import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BrowserPerson, startBrowser, type TestBrowser } from '../../../../tests/fakes/browser.ts'
import { makePeopleBench, operatorTokenSha256, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { startOpenIdProvider, type OpenIdProvider } from '../../../../tests/servers/openid-provider.ts'
import { openProvider } from '../identity/provider.ts'
import { openAccounts, type Accounts } from '../store/accounts.ts'
import { keepSignIns } from '../store/sign-ins.ts'
import type { AccountSignIn } from './account-ports.ts'
import { type ControlListener, startControl } from './index.ts'

/** Against a real provider, in a real browser: cookies, redirects and pages as they are. */
let browser: TestBrowser
let bench: PeopleBench
let listener: ControlListener
let provider: OpenIdProvider
let accounts: Accounts
let ada: BrowserPerson

beforeAll(async () => {
  const made = makePeopleBench()
  accounts = openAccounts(made.database)
  const signIns = keepSignIns()
  // The provider wants to know where the pages are, and the pages where the provider is.
  const late: { signIn: AccountSignIn | null } = { signIn: null }
  const signIn = (): AccountSignIn => {
    if (late.signIn === null) throw new Error('the provider is not up yet')
    return late.signIn
  }
  bench = {
    ...made,
    ports: {
      ...made.ports,
      accounts: {
        ...accounts,
        signIns,
        get issuer() {
          return signIn().issuer
        },
        begin: (redirectUri) => signIn().begin(redirectUri),
        finish: (answered, secrets) => signIn().finish(answered, secrets),
      },
    },
  }
  listener = await startControl(bench.ports, { port: 0, operatorTokenSha256 })
  const client = { clientId: 'sallyport', clientSecret: 'client-secret-of-the-tests' }
  provider = await startOpenIdProvider({
    ...client,
    redirectUri: `${listener.url}/sign-in/account/callback`,
    groups: { ada: ['dba'] },
  })
  const settings = {
    ...client,
    issuer: provider.url,
    scopes: ['openid', 'profile', 'groups'],
    name: { claim: 'name', people: null },
    groups: { claim: 'groups', names: null },
    authorities: provider.authority,
  }
  late.signIn = { ...openProvider(settings, bench.clock), ...accounts, signIns }
  browser = await startBrowser()
  ada = await browser.open({ ignoreCertificates: true })
  const link = await listener.firstEnrolmentLink()
  await ada.page.goto(link?.url ?? '')
  await ada.page.fill('#name', 'ada')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/requests')
})

afterAll(async () => {
  await browser?.stop()
  await listener?.close()
  await provider?.stop()
})

/** As the provider's own pages ask: a name, any password, and that we may know. */
async function logIn(name: string): Promise<void> {
  await ada.page.click('a[href^="/sign-in/account"]')
  await ada.page.fill('input[name=login]', name)
  await ada.page.fill('input[name=password]', 'any')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/interaction/**')
  await ada.page.click('button[type=submit]')
}

test('a person signs in at the provider, connects the account with a passkey once, and from then on sees the pages by it', async () => {
  await ada.page.click('button[data-post="/sign-out"]')
  await ada.page.waitForURL('**/sign-in')

  await ada.page.goto(`${listener.url}/sign-in?next=%2Fpeople`)
  await logIn('ada')
  await ada.page.waitForURL('**/sign-in?next=*')
  await expect.poll(() => ada.page.textContent('h1')).toBe('Connect your account')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/people')
  expect(accounts.find(provider.url, 'ada')).toBe('ada')
  expect(accounts.membersOf(provider.url, 'dba', bench.clock.nowMs(), 3_600_000)).toEqual(['ada'])

  await ada.page.click('button[data-post="/sign-out"]')
  await ada.page.waitForURL('**/sign-in')
  await ada.page.goto(`${listener.url}/sign-in?next=%2Fpeople`)
  // The provider remembers the browser, and asks a program of this machine's whether it may know.
  await ada.page.click('a[href^="/sign-in/account"]')
  await ada.page.waitForURL('**/interaction/**')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/people')
  expect(await ada.page.textContent('.who span')).toBe('ada')
  expect(ada.complaints).toEqual([])
})
