import { createHash } from 'node:crypto'
import { tokenShapes } from './token-shape.ts'

/** One credential that lies where an agent can read it. The credential itself is in none of these fields. */
export interface StrayToken {
  readonly line: number
  readonly kind: string
  /** Hosts that would take it. */
  readonly hosts: readonly string[]
  /** Its first characters: at most 4, and never more than a quarter of it. */
  readonly starts: string
  readonly length: number
  /** First 12 hexadecimal digits of its SHA-256: the same credential in two places has the same. */
  readonly sha256Prefix: string
  /** The whole of it, to compare with what is known; never shown. */
  readonly sha256: string
}

/** A place in a text that another reader (secretlint) calls a credential. */
export interface Suspect {
  readonly kind: string
  readonly from: number
  readonly to: number
}

/** More in one file is a list of credentials, and a few of them tell that. */
const tokensPerFileMax = 500

/** Credentials in a text, in the order of their places. Of two that overlap, the one of our own shapes is kept, since it knows its host. */
export function findTokens(text: string, suspects: readonly Suspect[]): readonly StrayToken[] {
  const taken: { readonly from: number; readonly to: number; readonly token: StrayToken }[] = []
  const lineOf = makeLineIndex(text)
  const take = (kind: string, hosts: readonly string[], from: number, to: number): void => {
    if (taken.length >= tokensPerFileMax) return
    if (taken.some((one) => from < one.to && one.from < to)) return
    taken.push({ from, to, token: describeToken(kind, hosts, text.slice(from, to), lineOf(from)) })
  }
  for (const { kind, hosts, pattern } of tokenShapes) {
    for (const match of text.matchAll(pattern)) {
      const secret = match.groups?.['secret'] ?? ''
      if (secret === '' || isPlaceholder(secret)) continue
      const from = match.index + match[0].lastIndexOf(secret)
      take(kind, hosts.length > 0 ? hosts : hostsWithin(kind, secret), from, from + secret.length)
    }
  }
  for (const { kind, from, to } of suspects) {
    const secret = text.slice(from, to)
    if (secret.trim() !== '' && !isPlaceholder(secret)) take(kind, hostsWithin(kind, secret), from, to)
  }
  return taken.sort((left, right) => left.from - right.from).map(({ token }) => token)
}

function describeToken(kind: string, hosts: readonly string[], secret: string, line: number): StrayToken {
  const sha256 = createHash('sha256').update(secret).digest('hex')
  const starts = secret.slice(0, Math.min(4, Math.floor(secret.length / 4)))
  return { line, kind, hosts, starts, length: secret.length, sha256Prefix: sha256.slice(0, 12), sha256 }
}

/** A text that stands for a credential to be put in: `${NAME}`, `<password>`, `%s`, `****`, `xxxx`. Of a URL its password, of `name=value` the value. */
function isPlaceholder(secret: string): boolean {
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^:/?#]*:(.*)@/i.exec(secret)?.[1]
  const value = password ?? /[^\s=:"'`]*$/.exec(secret.replace(/["'`]$/, ''))?.[0] ?? secret
  if (/^(?:\$[({A-Za-z_]|[<{%[]|\*+$|x+$|\.+$)/i.test(value)) return true
  return /^(.)\1+$/.test(value.replaceAll('-', ''))
}

/** The host that a connection string or the issuer of a JSON web token names. */
function hostsWithin(kind: string, secret: string): readonly string[] {
  if (kind === 'jwt') return issuerOf(secret)
  const authority = /^[a-z][a-z0-9+.-]*:\/\/[^\s]*@([^\s/?#]+)/i.exec(secret)?.[1]
  if (authority === undefined) return []
  // Several hosts may stand there, each with a port.
  return authority
    .split(',')
    .map((one) =>
      one
        .replace(/:\d{1,5}$/, '')
        .replace(/^\[|\]$/g, '')
        .toLowerCase(),
    )
    .filter((host) => /^[a-z0-9.:_-]{1,253}$/.test(host))
}

function issuerOf(token: string): readonly string[] {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    if (typeof payload !== 'object' || payload === null || !('iss' in payload)) return []
    if (payload.iss === 'supabase') return ['supabase.co']
    return typeof payload.iss === 'string' && URL.canParse(payload.iss) ? [new URL(payload.iss).hostname] : []
  } catch {
    return []
  }
}

function makeLineIndex(text: string): (at: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (at) => {
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((starts[middle] ?? 0) <= at) low = middle
      else high = middle - 1
    }
    return low + 1
  }
}
