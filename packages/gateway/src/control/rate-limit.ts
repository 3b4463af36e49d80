import type { Clock } from '@sallyport/core'

/** A token bucket for each key: `perMinute` at once, refilled evenly. */
export interface RateLimit {
  /** False: too many; nothing was taken. */
  take(key: string, perMinute: number): boolean
}

const keysMax = 10_000

interface Bucket {
  left: number
  atMs: number
}

export function createRateLimit(clock: Clock): RateLimit {
  const buckets = new Map<string, Bucket>()
  return {
    take(key, perMinute) {
      const nowMs = clock.nowMs()
      const bucket = buckets.get(key) ?? { left: perMinute, atMs: nowMs }
      const refilled = Math.min(perMinute, bucket.left + (Math.max(0, nowMs - bucket.atMs) * perMinute) / 60_000)
      const allowed = refilled >= 1
      // Put last, so that the key longest unused is the one forgotten.
      buckets.delete(key)
      buckets.set(key, { left: allowed ? refilled - 1 : refilled, atMs: nowMs })
      if (buckets.size > keysMax) buckets.delete(buckets.keys().next().value ?? '')
      return allowed
    },
  }
}
