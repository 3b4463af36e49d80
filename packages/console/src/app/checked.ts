import * as z from 'zod/mini'
import type { provenShape } from '../shapes/pages.ts'

type Proven = NonNullable<z.infer<typeof provenShape>>

/** One thing that was looked at, and what came of it. */
export interface Step {
  readonly what: string
  readonly held: boolean
  readonly detail: string
}

const utf8 = new TextEncoder()
const hashBytes = 32
const logSignature = 0x01
/** Hashes in a proof, at most: a level each. */
const proofMax = 64

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return null
  }
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

/** The root that a leaf and its proof lead to (RFC 9162 §2.1.3.2); null where they cannot fit together. */
async function rootOf(leaf: Uint8Array, index: number, size: number, proof: readonly Uint8Array[]): Promise<Uint8Array | null> {
  let position = index
  let last = size - 1
  let value = leaf
  for (const sibling of proof) {
    if (last === 0) return null
    if (position % 2 === 1 || position === last) {
      value = await sha256(join(Uint8Array.of(1), sibling, value))
      while (position % 2 === 0 && position !== 0) [position, last] = [Math.floor(position / 2), Math.floor(last / 2)]
    } else {
      value = await sha256(join(Uint8Array.of(1), value, sibling))
    }
    ;[position, last] = [Math.floor(position / 2), Math.floor(last / 2)]
  }
  return last === 0 ? value : null
}

interface LogKey {
  readonly name: string
  readonly id: Uint8Array<ArrayBuffer>
  readonly publicKey: Uint8Array<ArrayBuffer>
}

/** C2SP verifier key: name, id, base64 of type and key. */
async function readKey(text: string): Promise<LogKey | null> {
  const [, name, idText, material] = /^([^+\s]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{1,100})$/.exec(text) ?? []
  const bytes = fromBase64(material ?? '')
  if (name === undefined || bytes?.length !== 1 + hashBytes || bytes[0] !== logSignature) return null
  const publicKey = bytes.slice(1)
  const id = (await sha256(join(utf8.encode(`${name}\n`), Uint8Array.of(logSignature), publicKey))).slice(0, 4)
  return toHex(id) === idText ? { name, id, publicKey } : null
}

/** A signed note (C2SP): its text, and the signatures that the log's own key must be among. */
async function isSignedBy(key: LogKey, note: string): Promise<boolean> {
  const cut = note.lastIndexOf('\n\n')
  if (cut < 0) return false
  const text = utf8.encode(note.slice(0, cut + 1))
  const publicKey = await crypto.subtle.importKey('raw', key.publicKey, 'Ed25519', false, ['verify'])
  for (const line of note.slice(cut + 2).split('\n')) {
    const [, name, encoded] = /^— (\S{1,255}) ([A-Za-z0-9+/=]{1,200})$/.exec(line) ?? []
    const bytes = fromBase64(encoded ?? '')
    if (name !== key.name || bytes === null || toHex(bytes.slice(0, 4)) !== toHex(key.id)) continue
    return crypto.subtle.verify('Ed25519', publicKey, bytes.slice(4), text)
  }
  return false
}

interface Signed {
  readonly origin: string
  readonly size: number
  readonly root: string
}

function readCheckpoint(note: string): Signed | null {
  const [origin = '', size = '', root = ''] = note.split('\n')
  return /^(0|[1-9]\d{0,15})$/.test(size) ? { origin, size: Number(size), root } : null
}

/**
 * Checks, with nothing but this browser's own cryptography, that an entry is in the log whose root the log's key signed.
 * @param shown the event as this page shows it, which must be what the entry says
 */
export async function checkProof(proven: Proven, shown: unknown): Promise<readonly Step[]> {
  const key = await readKey(proven.key)
  const signed = readCheckpoint(proven.checkpoint)
  const isSigned = key !== null && signed !== null && signed.origin === key.name && (await isSignedBy(key, proven.checkpoint))
  const proof = proven.proof.slice(0, proofMax).map((text) => fromBase64(text) ?? new Uint8Array())
  const leaf = await sha256(join(Uint8Array.of(0), utf8.encode(proven.entry)))
  const fits = proof.every(({ length }) => length === hashBytes) && proven.proof.length <= proofMax && proven.index < proven.size
  const root = fits ? await rootOf(leaf, proven.index, proven.size, proof) : null
  const wanted = fromBase64(signed?.root ?? '')
  const isIncluded =
    root !== null && wanted !== null && signed !== null && signed.size === proven.size && toHex(root) === toHex(wanted)
  return [
    {
      what: 'The entry says what this page shows',
      held: isSame(proven.entry, shown),
      detail: `SHA-256 of the entry ${toHex(leaf)}`,
    },
    {
      what: `It is entry ${proven.index} of the log’s first ${proven.size}`,
      held: isIncluded,
      detail: `${proven.proof.length} hashes lead to the root ${wanted === null ? 'that is missing' : toHex(wanted)}`,
    },
    {
      what: 'The log’s key signed that root',
      held: isSigned,
      detail: key === null ? 'its key cannot be read' : `${key.name}, Ed25519 ${toHex(key.publicKey)}`,
    },
  ]
}

const saltedShape = z.looseObject({})

/** The entry has one thing more than the event: its salt. */
function isSame(entry: string, shown: unknown): boolean {
  const read = saltedShape.safeParse(parse(entry))
  const other = saltedShape.safeParse(shown)
  if (!read.success || !other.success) return false
  const event = Object.fromEntries(Object.entries(read.data).filter(([name]) => name !== 'salt'))
  return canonical(event) === canonical(other.data)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`
}
