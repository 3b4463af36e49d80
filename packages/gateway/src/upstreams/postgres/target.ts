import { readFileSync } from 'node:fs'
import { isOwnHost, SallyportError } from '@sallyport/core'

/** Where a PostgreSQL is and how to get in. Holds the credential: never logged, never part of an error. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** `disable`: plain. `require`: encrypted, the server not verified. `verify-ca`, `verify-full`: verified. */
  readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full'
  readonly rootCertificate: Buffer | null
}

const modes = ['disable', 'require', 'verify-ca', 'verify-full'] as const

/** Loopback, or a socket in the file system. */
function crossesNoNetwork(host: string): boolean {
  return host.startsWith('/') || isOwnHost(host)
}

/** Reads a connection URL. `prefer` and `allow` are refused: they fall back to plain text without a word. */
export function readTarget(name: string, url: string): Target {
  const parsed = URL.parse(url)
  if (parsed === null || !['postgres:', 'postgresql:'].includes(parsed.protocol))
    throw badTarget(name, 'its URL is not a postgres:// URL')
  const user = decodeURIComponent(parsed.username)
  if (user === '') throw badTarget(name, 'its URL names no user')
  const host = parsed.searchParams.get('host') ?? parsed.hostname.replace(/^\[(.*)\]$/, '$1')
  const wanted = parsed.searchParams.get('sslmode') ?? (crossesNoNetwork(host) ? 'disable' : null)
  if (wanted === null)
    throw badTarget(name, `its URL does not say whether to encrypt (sslmode), and the host is not this machine`)
  const tls = modes.find((mode) => mode === wanted)
  if (tls === undefined) throw badTarget(name, `sslmode=${JSON.stringify(wanted.slice(0, 32))} is none of ${modes.join(', ')}`)
  const rootFile = parsed.searchParams.get('sslrootcert')
  return {
    host,
    port: Number(parsed.port === '' ? (parsed.searchParams.get('port') ?? 5432) : parsed.port),
    user,
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)) || user,
    tls,
    rootCertificate: rootFile === null ? null : readRoot(name, rootFile),
  }
}

function readRoot(name: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new SallyportError(
      'upstream_unavailable',
      `The root certificate of upstream ${name} can't be read.`,
      'No connection was made.',
      'Mend sslrootcert in its URL.',
      { cause: error },
    )
  }
}

function badTarget(name: string, why: string): SallyportError {
  return new SallyportError(
    'upstream_unavailable',
    `The upstream ${name} can't be used: ${why}.`,
    'No connection was made.',
    'Mend the URL of this upstream.',
  )
}
