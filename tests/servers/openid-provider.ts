import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider } from 'oidc-provider'
import { openAuthority } from '../../packages/gateway/src/authority/index.ts'

/** `oidc-provider` over real TLS, with its own pages to log in: whoever gives a name there is that. */
export interface OpenIdProvider {
  readonly url: string
  /** PEM of the authority that vouches for it. */
  readonly authority: string
  stop(): Promise<void>
}

export async function startOpenIdProvider(client: {
  readonly clientId: string
  readonly clientSecret: string
  readonly redirectUri: string
  /** By the name that was given. */
  readonly groups: Readonly<Record<string, readonly string[]>>
}): Promise<OpenIdProvider> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-openid-'))
  const world = await openAuthority(folder, { nowMs: () => Date.now() })
  const { key, certificate } = await world.issue('localhost')
  const pair = await generateKeyPair('RS256', { extractable: true })
  const signingKey = { ...(await exportJWK(pair.privateKey)), kid: 'first', use: 'sig', alg: 'RS256' }
  const server = createServer({ key, cert: certificate })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const address = server.address()
  const url = `https://localhost:${typeof address === 'object' && address !== null ? address.port : 0}`
  const provider = new Provider(url, {
    clients: [
      {
        client_id: client.clientId,
        client_secret: client.clientSecret,
        redirect_uris: [client.redirectUri],
        // What a provider of our kind registers for a page on this machine.
        application_type: 'native',
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    claims: { profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['of the tests'] },
    jwks: { keys: [signingKey] },
    pkce: { required: () => true },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: id, groups: [...(client.groups[id] ?? [])] }),
    }),
  })
  const answer = provider.callback()
  server.on('request', (request, response) => void answer(request, response))
  return {
    url,
    authority: world.certificate,
    stop: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
