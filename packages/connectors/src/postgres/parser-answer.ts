import type { Operation } from '@sallyport/core'

/** From the gate to the parser's thread. */
export interface Question {
  readonly id: number
  readonly sql: string
}

/** From the parser's thread to the gate. */
export interface Answer {
  readonly id: number
  readonly operations: readonly Operation[]
  /** The thread wants to be replaced: it failed, or has served long enough. */
  readonly isSpent: boolean
}

export function isQuestion(value: unknown): value is Question {
  return (
    typeof value === 'object' &&
    value !== null &&
    'id' in value &&
    typeof value.id === 'number' &&
    'sql' in value &&
    typeof value.sql === 'string'
  )
}

export function isAnswer(value: unknown): value is Answer {
  return (
    typeof value === 'object' &&
    value !== null &&
    'id' in value &&
    typeof value.id === 'number' &&
    'operations' in value &&
    Array.isArray(value.operations) &&
    'isSpent' in value
  )
}
