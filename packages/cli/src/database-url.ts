import { readFileSync } from 'node:fs'
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
  readonly sslmode: Sslmode
  readonly rootCertificate: string | null
  /** `user@host:port/database`. */
  readonly label: string
}

/** As the gate takes them; `prefer` and `allow` would fall back to plain text without a word. */
const sslmodes = ['disable', 'require', 'verify-ca', 'verify-full'] as const
type Sslmode = (typeof sslmodes)[number]

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
  if (parsed.searchParams.has('host') || parsed.searchParams.has('port'))
    throw badUrl('The URL names host or port in a parameter instead of before the database.')
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  const port = parsed.port === '' ? 5432 : Number(parsed.port)
  const given = parsed.searchParams.get('sslmode')
  const sslmode = given === null ? (isLoopback(host) ? 'disable' : null) : sslmodes.find((mode) => mode === given)
  if (sslmode === null)
    throw badUrl(
      'The URL does not say whether to encrypt, and the host is not this machine: add ?sslmode=require, or verify-full.',
    )
  if (sslmode === undefined) throw badUrl(`The URL's sslmode is none of ${sslmodes.join(', ')}.`)
  return {
    url,
    user,
    password,
    host,
    port,
    database,
    sslmode,
    rootCertificate: parsed.searchParams.get('sslrootcert'),
    label: `${user}@${parsed.hostname}:${port}/${database}`,
  }
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

/** For `pg`, as the gate itself will connect: `require` encrypts without checking who answers, `verify-full` checks. */
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

function tlsFor({ sslmode, rootCertificate }: DatabaseUrl): ClientConfig['ssl'] {
  switch (sslmode) {
    case 'disable':
      return false
    case 'require':
      return { rejectUnauthorized: false }
    case 'verify-ca':
    case 'verify-full':
      return rootCertificate === null ? true : { ca: readRoot(rootCertificate) }
  }
}

function readRoot(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch {
    throw badUrl('The file that sslrootcert names cannot be read.')
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
