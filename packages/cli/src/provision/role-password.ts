import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

/** As PostgreSQL itself derives them; the password has 256 bits of its own, so more would only cost time. */
const iterations = 4096

/** 32 random bytes in characters that need no quoting anywhere. */
export function makePassword(): string {
  return randomBytes(32).toString('base64url')
}

/** What the server keeps of a password (RFC 5803). Sent instead of it, so that it is in no statement log of the server's. */
export function scramVerifier(password: string, salt: Buffer = randomBytes(16)): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${hmac('Server Key').toString('base64')}`
}
