import { z } from 'zod'
import { canonicalJson } from '../canonical.ts'
import { type Event, eventJson, eventTypes } from '../event.ts'
import { entryBytesMax, LogFormatError, sameBytes } from './hash.ts'

const entrySchema = z.strictObject({
  type: z.enum(eventTypes),
  atMs: z.number(),
  session: z.string().optional(),
  agent: z.string().optional(),
  data: z.record(z.string(), z.json()),
  /** 16 random bytes, base64url. Entries of before there was one have none. */
  salt: z
    .string()
    .regex(/^[A-Za-z0-9_-]{22}$/)
    .optional(),
})

/**
 * The bytes of an event on the log: canonical JSON (RFC 8785). Its index is its place and not in it.
 * @param salt 16 random bytes as base64url, so that the entry's hash, which proofs of its neighbours show, says nothing of what is in it
 * @throws LogFormatError
 */
export function encodeEntry(event: Event, salt?: string): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = Buffer.from(canonicalJson(eventJson(event, salt)))
  } catch (error) {
    throw new LogFormatError('entry', error instanceof Error ? error.message : 'cannot be written as canonical JSON')
  }
  if (bytes.length > entryBytesMax) throw new LogFormatError('entry', `${bytes.length} bytes, at most ${entryBytesMax}`)
  return bytes
}

/** @throws LogFormatError for bytes that `encodeEntry` would not have written */
export function decodeEntry(bytes: Uint8Array): Event {
  if (bytes.length > entryBytesMax) throw new LogFormatError('entry', `${bytes.length} bytes, at most ${entryBytesMax}`)
  const parsed = parseEntry(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  if (parsed === null) throw new LogFormatError('entry', 'not an event')
  const { event, salt } = parsed
  if (!sameBytes(encodeEntry(event, salt), bytes)) throw new LogFormatError('entry', 'not canonical JSON')
  return event
}

function parseEntry(text: string): { readonly event: Event; readonly salt: string | undefined } | null {
  try {
    const { session, agent, salt, ...rest } = entrySchema.parse(JSON.parse(text))
    const event = { ...rest, ...(session === undefined ? {} : { session }), ...(agent === undefined ? {} : { agent }) }
    return { event, salt }
  } catch {
    // Not JSON, not an event, or nested so deep that the parser's stack ran out.
    return null
  }
}
