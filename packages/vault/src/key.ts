import { createPrivateKey, createPublicKey, generateKeyPairSync, hkdfSync, sign, verify, type KeyObject } from 'node:crypto'
import { canonicalJson } from '@sallyport/core'
import { z } from 'zod'
import { deriveChunkKeys, type ChunkKeys } from './chunk.ts'
import { VaultFailure } from './failure.ts'

/** The vault's secrets, as they lie in its `key` file (0600). */
export interface VaultKey {
  /** Raw Ed25519 public key, hex: the name of this vault. */
  readonly publicKey: string
  readonly chunkKeys: ChunkKeys
  /** What the recovery recipient gets: 32 bytes from which all keys of chunks and manifests are made. */
  readonly contentKey: Buffer
  /** Tells a changed content key without giving anything of it away. */
  readonly contentKeyId: string
  /** Secret of the key that cosigns the log's checkpoints: another one than that which signs manifests. 32 bytes. */
  readonly witnessSeed: Buffer
  sign(domain: SignedDomain, text: string): string
}

/** What it takes to read copies and to know whose they are. */
export type ReadKey = Pick<VaultKey, 'publicKey' | 'chunkKeys'>

/** What a signature is for. It is part of what is signed, so no signature can be used for another purpose. */
export type SignedDomain =
  | 'identity'
  | 'manifest'
  | 'retention'
  | 'clock'
  | 'credential'
  | 'cosigned'
  | 'hold'
  | 'expired'
  | 'wal'
  | 'wal-expired'
  | 'traces'

const keyFile = z.strictObject({
  v: z.literal(1),
  signing: z.base64().max(200),
  content: z.base64().length(44),
  witness: z.base64().length(44),
})

/** A new key file. `random` gives the bytes of the content key and of the witness's. */
export function makeKeyFile(random: (bytes: number) => Buffer): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  const signing = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')
  return `${canonicalJson({ v: 1, signing, content: random(32).toString('base64'), witness: random(32).toString('base64') })}\n`
}

/** @throws VaultFailure `damaged`; the message never quotes the file. */
export function readKeyFile(text: string): VaultKey {
  try {
    const file = keyFile.parse(JSON.parse(text))
    const privateKey = createPrivateKey({ key: Buffer.from(file.signing, 'base64'), format: 'der', type: 'pkcs8' })
    return {
      publicKey: rawPublicKey(createPublicKey(privateKey)),
      witnessSeed: Buffer.from(file.witness, 'base64'),
      contentKeyId: Buffer.from(
        hkdfSync('sha256', Buffer.from(file.content, 'base64'), '', 'sallyport vault content key id v1', 16),
      ).toString('hex'),
      chunkKeys: deriveChunkKeys(Buffer.from(file.content, 'base64')),
      contentKey: Buffer.from(file.content, 'base64'),
      sign: (domain, signed) => sign(null, toBeSigned(domain, signed), privateKey).toString('base64'),
    }
  } catch {
    throw new VaultFailure('damaged', "The vault's key file cannot be read as a key.")
  }
}

export function verifySignature(publicKey: string, domain: SignedDomain, text: string, signature: string): boolean {
  return verify(null, toBeSigned(domain, text), publicKeyOf(publicKey), Buffer.from(signature, 'base64'))
}

let latest: { readonly hex: string; readonly key: KeyObject } | null = null

/** A process works with one vault: remembering its key saves making it for each manifest. */
function publicKeyOf(hex: string): KeyObject {
  if (latest?.hex === hex) return latest.key
  const x = Buffer.from(hex, 'hex').toString('base64url')
  latest = { hex, key: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }) }
  return latest.key
}

function toBeSigned(domain: SignedDomain, text: string): Buffer {
  return Buffer.from(`sallyport vault ${domain} v1\n${text}`)
}

function rawPublicKey(key: KeyObject): string {
  const { x } = z.object({ x: z.string() }).parse(key.export({ format: 'jwk' }))
  return Buffer.from(x, 'base64url').toString('hex')
}
