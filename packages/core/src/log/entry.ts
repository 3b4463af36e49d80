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
})

/** The bytes of an event on the log: canonical JSON (RFC 8785). Its index is its place and not in it. @throws LogFormatError */
export function encodeEntry(event: Event): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = Buffer.from(canonicalJson(eventJson(event)))
  } catch (error) {
    throw new LogFormatError('entry', error instanceof Error ? error.message : 'cannot be written as canonical JSON')
  }
  if (bytes.length > entryBytesMax) throw new LogFormatError('entry', `${bytes.length} bytes, at most ${entryBytesMax}`)
  return bytes
}

/** @throws LogFormatError for bytes that `encodeEntry` would not have written */
export function decodeEntry(bytes: Uint8Array): Event {
  if (bytes.length > entryBytesMax) throw new LogFormatError('entry', `${bytes.length} bytes, at most ${entryBytesMax}`)
  const event = parseEvent(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  if (event === null) throw new LogFormatError('entry', 'not an event')
  if (!sameBytes(encodeEntry(event), bytes)) throw new LogFormatError('entry', 'not canonical JSON')
  return event
}

function parseEvent(text: string): Event | null {
  try {
    const { session, agent, ...rest } = entrySchema.parse(JSON.parse(text))
    return { ...rest, ...(session === undefined ? {} : { session }), ...(agent === undefined ? {} : { agent }) }
  } catch {
    // Not JSON, not an event, or nested so deep that the parser's stack ran out.
    return null
  }
}
