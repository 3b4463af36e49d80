import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompactSign, exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose'
import { openAuthority } from '../../packages/gateway/src/authority/index.ts'

/** A real issuer of OIDC tokens: its keys, over real TLS, under an authority of its own. */
export interface Issuer {
  readonly url: string
  /** PEM file of the authority that vouches for it. */
  readonly authorityFile: string
  readonly authority: string
  /** Its public key as JWK, under the id `first`. */
  readonly publicKey: JWK
  readonly privateKey: CryptoKey
  /** Paths that were asked for, oldest first. */
  readonly asked: string[]
  /** Bodies that were posted to its token endpoint. */
  readonly posted: string[]
  /** What it answers instead, by path; `down` ends the connection. */
  readonly instead: Map<
    string,
    'down' | { readonly status: number; readonly headers?: Record<string, string>; readonly body: string }
  >
  /** Of its key set. */
  keys: JWK[]
  /** A token as this issuer makes it: good for five minutes from now, unless `over` says otherwise. */
  sign(
    claims: Readonly<Record<string, unknown>>,
    over?: { readonly key?: CryptoKey; readonly kid?: string; readonly alg?: string },
  ): Promise<string>
  stop(): Promise<void>
}

/** What it says of itself: enough for people to sign in with, too. */
function discovered(url: string): Readonly<Record<string, unknown>> {
  return {
    issuer: url,
    jwks_uri: `${url}/keys`,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    response_types_supported: ['code'],
    id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
  }
}

export async function startIssuer(): Promise<Issuer> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-issuer-'))
  const world = await openAuthority(folder, { nowMs: () => Date.now() })
  const authorityFile = join(folder, 'issuer-authority.pem')
  writeFileSync(authorityFile, world.certificate)
  const { key, certificate } = await world.issue('localhost')
  const pair = await generateKeyPair('RS256', { extractable: true })
  const publicKey: JWK = { ...(await exportJWK(pair.publicKey)), kid: 'first', use: 'sig', alg: 'RS256' }
  const asked: string[] = []
  const posted: string[] = []
  const instead: Issuer['instead'] = new Map()
  let url = ''
  const issuer = { keys: [publicKey] }
  const server: Server = createServer({ key, cert: certificate }, (request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    request.on('data', (chunk: Buffer) => posted.push(chunk.toString('utf8')))
    const other = instead.get(path)
    if (other === 'down') return void request.socket.destroy()
    const body =
      path === '/.well-known/openid-configuration' ? JSON.stringify(discovered(url)) : JSON.stringify({ keys: issuer.keys })
    response.writeHead(other?.status ?? 200, { 'content-type': 'application/json', ...other?.headers })
    response.end(other?.body ?? body)
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const address = server.address()
  url = `https://localhost:${typeof address === 'object' && address !== null ? address.port : 0}`
  return {
    url,
    authorityFile,
    authority: world.certificate,
    publicKey,
    privateKey: pair.privateKey,
    asked,
    posted,
    instead,
    get keys() {
      return issuer.keys
    },
    set keys(keys) {
      issuer.keys = keys
    },
    sign: (claims, { key: signer = pair.privateKey, kid = 'first', alg = 'RS256' } = {}) => {
      const iat = Math.floor(Date.now() / 1000)
      const payload = JSON.stringify({ iss: url, iat, exp: iat + 300, ...claims })
      return new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg, kid }).sign(signer)
    },
    stop: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
