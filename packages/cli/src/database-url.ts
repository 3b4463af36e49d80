import type { ClientConfig } from 'pg'
import { CommandFailure, exitCodes } from './failure.ts'

/** A parsed `postgres://` URL. The password is for connecting only; `label` is what may be shown. */
export interface DatabaseUrl {
  /** As given, for the credential file. */
  readonly url: string
  readonly user: string
  readonly password: string
  readonly host: string
  readonly port: number
  readonly database: string
  readonly sslmode: string
  /** `user@host:port/database`. */
  readonly label: string
}

const sslmodes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/** Parses what a person pasted. Errors name the part that is wrong and repeat nothing of it: any part may turn out to be the password. */
export function parseDatabaseUrl(text: string): DatabaseUrl {
  const url = text.trim()
  if (url === '') throw badUrl('The database URL is empty.')
  if (/\s/.test(url)) throw badUrl('There is more than one line or word where one database URL was expected.')
  if (!/^postgres(ql)?:\/\//.test(url)) throw badUrl('The URL does not begin with postgres:// or postgresql://.')
  const parsed = parseUrl(url)
  const user = decode(parsed.username, 'user')
  const password = decode(parsed.password, 'password')
  const database = decode(parsed.pathname.slice(1), 'database')
  if (parsed.hostname === '') throw badUrl('The URL names no host.')
  if (user === '') throw badUrl('The URL names no user.')
  if (database === '' || database.includes('/')) throw badUrl('The URL names no database after the host.')
  if (parsed.hash !== '') throw badUrl('The URL holds a bare "#"; in a password it is written %23.')
  const sslmode = parsed.searchParams.get('sslmode') ?? ''
  if (sslmode !== '' && !sslmodes.includes(sslmode)) throw badUrl(`The URL's sslmode is none of ${sslmodes.join(', ')}.`)
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  const port = parsed.port === '' ? 5432 : Number(parsed.port)
  return { url, user, password, host, port, database, sslmode, label: `${user}@${parsed.hostname}:${port}/${database}` }
}

function parseUrl(url: string): URL {
  try {
    return new URL(url)
  } catch {
    throw badUrl('The URL cannot be read; in a password, characters such as / # ? @ : % are written as %2F %23 %3F %40 %3A %25.')
  }
}

function decode(part: string, name: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw badUrl(`The ${name} in the URL holds a bare "%"; it is written %25.`)
  }
}

function badUrl(what: string): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'unreadable',
    what,
    'Nothing was connected to and nothing was written.',
    'Give one URL such as postgres://user:password@host:5432/database?sslmode=require',
  )
}

const connectTimeoutMs = 5_000

/** For `pg`. As libpq means it: `require` encrypts without checking who answers, `verify-full` checks; without a word, TLS off this machine only. */
export function clientConfig(database: DatabaseUrl): ClientConfig {
  const { user, password, host, port } = database
  return {
    user,
    password,
    host,
    port,
    database: database.database,
    ssl: tlsFor(database),
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: connectTimeoutMs,
    application_name: 'sallyport init',
  }
}

function tlsFor({ sslmode, host }: DatabaseUrl): ClientConfig['ssl'] {
  switch (sslmode) {
    case 'disable':
    case 'allow':
      return false
    case 'prefer':
    case 'require':
      return { rejectUnauthorized: false }
    case 'verify-ca':
    case 'verify-full':
      return true
    default:
      return isLoopback(host) ? false : { rejectUnauthorized: false }
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
