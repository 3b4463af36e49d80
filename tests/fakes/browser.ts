import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'

/** The first that is there: without windows, a start and each page take half the work. */
const programs = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']

/** A person at a real browser, with an authenticator of their own that always says yes. */
export interface BrowserPerson {
  readonly page: Page
  readonly context: BrowserContext
  /** What the page reported of broken rules: Content-Security-Policy, script errors. Must stay empty. */
  readonly complaints: readonly string[]
  /** Whether the authenticator verifies its user from now on. */
  verifyUser(verified: boolean): Promise<void>
  /** How many passkeys the authenticator holds. */
  passkeys(): Promise<number>
  close(): Promise<void>
}

export interface TestBrowser {
  open(settings?: {
    readonly width?: number
    readonly height?: number
    readonly dark?: boolean
    readonly ignoreCertificates?: boolean
  }): Promise<BrowserPerson>
  stop(): Promise<void>
}

/** Debian's Chromium, headless, with a profile of its own. Names what to install when there is none. */
export async function startBrowser(): Promise<TestBrowser> {
  const program = programs.find((path) => existsSync(path))
  if (program === undefined) throw new Error('tests need Chromium: apt-get install -y chromium-headless-shell')
  const profile = mkdtempSync(join(tmpdir(), 'sallyport-browser-'))
  const browser = await chromium.launch({
    executablePath: program,
    headless: true,
    // Without these it tries to reach the network, and refuses to run as root.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    env: { ...definedVariables(), HOME: profile },
  })
  return {
    async open({ width = 1280, height = 800, dark = false, ignoreCertificates = false } = {}) {
      const context = await browser.newContext({
        // For a server whose authority only the test knows.
        ignoreHTTPSErrors: ignoreCertificates,
        viewport: { width, height },
        colorScheme: dark ? 'dark' : 'light',
        deviceScaleFactor: width < 500 ? 2 : 1,
      })
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('console', (message) => {
        if (message.type() === 'error' && !message.text().includes('Failed to load resource')) complaints.push(message.text())
      })
      page.on('pageerror', (error) => complaints.push(error.message))
      return {
        page,
        context,
        complaints,
        ...(await addAuthenticator(await context.newCDPSession(page))),
        close: () => context.close(),
      }
    },
    async stop() {
      await browser.close()
      rmSync(profile, { recursive: true, force: true })
    },
  }
}

function definedVariables(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}

async function addAuthenticator(devtools: CDPSession): Promise<Pick<BrowserPerson, 'verifyUser' | 'passkeys'>> {
  await devtools.send('WebAuthn.enable', { enableUI: false })
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  return {
    async verifyUser(verified) {
      await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: verified })
    },
    async passkeys() {
      return (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials.length
    },
  }
}
