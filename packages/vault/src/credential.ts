import { createHash, timingSafeEqual } from 'node:crypto'

/** A gate's credential: 32 random bytes, hex. It can seal, read, extend and witness; there is nothing else to be allowed. */
export const credentialPattern = /^[0-9a-f]{64}$/

/** What the vault keeps of a credential. It has 256 bits of entropy, so a plain hash suffices. */
export function hashCredential(secret: string): string {
  return createHash('sha256').update(`sallyport vault credential\n${secret}`).digest('hex')
}

/** Compares hashes, in constant time: neither content nor length of the secret shows in how long it takes. */
export function matchesCredential(given: string, credentialHash: string): boolean {
  return timingSafeEqual(Buffer.from(hashCredential(given), 'hex'), Buffer.from(credentialHash, 'hex'))
}

/** How manifests name the credential that sealed them. */
export function credentialId(credentialHash: string): string {
  return createHash('sha256').update(`sallyport vault credential id\n${credentialHash}`).digest('hex').slice(0, 16)
}
