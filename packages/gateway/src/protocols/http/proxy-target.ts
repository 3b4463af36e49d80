import type { IncomingMessage } from 'node:http'
import { disagreement } from './disagreement.ts'
import { isSameOrigin, readAuthority, type Origin } from './origin.ts'
import { AlarmingRefusal, refuse } from './refusal.ts'
import { decodePercent } from './text-within.ts'
import { digestToken } from './token-digest.ts'
import { hideTokens } from './token-shape.ts'

/** `CONNECT host:port`, and a Host header that says the same. */
export function readConnect(request: IncomingMessage): Origin {
  const url = request.url ?? ''
  // Python's http.client asks for a tunnel in 1.0; what it then sends inside is 1.1, and is looked at there.
  if (request.httpVersion !== '1.1' && request.httpVersion !== '1.0')
    throw refuse('not_supported', `HTTP/${request.httpVersion.slice(0, 8)} is not carried.`, 'Use HTTP/1.1.')
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined)
    throw refuse('protocol_violation', 'CONNECT has no body.', 'Send CONNECT without a length.')
  const origin = /:\d+$/.test(url) ? readAuthority(url, 'https') : null
  if (origin === null) throw badName(url)
  const { host } = request.headers
  const said = host === undefined ? origin : readAuthority(host, 'https')
  if (said === null || !(isSameOrigin(said, origin) || (said.host === origin.host && !/:\d+$/.test(host ?? ''))))
    throw disagreement('Host', host ?? '', origin)
  return origin
}

/** `GET http://host/path`, and a Host header that says the same. */
export function readProxyTarget(request: IncomingMessage): { readonly origin: Origin; readonly target: string } {
  const found = readAbsolute(request.url ?? '')
  if (found === null)
    throw refuse(
      'protocol_violation',
      'This is a proxy: it takes CONNECT, or a whole http:// URL.',
      'Set HTTPS_PROXY (and HTTP_PROXY) to http://AGENT:HANDLE@HOST:PORT of this gate, and ask for the URL itself.',
    )
  if (found.origin.scheme === 'https')
    throw refuse(
      'not_supported',
      'The gate takes https:// by CONNECT only.',
      'Let your client connect through the proxy (HTTPS_PROXY).',
    )
  return found
}

/** Inside a tunnel: a path, or the whole URL of the host that the tunnel leads to. */
export function readTunnelTarget(request: IncomingMessage, origin: Origin): string {
  const url = request.url ?? ''
  if (url.startsWith('/')) return url
  const found = readAbsolute(url)
  if (found === null) throw refuse('protocol_violation', 'The request names no path.', 'Send a path from the root.')
  if (!isSameOrigin(found.origin, origin)) throw disagreement('The URL', url, origin)
  return found.target
}

function readAbsolute(url: string): { readonly origin: Origin; readonly target: string } | null {
  const [, scheme, authority, rest] = /^(https?):\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  if (scheme === undefined || authority === undefined || rest === undefined) return null
  if (authority.includes('@')) throw userInformation(authority)
  const origin = readAuthority(authority, scheme.toLowerCase() === 'https' ? 'https' : 'http')
  if (origin === null) throw badName(authority)
  return { origin, target: rest.startsWith('/') ? rest : `/${rest}` }
}

/** `https://user:password@host/`: a credential, and a way to make one host look like another. */
function userInformation(authority: string): AlarmingRefusal {
  const at = authority.lastIndexOf('@')
  const host = authority.slice(at + 1, 300).toWellFormed()
  const user = authority.slice(0, at)
  const token = decodePercent(user.slice(user.indexOf(':') + 1))
  return new AlarmingRefusal(
    'foreign_credential',
    'The URL carries a user name or password before its host.',
    'Send the URL without it: the gate adds the real credential by itself.',
    {
      kind: 'foreign_credential',
      data: { place: 'URL user information', shape: 'credentials', host: hideTokens(host), tokenSha256: digestToken(token) },
    },
  )
}

function badName(name: string): Error {
  return refuse(
    'protocol_violation',
    `${JSON.stringify(name.slice(0, 128).toWellFormed())} is no plain host name with a port.`,
    'Use letters, digits and hyphens, without a dot at the end; write other scripts as xn--….',
  )
}
