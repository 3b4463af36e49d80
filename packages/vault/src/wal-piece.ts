import { canonicalJson, lsnShape, parseLsn, showLsn, walPieceBytesMax, walStreamAboutShape, walStreamId } from '@sallyport/core'
import { z } from 'zod'
import { addressOf, boxOverheadBytes, decryptBox, encryptBox } from './chunk.ts'
import { VaultFailure } from './failure.ts'
import type { ReadKey, VaultKey } from './key.ts'
import { hex64 } from './manifest.ts'
import { readSignedLine, writeSignedLine } from './signed-line.ts'

const headBytesMax = 8 << 10
/** Bytes of a piece's file, at most. */
export const walFileBytesMax = headBytesMax + walPieceBytesMax + boxOverheadBytes

const time = z.int().min(0)
/** What anyone may read of a piece: whose WAL, from where to where, and which piece came before. */
const headSchema = walStreamAboutShape.extend({
  v: z.literal(1),
  vault: hex64,
  stream: walStreamId,
  /** 1, 2, 3 …: a gap is a piece that was taken away. */
  sequence: z.int().min(1),
  /** Id of the piece before; null for the first. */
  previous: hex64.nullable(),
  fromLsn: lsnShape,
  /** Plaintext bytes. */
  bytes: z.int().min(1).max(walPieceBytesMax),
  /** SHA-256 of the box that follows. */
  box: hex64,
  sealedBy: z.string().regex(/^[0-9a-f]{16}$/),
  madeAtMs: time,
  agedMs: time,
  retainUntilMs: time,
})
export type WalHead = z.infer<typeof headSchema>

/** A piece's place, as its name says it. Proven only once the piece was read. */
export interface WalName {
  readonly stream: string
  readonly sequence: number
  readonly from: bigint
  readonly bytes: number
  readonly id: string
}

export interface WalPiece {
  readonly name: WalName
  readonly head: WalHead
  readonly box: Buffer
}

const namePattern = /^wal\/([0-9a-f]{32})-(\d{12})-([0-9a-f]{16})-(\d{7})-([0-9a-f]{64})$/

/** Where a piece lies in every store. In the order of their names they are in the order of their bytes. */
export function walName({ stream, sequence, from, bytes, id }: WalName): string {
  const at = from.toString(16).padStart(16, '0')
  return `wal/${stream}-${String(sequence).padStart(12, '0')}-${at}-${String(bytes).padStart(7, '0')}-${id}`
}

/** Null for what is not a piece's name. */
export function parseWalName(text: string): WalName | null {
  const [, stream, sequence, from, bytes, id] = namePattern.exec(text) ?? []
  if (stream === undefined || sequence === undefined || from === undefined || bytes === undefined || id === undefined) return null
  return { stream, sequence: Number(sequence), from: BigInt(`0x${from}`), bytes: Number(bytes), id }
}

/** A piece's file: a signed line, its signature, and the box. Its id is the hash of all of it. */
export async function sealWalPiece(
  key: VaultKey,
  head: Omit<WalHead, 'v' | 'vault' | 'box' | 'bytes'>,
  plain: Uint8Array,
): Promise<{ readonly name: WalName; readonly head: WalHead; readonly file: Buffer }> {
  const box = await encryptBox(key.chunkKeys, 'wal', plain)
  const whole: WalHead = { ...head, v: 1, vault: key.publicKey, bytes: plain.length, box: addressOf(box) }
  const file = Buffer.concat([writeSignedLine(key, 'wal', whole), box])
  return { name: nameOf(whole, addressOf(file)), head: whole, file }
}

function nameOf({ stream, sequence, fromLsn, bytes }: WalHead, id: string): WalName {
  return { stream, sequence, from: parseLsn(fromLsn), bytes, id }
}

/** Proves that this vault sealed these bytes for this place. @throws VaultFailure `damaged` */
export function readWalPiece(publicKey: string, file: Buffer, name: string): WalPiece {
  const line = file.indexOf(0x0a)
  const end = line === -1 ? -1 : file.indexOf(0x0a, line + 1)
  if (end === -1 || end > headBytesMax) throw new VaultFailure('damaged', 'A piece of WAL has no head.')
  const parsed = headSchema.safeParse(readSignedLine(publicKey, 'wal', file.subarray(0, end + 1)))
  if (!parsed.success) throw new VaultFailure('damaged', 'A piece of WAL has another form than this version knows.')
  const [head, box] = [parsed.data, file.subarray(end + 1)]
  if (head.vault !== publicKey) throw new VaultFailure('damaged', 'A piece of WAL is of another vault.')
  if (head.box !== addressOf(box)) throw new VaultFailure('damaged', 'A piece of WAL does not hold what was signed.')
  const proven = nameOf(head, addressOf(file))
  if (walName(proven) !== name) throw new VaultFailure('damaged', 'A piece of WAL lies under the name of another.')
  return { name: proven, head, box }
}

/** @throws VaultFailure `damaged` */
export async function openWalPiece(key: ReadKey, { head, box }: WalPiece): Promise<Buffer> {
  const plain = await decryptBox(key.chunkKeys, 'wal', box)
  if (plain.length !== head.bytes) throw new VaultFailure('damaged', 'A piece of WAL has another size than its head says.')
  return plain
}

/** Where the next piece begins. */
export function walEnd({ from, bytes }: Pick<WalName, 'from' | 'bytes'>): bigint {
  return from + BigInt(bytes)
}

export function describeWal({ stream, sequence, from }: WalName): string {
  return `number ${sequence} of stream ${stream}, from ${showLsn(from)}`
}

/** What is equal in all pieces of a stream, as text. */
export function aboutOf({ upstream, upstreamIdentity, timeline, segmentBytes }: WalHead): string {
  return canonicalJson({ upstream, upstreamIdentity, timeline, segmentBytes })
}
