import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import type { Handle } from '@sallyport/core'

/** What RFC 7677 recommends at least. A handle has 256 random bits, so more would only slow the honest. */
export const scramIterations = 4096

/** The SCRAM-SHA-256 verifier of a secret (RFC 5802 §3): what the store keeps instead of it. */
export function makeScramVerifier(secret: string, salt: Buffer): Handle['scram'] {
  const salted = pbkdf2Sync(secret, salt, scramIterations, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  return {
    salt: salt.toString('base64'),
    iterations: scramIterations,
    storedKey: createHash('sha256').update(clientKey).digest('base64'),
    serverKey: createHmac('sha256', salted).update('Server Key').digest('base64'),
  }
}
