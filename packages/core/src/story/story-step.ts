import type { StoryText } from './story-text.ts'

/** What a step of a session's story is. Closed. */
export const stepKinds = [
  'opened',
  'read',
  'ran',
  'refused',
  'prepared',
  'asked',
  'verdict',
  'settled',
  'copied',
  'undone',
  'alarm',
  'stopped',
  'released',
  'closed',
  'other',
] as const
export type StepKind = (typeof stepKinds)[number]

export interface StoryOperation {
  readonly action: string
  readonly kind: string
  readonly resources: readonly string[]
}

/** One thing that happened in a session, or to what it asked for. The same shape for all kinds; what does not apply is null, empty or 0. */
export interface StoryStep {
  /** Its entry on the log. */
  readonly index: number
  readonly atMs: number
  readonly kind: StepKind
  /** What the agent sent. */
  readonly text: StoryText | null
  readonly operations: readonly StoryOperation[]
  /** Of what ran: `open` while no outcome is on the log, which is `unknown` once its gate is gone. */
  readonly result: 'succeeded' | 'failed' | 'unknown' | 'open' | null
  /** Changed, copied or put back. The log does not hold how many rows a read gave. */
  readonly rows: number | null
  /** How often a read of this text was let through. */
  readonly times: number
  readonly lastAtMs: number
  /** From the intent on the log to its outcome on the log. */
  readonly durationMs: number | null
  /** Who: persons who approved what ran, who gave a verdict, who stopped it. */
  readonly people: readonly string[]
  readonly request: string | null
  readonly snapshot: string | null
  /** Why, how it ended, what was said: in words, at most 500 characters. */
  readonly said: string
}

/** As it is while later events still add to it. */
export type GrowingStep = { -readonly [Key in keyof StoryStep]: StoryStep[Key] }
