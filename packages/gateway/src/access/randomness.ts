import { randomBytes } from 'node:crypto'
import type { Randomness } from '@sallyport/core'

/** Taken from the system at once; each byte is given out once. An id costs a slice instead of a call into the system. */
const poolBytes = 4_096

export function makeRandomness(): Randomness {
  let pool = Buffer.alloc(0)
  let used = 0
  return {
    hex: (bytes) => {
      if (bytes > poolBytes) return randomBytes(bytes).toString('hex')
      if (used + bytes > pool.length) {
        pool = randomBytes(poolBytes)
        used = 0
      }
      const text = pool.toString('hex', used, used + bytes)
      // What was given out is not kept: it may be a nonce.
      pool.fill(0, used, used + bytes)
      used += bytes
      return text
    },
  }
}
