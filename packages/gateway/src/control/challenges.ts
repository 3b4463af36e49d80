import type { Clock } from '@sallyport/core'
import { limits } from './limits.ts'

/** What a passkey was asked to sign, by whom and what for. One use, whatever comes of it. */
export interface PendingChallenges<Matter> {
  issue(browser: string, purpose: string, challenge: string, matter: Matter): void
  /** What this browser was asked for this purpose, forgotten by the asking. Null: nothing, used, or too late. */
  take(browser: string, purpose: string): { readonly challenge: string; readonly matter: Matter } | null
}

interface Pending<Matter> {
  readonly challenge: string
  readonly matter: Matter
  readonly expiresAtMs: number
}

export function createPendingChallenges<Matter>(clock: Clock, lifeMs: number = limits.challengeMs): PendingChallenges<Matter> {
  const pending = new Map<string, Pending<Matter>>()
  const keyOf = (browser: string, purpose: string): string => JSON.stringify([browser, purpose])
  return {
    issue(browser, purpose, challenge, matter) {
      const key = keyOf(browser, purpose)
      pending.delete(key)
      pending.set(key, { challenge, matter, expiresAtMs: clock.nowMs() + lifeMs })
      if (pending.size > limits.challenges) pending.delete(pending.keys().next().value ?? '')
    },
    take(browser, purpose) {
      const key = keyOf(browser, purpose)
      const found = pending.get(key)
      pending.delete(key)
      if (found === undefined || found.expiresAtMs <= clock.nowMs()) return null
      return { challenge: found.challenge, matter: found.matter }
    },
  }
}
