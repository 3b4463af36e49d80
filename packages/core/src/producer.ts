import type { Progress, SnapshotContent, SnapshotReader } from './connector.ts'
import type { Seal, SnapshotKind } from './snapshot.ts'

/** A question of the operator's own that a restored copy must answer as expected. Exactly one of the expectations is given. */
export interface DrillCheck {
  readonly ask: string
  /** The first column of the first row, as text. */
  readonly is?: string
  readonly atLeast?: number
  readonly atMost?: number
}

/** What a restored copy said to one of them. */
export interface CheckedAnswer {
  readonly ask: string
  readonly expected: string
  /** Null: no row, or NULL. */
  readonly answer: string | null
  readonly passed: boolean
}

/** What was seen of a copy that was really restored. Throws instead of saying that it differs. */
export interface Proof {
  readonly rows: number
  readonly bytes: number
  /** Tables, files, objects: whatever has a checksum of its own and was compared. */
  readonly compared: number
  readonly answers: readonly CheckedAnswer[]
  /** Where it was restored, in words: `PostgreSQL 15.4, started from the copy`. */
  readonly place: string
}

export interface ProveOptions {
  readonly checks: readonly DrillCheck[]
  readonly report: (progress: Progress) => void
  readonly signal: AbortSignal
}

/** One thing of a copy, taken out of it as a file. */
export interface Extracted {
  readonly file: string
  readonly rows: number
  readonly sha256: string
}

/** What came of putting a whole copy back. Nothing that is there is overwritten, so this loses nothing. */
export interface PutBack {
  /** Put where nothing was. */
  readonly put: number
  /** There already, the same. */
  readonly same: number
  /** There, and something else: left as it is. */
  readonly left: number
  /** Some of those by name. */
  readonly leftNames: readonly string[]
  readonly place: string
}

/**
 * Keeps one thing whole: a database, a folder, a file of SQLite's. It holds what it takes to read that thing, and is never asked by an agent.
 * `copy` counts only when it was restored and compared; nothing else proves that it can be.
 */
export interface Producer {
  readonly kind: SnapshotKind
  /** Of the thing itself: stays when its name changes, and changes when it is another thing. Throws when it can't be reached. */
  identity(): Promise<string>
  /** Copies all of it as it was at one moment, reads the copy back from the vault, restores and compares it. Throws SallyportError. */
  copy(seal: Seal, options: Omit<ProveOptions, 'checks'>): Promise<SnapshotContent>
  /** Restores a copy to a scratch place and compares it with what its manifest says. Throws SallyportError when it differs or could not be compared. */
  prove(copy: SnapshotReader, options: ProveOptions): Promise<Proof>
  /** One table or file out of a copy, restored and compared like the rest, as a file in `folder`. */
  extract?(copy: SnapshotReader, name: string, folder: string, signal: AbortSignal): Promise<Extracted>
  /** Puts back what is missing, where it was or beside that, each thing proven before and read back after. Overwrites nothing. */
  restore?(
    copy: SnapshotReader,
    options: Omit<ProveOptions, 'checks'> & {
      /** A prefix of names; null: where it was. */
      readonly beside: string | null
    },
  ): Promise<PutBack>
}

/** Judges an answer by what the operator expects of it. What is no number is neither at least nor at most anything. */
export function judgeAnswer(check: DrillCheck, answer: string | null): CheckedAnswer {
  const number = answer === null || !/^-?\d{1,15}(\.\d{1,15})?$/.test(answer) ? null : Number(answer)
  const { ask, is, atLeast, atMost } = check
  if (is !== undefined) return { ask, expected: is, answer, passed: answer === is }
  if (atLeast !== undefined) return { ask, expected: `at least ${atLeast}`, answer, passed: number !== null && number >= atLeast }
  if (atMost !== undefined) return { ask, expected: `at most ${atMost}`, answer, passed: number !== null && number <= atMost }
  return { ask, expected: 'nothing that could be compared', answer, passed: false }
}
