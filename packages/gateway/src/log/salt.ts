import { randomFillSync } from 'node:crypto'

const saltBytes = 16
const poolBytes = 4_096

/**
 * Unguessable, one for each entry: a proof of inclusion shows the hashes of its neighbours, and what an entry says could otherwise be found out by
 * trying what it may say.
 */
export function makeSalts(): () => string {
  const pool = Buffer.alloc(poolBytes)
  let used = poolBytes
  return () => {
    if (used + saltBytes > poolBytes) {
      randomFillSync(pool)
      used = 0
    }
    const salt = pool.toString('base64url', used, used + saltBytes)
    pool.fill(0, used, used + saltBytes)
    used += saltBytes
    return salt
  }
}
