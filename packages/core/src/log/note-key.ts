import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import { decodeBase64, encodeBase64, LogFormatError } from './hash.ts'

/**
 * The two Ed25519 signature types of C2SP signed-note that we use: a log signs the note's text, a witness signs
 * `cosignature/v1`, a time and the text (C2SP tlog-cosignature).
 */
export const signatureTypes = { note: 0x01, cosignature: 0x04 } as const
export type SignatureType = (typeof signatureTypes)[keyof typeof signatureTypes]

/** A key that signatures are checked with. */
export interface VerifierKey {
  readonly name: string
  /** Tells keys of one name apart; not a fingerprint: four bytes only. */
  readonly id: number
  readonly type: SignatureType
  readonly publicKey: Uint8Array
}

/** A key that signs. The private half stays inside. */
export interface NoteSigner {
  readonly key: VerifierKey
  sign(message: Uint8Array): Uint8Array
}

const keyBytes = 32
const nameCharactersMax = 255
const verifierTextMax = 512
/** DER in front of the 32 raw bytes: RFC 8410 PKCS#8 and SubjectPublicKeyInfo for Ed25519. */
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/** C2SP signed-note: not empty, no Unicode space, no plus; and here no control characters and a bound. */
export function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= nameCharactersMax && name.isWellFormed() && !/[\p{White_Space}\p{Cc}+]/u.test(name)
}

function keyId(name: string, type: SignatureType, publicKey: Uint8Array): number {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(type), publicKey]), 'buffer').readUInt32BE(0)
}

/** @throws LogFormatError for a name or key that no note can carry */
export function verifierKey(name: string, type: SignatureType, publicKey: Uint8Array): VerifierKey {
  if (!isKeyName(name))
    throw new LogFormatError('key', 'a name that is empty, too long, or has a space, a plus or a control character')
  if (publicKey.length !== keyBytes) throw new LogFormatError('key', `${publicKey.length} bytes, an Ed25519 key has ${keyBytes}`)
  return { name, id: keyId(name, type, publicKey), type, publicKey }
}

/** `name+id+base64(type ‖ key)`, as C2SP signed-note writes it. */
export function formatVerifierKey(key: VerifierKey): string {
  return `${key.name}+${key.id.toString(16).padStart(8, '0')}+${encodeBase64(Buffer.concat([Buffer.of(key.type), key.publicKey]))}`
}

/** @throws LogFormatError for anything but one Ed25519 verifier key whose id fits it */
export function parseVerifierKey(text: string): VerifierKey {
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  if (text.length > verifierTextMax || first < 0 || second < 0)
    throw new LogFormatError('key', 'not a verifier key: name+id+base64 expected')
  const material = decodeBase64(text.slice(second + 1))
  const type = material?.[0]
  if (!material || material.length !== 1 + keyBytes) throw new LogFormatError('key', 'not base64 of a type and 32 bytes')
  if (type !== signatureTypes.note && type !== signatureTypes.cosignature)
    throw new LogFormatError('key', `unknown signature type ${type}`)
  const key = verifierKey(text.slice(0, first), type, material.subarray(1))
  if (formatVerifierKey(key) !== text) throw new LogFormatError('key', 'its id does not fit its name and key')
  return key
}

/** One key a line; blank lines and lines that begin with `#` are skipped. @throws LogFormatError */
export function parseVerifierKeys(text: string): readonly VerifierKey[] {
  if (text.length > 64 * 1024) throw new LogFormatError('key', 'a list of keys above 64 KiB')
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseVerifierKey)
}

/** A signer from the 32 secret bytes of an Ed25519 key. The caller made them and keeps them. */
export function noteSigner(name: string, seed: Uint8Array, type: SignatureType = signatureTypes.note): NoteSigner {
  if (seed.length !== keyBytes) throw new LogFormatError('key', `a seed of ${seed.length} bytes, an Ed25519 seed has ${keyBytes}`)
  const privateKey = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(publicPrefix.length)
  return { key: verifierKey(name, type, publicKey), sign: (message) => sign(null, message, privateKey) }
}

const publicKeys = new WeakMap<VerifierKey, KeyObject>()

/** Ed25519 over exactly these bytes. Total. */
export function verifySignature(key: VerifierKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    let publicKey = publicKeys.get(key)
    if (publicKey === undefined) {
      publicKey = createPublicKey({ key: Buffer.concat([publicPrefix, key.publicKey]), format: 'der', type: 'spki' })
      publicKeys.set(key, publicKey)
    }
    return verify(null, message, publicKey, signature)
  } catch {
    return false
  }
}
