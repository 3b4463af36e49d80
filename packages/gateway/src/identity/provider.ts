import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  type Configuration,
  type CustomFetch,
  type IDToken,
} from 'openid-client'
import { SallyportError } from '@sallyport/core'
import { fetchWhole } from './document.ts'

/** An OpenID provider that vouches for people of the team, as the configuration has it. */
export interface ProviderSettings {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scopes: readonly string[]
  /** The claim that names a person, and under which name somebody of its value is enrolled; null: under that value. */
  readonly name: { readonly claim: string; readonly people: { readonly [value: string]: string } | null }
  /** The claim with groups, and what we call them; null: as the provider does. One that is not there is none of ours. */
  readonly groups: { readonly claim: string; readonly names: { readonly [group: string]: string } | null } | null
  /** PEM of the authorities that may vouch for its host. */
  readonly authorities: string | null
}

/** What a browser must bring back, and what is asked of the answer. Kept by the gate. */
export interface SignInSecrets {
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
}

/** Who somebody is at the provider. */
export interface Account {
  readonly issuer: string
  readonly subject: string
  /** As they would be enrolled; null: the provider does not say, or not surely. */
  readonly name: string | null
  readonly groups: readonly string[]
}

export interface Provider {
  readonly issuer: string
  begin(redirectUri: string): Promise<{ readonly url: string; readonly secrets: SignInSecrets }>
  /** @throws SallyportError unless it is the provider's answer to what was begun, for us, now */
  finish(answered: URL, secrets: SignInSecrets): Promise<Account>
}

const fetchTimeoutMs = 5_000
/** The provider's addresses are asked for again after this time. */
const freshMs = 3_600_000
/** And after a failure not before this time. */
const againAfterMs = 10_000
const groupsMax = 200
const textMax = 256

/** The authorization code flow with PKCE, state and nonce (OpenID Connect Core §3.1, RFC 9700). Nothing of the provider's tokens is kept. */
export function openProvider(settings: ProviderSettings, clock: { nowMs(): number }): Provider {
  const configured = remember(() => discover(settings), clock)
  return {
    issuer: settings.issuer,
    begin: async (redirectUri) => {
      const configuration = await configured()
      const secrets = { state: randomState(), nonce: randomNonce(), codeVerifier: randomPKCECodeVerifier() }
      const url = buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: settings.scopes.join(' '),
        state: secrets.state,
        nonce: secrets.nonce,
        code_challenge: await calculatePKCECodeChallenge(secrets.codeVerifier),
        code_challenge_method: 'S256',
      })
      if (url.protocol !== 'https:') throw unavailable()
      return { url: url.href, secrets }
    },
    finish: async (answered, { state, nonce, codeVerifier }) => {
      const configuration = await configured()
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: codeVerifier, idTokenExpected: true }
      const claims = await authorizationCodeGrant(configuration, answered, checks)
        .then((tokens) => tokens.claims())
        .catch((error: unknown) => {
          throw notProven({ cause: error })
        })
      if (claims === undefined) throw notProven({})
      return readAccount(settings, claims)
    },
  }
}

async function discover({ issuer, clientId, clientSecret, authorities }: ProviderSettings): Promise<Configuration> {
  return discovery(new URL(issuer), clientId, { client_secret: clientSecret }, undefined, {
    // The ID token's signature counts too, and not only that it came over TLS.
    execute: [enableNonRepudiationChecks],
    [customFetch]: fetchOver(authorities),
  })
}

function fetchOver(authorities: string | null): CustomFetch {
  return async (url, { method, headers, body }) => {
    const text = body === null || body === undefined ? '' : readBody(body)
    const answered = await fetchWhole(url, { method, headers, body: text }, { authorities, timeoutMs: fetchTimeoutMs })
    const { status, contentType } = answered
    return new Response(status === 204 ? null : answered.text, { status, headers: { 'content-type': contentType } })
  }
}

function readBody(body: unknown): string {
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString()
  throw new Error('only forms are sent to a provider')
}

/** Asked for once, by whoever comes first; a failure is not tried again at once. */
function remember(ask: () => Promise<Configuration>, clock: { nowMs(): number }): () => Promise<Configuration> {
  let asked: { readonly atMs: number; readonly answer: Promise<Configuration>; failed: boolean } | null = null
  return async () => {
    const ageMs = clock.nowMs() - (asked?.atMs ?? 0)
    if (asked === null || ageMs < 0 || ageMs >= (asked.failed ? againAfterMs : freshMs)) {
      const begun = { atMs: clock.nowMs(), answer: ask(), failed: false }
      begun.answer.catch(() => (begun.failed = true))
      asked = begun
    }
    return asked.answer.catch((error: unknown) => {
      throw unavailable({ cause: error })
    })
  }
}

function readAccount({ issuer, name, groups }: ProviderSettings, claims: IDToken): Account {
  if (claims.sub.length > textMax) throw notProven({})
  return {
    issuer,
    subject: claims.sub,
    name: readName(name, claims),
    groups: groups === null ? [] : readGroups(groups, claims),
  }
}

function readName({ claim, people }: ProviderSettings['name'], claims: IDToken): string | null {
  const value = claims[claim]
  // An address that nobody proved to be theirs names nobody.
  if (typeof value !== 'string' || value === '' || value.length > textMax) return null
  if (claim === 'email' && claims['email_verified'] !== true) return null
  if (people === null) return value
  return Object.hasOwn(people, value) ? (people[value] ?? null) : null
}

function readGroups({ claim, names }: NonNullable<ProviderSettings['groups']>, claims: IDToken): readonly string[] {
  const value = claims[claim]
  const given = typeof value === 'string' ? [value] : Array.isArray(value) ? value : []
  const texts = given.filter((one): one is string => typeof one === 'string' && one !== '' && one.length <= textMax)
  const ours = names === null ? texts : texts.flatMap((one) => (Object.hasOwn(names, one) ? [names[one] ?? ''] : []))
  return [...new Set(ours)].slice(0, groupsMax).toSorted()
}

function notProven(options: ErrorOptions): SallyportError {
  return new SallyportError(
    'authentication_failed',
    'The provider’s answer does not prove who you are here.',
    'Nobody was signed in.',
    'Begin again on the sign-in page.',
    options,
  )
}

function unavailable(options?: ErrorOptions): SallyportError {
  return new SallyportError(
    'upstream_unavailable',
    'The identity provider could not be asked.',
    'Nobody was signed in.',
    'Use your passkey, or try again in a moment.',
    options,
  )
}
