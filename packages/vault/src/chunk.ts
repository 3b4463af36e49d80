import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib'
import { sha256Hex, walPieceBytesMax } from '@sallyport/core'
import { VaultFailure } from './failure.ts'

/** Plaintext bytes in a chunk, at most. A writer may cut smaller ones. */
export const chunkBytesMax = 1 << 20
/** Plaintext bytes in a sealed inside of a manifest, at most. */
const insideBytesMax = 64 << 20

/**
 * What a box holds. Each kind has keys of its own, so that a chunk can never be taken for the inside of a manifest.
 */
export type BoxKind = 'chunk' | 'inside' | 'wal'
const magics: Record<BoxKind, string> = { chunk: 'SPVCHNK1', inside: 'SPVINSD1', wal: 'SPVWALP1' }
const bytesMax: Record<BoxKind, number> = { chunk: chunkBytesMax, inside: insideBytesMax, wal: walPieceBytesMax }

const magicBytes = 8
const saltBytes = 32
const tagBytes = 16
const headerBytes = magicBytes + 1 + saltBytes
/** What a box adds to the bytes it encrypts. */
export const boxOverheadBytes = headerBytes + tagBytes
/** Always zero: every encryption key is used for one message only (see `keyOf`). */
const nonce = Buffer.alloc(12)

/** `delta`: how many other chunks, their addresses, and a zstd frame that was made with their plaintexts as its dictionary. */
const codecs = { raw: 0, zstd: 1, delta: 2 } as const
const addressBytes = 32
/** A chunk is told by at most this many others: each is one more to lose. */
export const basesMax = 2
/** Room for a chunk and those it is told by. */
const deltaWindowLog = 21
/** The fast levels look at a dictionary too sparsely to find long repetitions. */
const deltaLevel = 3

/** Key objects: a key given as bytes is made into one for each message, which costs more than a small message itself. */
interface BoxKeys {
  readonly salt: KeyObject
  readonly encryption: KeyObject
}
export interface ChunkKeys {
  readonly chunk: BoxKeys
  readonly inside: BoxKeys
  readonly wal: BoxKeys
  /** By which equal and similar chunks are recognised. */
  readonly mark: KeyObject
  /** Where to cut depends on it, so that the sizes of chunks do not give a known text away. */
  readonly boundaries: Int32Array
}

/** A chunk that others are told by: what they have in common is stored once. */
export interface BaseChunk {
  readonly address: string
  readonly plain: Buffer
}
/** Plaintext of a base, which must be whole. */
export type FindBase = (address: string) => Promise<Buffer>

const compressWide = promisify(zstdCompress)
const decompressWide = promisify(zstdDecompress)
/** Up to this many bytes the way to another thread and back costs about as much (0.4 ms) as the work itself. */
const inPlaceBytesMax = 128 << 10
/** Output is made in steps of this: at Node's 16 KiB, a chunk takes half a dozen turns. */
const stepBytes = 64 << 10

/** The keys for boxes, from the 32 bytes of the vault's content key. */
export function deriveChunkKeys(contentKey: Uint8Array): ChunkKeys {
  const derive = (label: string, bytes = 32): Buffer =>
    Buffer.from(hkdfSync('sha256', contentKey, Buffer.alloc(0), `sallyport vault ${label} v1`, bytes))
  const secret = (label: string): KeyObject => createSecretKey(derive(label))
  const boundaries = derive('chunk boundaries', 1024)
  return {
    chunk: { salt: secret('chunk salt'), encryption: secret('chunk encryption') },
    inside: { salt: secret('inside salt'), encryption: secret('inside encryption') },
    wal: { salt: secret('wal salt'), encryption: secret('wal encryption') },
    mark: secret('chunk mark'),
    boundaries: Int32Array.from({ length: 256 }, (_, index) => boundaries.readInt32LE(4 * index)),
  }
}

/**
 * Compresses and encrypts. Deterministic: equal bytes under one content key and one compressor give an equal box, which is what lets chunks be
 * stored once. The salt is a keyed hash of what is encrypted and the encryption key is made from the salt, so two different messages never meet
 * the same key and the fixed nonce is never used twice (the idea of RFC 5297's synthetic IV). The salt covers the *compressed* bytes:
 * another version of the compressor then only loses deduplication, not secrecy.
 */
export async function encryptBox(keys: ChunkKeys, kind: BoxKind, plain: Uint8Array): Promise<Buffer> {
  if (plain.length > bytesMax[kind]) throw new VaultFailure('too_large', `A ${kind} holds ${bytesMax[kind]} bytes at most.`)
  const squeezed = await compress(plain)
  const smaller = squeezed.length < plain.length
  return encryptBody(keys, kind, smaller ? codecs.zstd : codecs.raw, smaller ? squeezed : plain)
}

/** As `encryptBox` for a chunk, told by one or two others. Deterministic too: the same chunk by the same bases gives the same box. */
export async function encryptDelta(keys: ChunkKeys, plain: Uint8Array, bases: readonly BaseChunk[]): Promise<Buffer> {
  const { ZSTD_c_compressionLevel: level, ZSTD_c_windowLog: windowLog } = constants
  const frame = await compressWide(plain, {
    dictionary: Buffer.concat(bases.map((base) => base.plain)),
    chunkSize: stepBytes,
    params: { [level]: deltaLevel, [windowLog]: deltaWindowLog },
  })
  const addresses = bases.map(({ address }) => Buffer.from(address, 'hex'))
  return encryptBody(keys, 'chunk', codecs.delta, Buffer.concat([Buffer.of(bases.length), ...addresses, frame]))
}

function encryptBody(keys: ChunkKeys, kind: BoxKind, codecNumber: number, body: Uint8Array): Buffer {
  const codec = Buffer.of(codecNumber)
  const salt = createHmac('sha256', keys[kind].salt).update(codec).update(body).digest()
  const header = Buffer.concat([Buffer.from(magics[kind], 'latin1'), codec, salt])
  const cipher = createCipheriv('aes-256-gcm', keyOf(keys, kind, salt), nonce).setAAD(header)
  return Buffer.concat([header, cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

/** @throws VaultFailure `damaged` when the box is not whole, was not made with these keys, or holds more than its kind may. */
export async function decryptBox(keys: ChunkKeys, kind: BoxKind, box: Uint8Array, findBase: FindBase = noBase): Promise<Buffer> {
  if (box.length < boxOverheadBytes) throw damaged('is too short')
  const header = box.subarray(0, headerBytes)
  if (!timingSafeEqual(header.subarray(0, magicBytes), Buffer.from(magics[kind], 'latin1')))
    throw damaged(`does not begin like a ${kind}`)
  const codec = header[magicBytes]
  const decipher = createDecipheriv('aes-256-gcm', keyOf(keys, kind, header.subarray(magicBytes + 1)), nonce, {
    authTagLength: tagBytes,
  })
  decipher.setAAD(header).setAuthTag(box.subarray(box.length - tagBytes))
  const body = decryptBody(decipher, box.subarray(headerBytes, box.length - tagBytes))
  if (codec === codecs.raw && body.length <= bytesMax[kind]) return body
  if (codec === codecs.delta && kind === 'chunk') return await decompressDelta(body, findBase)
  if (codec !== codecs.zstd) throw damaged('names a codec that does not exist, or holds too much')
  try {
    return await decompress(body, bytesMax[kind])
  } catch (error) {
    throw new VaultFailure('damaged', 'A box decrypted but does not decompress within its limit.', { cause: error })
  }
}

/** The name a box is stored under: SHA-256 of all its bytes, so anyone can check it without a key. */
export function addressOf(box: Uint8Array): string {
  return sha256Hex(box)
}

async function compress(plain: Uint8Array): Promise<Buffer> {
  const options = { chunkSize: stepBytes, params: { [constants.ZSTD_c_compressionLevel]: 1 } }
  return plain.length <= inPlaceBytesMax ? zstdCompressSync(plain, options) : await compressWide(plain, options)
}

async function decompress(body: Uint8Array, maxOutputLength: number): Promise<Buffer> {
  const options = { maxOutputLength, chunkSize: stepBytes }
  if (body.length > inPlaceBytesMax) return await decompressWide(body, options)
  // A small body can still be a bomb, but not a larger one than the limit.
  return zstdDecompressSync(body, options)
}

async function decompressDelta(body: Buffer, findBase: FindBase): Promise<Buffer> {
  const count = body[0] ?? 0
  if (count < 1 || count > basesMax) throw damaged('is told by too many others, or by none')
  const at = Array.from({ length: count }, (_, index) => 1 + index * addressBytes)
  const bases = await Promise.all(at.map((from) => findBase(body.subarray(from, from + addressBytes).toString('hex'))))
  const dictionary = Buffer.concat(bases)
  try {
    const options = { dictionary, maxOutputLength: chunkBytesMax, chunkSize: stepBytes }
    return await decompressWide(body.subarray(1 + count * addressBytes), options)
  } catch (error) {
    throw new VaultFailure('damaged', 'A box decrypted but does not decompress by its bases within its limit.', { cause: error })
  }
}

/** What a chunk is told by is never told by yet another one: one more file to lose is enough. */
async function noBase(): Promise<Buffer> {
  throw damaged('is told by another one where that cannot be')
}

function decryptBody(decipher: ReturnType<typeof createDecipheriv>, body: Uint8Array): Buffer {
  try {
    return Buffer.concat([decipher.update(body), decipher.final()])
  } catch (error) {
    throw new VaultFailure('damaged', 'A box does not decrypt: it was changed, or is of another vault.', { cause: error })
  }
}

function keyOf(keys: ChunkKeys, kind: BoxKind, salt: Uint8Array): Buffer {
  return createHmac('sha256', keys[kind].encryption).update(salt).digest()
}

function damaged(what: string): VaultFailure {
  return new VaultFailure('damaged', `A box ${what}.`)
}
