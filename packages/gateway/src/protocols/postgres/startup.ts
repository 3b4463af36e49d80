import { cancelCode, findZero, gssCode, protocol30, sslCode } from './wire.ts'

/** Longest start-up packet that PostgreSQL itself takes, bytes. */
const startupBytesMax = 10_000

/** Longest secret that a cancel key of protocol 3.2 may have, bytes. */
const cancelSecretBytesMax = 256

/** Content type of a TLS record that holds a handshake (RFC 8446 §5.1). */
const tlsHandshake = 0x16

export type Startup =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'garbage'; readonly why: string }
  | { readonly kind: 'encryption'; readonly bytes: number; readonly method: 'tls' | 'gss' }
  /** A TLS handshake without having asked (libpq's sslnegotiation=direct). */
  | { readonly kind: 'handshake' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly secret: Buffer }
  | { readonly kind: 'start'; readonly bytes: number; readonly minor: number; readonly parameters: ReadonlyMap<string, string> }

/** Reads the first packet of a connection, or the next one after an encryption request was declined. */
export function readStartup(bytes: Buffer): Startup {
  // No packet can begin so: its length would be 369 MB.
  if (bytes[0] === tlsHandshake) return { kind: 'handshake' }
  if (bytes.length < 4) return { kind: 'incomplete' }
  const length = bytes.readInt32BE(0)
  if (length < 8 || length > startupBytesMax) return { kind: 'garbage', why: 'the first packet has an impossible length' }
  if (bytes.length < 8) return { kind: 'incomplete' }
  const code = bytes.readInt32BE(4)
  const major = code >> 16
  if (code !== sslCode && code !== gssCode && code !== cancelCode && major !== 3)
    return { kind: 'garbage', why: `protocol ${major} is not spoken here` }
  if (bytes.length < length) return { kind: 'incomplete' }
  if (code === sslCode || code === gssCode) {
    if (length !== 8) return { kind: 'garbage', why: 'an encryption request of impossible length' }
    return { kind: 'encryption', bytes: length, method: code === sslCode ? 'tls' : 'gss' }
  }
  if (code === cancelCode) {
    if (length < 16 || length > 12 + cancelSecretBytesMax)
      return { kind: 'garbage', why: 'a cancel request of impossible length' }
    return { kind: 'cancel', pid: bytes.readInt32BE(8), secret: bytes.subarray(12, length) }
  }
  const parameters = readPairs(bytes, 8, length)
  if (parameters === null) return { kind: 'garbage', why: 'the start-up parameters are malformed or repeat' }
  return { kind: 'start', bytes: length, minor: code - protocol30, parameters }
}

function readPairs(bytes: Buffer, from: number, end: number): ReadonlyMap<string, string> | null {
  const pairs = new Map<string, string>()
  let at = from
  while (at < end && bytes[at] !== 0) {
    const nameEnd = findZero(bytes, at, end)
    const valueEnd = nameEnd === -1 ? -1 : findZero(bytes, nameEnd + 1, end)
    if (valueEnd === -1) return null
    const name = bytes.toString('utf8', at, nameEnd)
    // Settings have no case, so a name that differs in case alone is the same twice.
    if ([...pairs.keys()].some((known) => known.toLowerCase() === name.toLowerCase())) return null
    pairs.set(name, bytes.toString('utf8', nameEnd + 1, valueEnd))
    at = valueEnd + 1
  }
  return at === end - 1 && bytes[at] === 0 ? pairs : null
}

/** Settings that change how answers look or how long things may take, and never what SQL means or who runs it. */
const allowed = new Set([
  'application_name',
  'bytea_output',
  'client_encoding',
  'client_min_messages',
  'datestyle',
  'extra_float_digits',
  'fallback_application_name',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'intervalstyle',
  'jit',
  'lock_timeout',
  'standard_conforming_strings',
  'statement_timeout',
  'tcp_user_timeout',
  'timezone',
])
const settingBytesMax = 256

export type ClientSettings =
  | {
      readonly kind: 'accepted'
      readonly user: string
      readonly database: string
      readonly settings: ReadonlyMap<string, string>
      readonly protocolOptions: readonly string[]
    }
  | { readonly kind: 'refused'; readonly message: string; readonly next: string }

/** Who wants what, or why not: whatever would part the gate's reading of SQL from the server's is refused (DESIGN §12). */
export function checkStartup(parameters: ReadonlyMap<string, string>): ClientSettings {
  const user = parameters.get('user')
  if (user === undefined || user === '') return refuse('no user was given', 'Give the name of the agent as user.')
  const settings = new Map<string, string>()
  const protocolOptions: string[] = []
  for (const [name, value] of parameters) {
    if (name === 'user' || name === 'database') continue
    if (name.startsWith('_pq_.')) {
      protocolOptions.push(name)
      continue
    }
    if (name === 'replication') {
      if (['false', 'off', 'no', '0'].includes(value.toLowerCase())) continue
      return refuse('replication connections are not carried by this gate yet', 'Connect without the replication parameter.')
    }
    const pairs = name === 'options' ? readOptions(value) : [[name, value] as const]
    if (pairs === null) return refuse('the start-up options could not be read', 'Give options only as `-c name=value`.')
    for (const [setting, wanted] of pairs) {
      const why = checkSetting(setting, wanted)
      if (why !== null) return refuse(why, 'Leave this setting out of the connection parameters.')
      settings.set(setting.toLowerCase(), wanted)
    }
  }
  settings.delete('fallback_application_name')
  settings.delete('tcp_user_timeout')
  return { kind: 'accepted', user, database: parameters.get('database') ?? user, settings, protocolOptions }
}

function refuse(message: string, next: string): ClientSettings {
  return { kind: 'refused', message, next }
}

function checkSetting(name: string, value: string): string | null {
  const lower = name.toLowerCase()
  if (!allowed.has(lower)) return `the start-up setting ${JSON.stringify(name.slice(0, 64))} is not allowed through the gate`
  if (value.length > settingBytesMax) return `the start-up setting ${lower} is too long`
  if (lower === 'standard_conforming_strings' && !['on', 'true', 'yes', '1'].includes(value.toLowerCase())) {
    return 'standard_conforming_strings must stay on: with it off the gate and the server would read strings differently'
  }
  if (lower === 'client_encoding' && !/^['"]?(utf-?8|unicode)['"]?$/i.test(value))
    return 'client_encoding must be UTF8: the gate reads nothing else'
  return null
}

/** `-c name=value`, `-cname=value` and `--name=value`, blanks escaped by a backslash, as the server reads them. */
function readOptions(options: string): readonly (readonly [string, string])[] | null {
  const words = options.match(/(?:\\.|[^\s\\])+/g) ?? []
  const pairs: (readonly [string, string])[] = []
  for (let index = 0; index < words.length; index += 1) {
    let word = words[index] ?? ''
    if (word === '-c') {
      index += 1
      word = words[index] ?? ''
    } else if (word.startsWith('-c')) word = word.slice(2)
    else if (word.startsWith('--')) word = word.slice(2)
    else return null
    const match = /^([A-Za-z_-]{1,64})=(.*)$/s.exec(word.replaceAll(/\\(.)/g, '$1'))
    if (match === null) return null
    pairs.push([(match[1] ?? '').replaceAll('-', '_'), match[2] ?? ''])
  }
  return pairs
}
