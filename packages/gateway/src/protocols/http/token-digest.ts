import { hash } from 'node:crypto'

/** Bytes below which a secret could be found from its digest by trying. */
const bytesMin = 20

/** What identifies a stray token on the log without being it; null for what is too short to be hidden by a digest. */
export function digestToken(token: string): string | null {
  return token.length < bytesMin ? null : hash('sha256', Buffer.from(token, 'latin1'), 'hex')
}
