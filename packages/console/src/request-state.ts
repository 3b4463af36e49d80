import type { AccessRequest } from '@sallyport/core'

/** The state of a request as a person reads it: the clock counts too. */
export type ShownState = AccessRequest['state'] | 'cooling'

export function stateOf(request: AccessRequest, nowMs: number): ShownState {
  if (request.state === 'pending' && nowMs >= request.expiresAtMs) return 'expired'
  if (request.state === 'approved' && request.notBeforeMs !== null && nowMs < request.notBeforeMs) return 'cooling'
  return request.state
}

/** A sign, a word and a sentence; a new state is a type error here. */
export function stateWords(state: ShownState): {
  readonly sign: string
  readonly word: string
  readonly tone: 'calm' | 'warn' | 'danger' | 'good'
  readonly sentence: string
} {
  switch (state) {
    case 'pending':
      return { sign: '◷', word: 'waits', tone: 'warn', sentence: 'It waits for people. No answer is a rejection.' }
    case 'cooling':
      return {
        sign: '◷',
        word: 'cooling off',
        tone: 'warn',
        sentence: 'Approved. It may not run before the cool-off ends, and anyone can cancel it until then.',
      }
    case 'approved':
      return {
        sign: '✓',
        word: 'approved',
        tone: 'good',
        sentence: 'Approved. It is decided anew when the agent sends exactly this again, and runs once.',
      }
    case 'rejected':
      return { sign: '✕', word: 'rejected', tone: 'danger', sentence: 'Rejected. Nothing ran.' }
    case 'expired':
      return { sign: '–', word: 'expired', tone: 'calm', sentence: 'Nobody answered in time, which is a rejection. Nothing ran.' }
    case 'cancelled':
      return { sign: '–', word: 'cancelled', tone: 'calm', sentence: 'Cancelled. It will not run.' }
  }
}
