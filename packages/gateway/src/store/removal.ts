import { isSamePerson } from '@sallyport/core'
import type { StoredPerson } from './person.ts'

/** Who goes, and who comes back, is judged here, whichever store asks, in the transaction that keeps what comes of it. */

/** One that nobody else had to stand by can be taken back for so long. */
const takenBackMs = 24 * 3_600_000

export interface Removed {
  /** Requests that they had approved and that are cancelled. */
  readonly cancelled: readonly string[]
  /** A second person has to stand by it. */
  readonly waits: boolean
}

export type RemovalConfirmed = 'confirmed' | 'unknown' | 'own'
export type Restored =
  | 'restored'
  /** Nobody of this name was removed, or a second person stood by it, or the time is over. */
  | 'final'
  /** Whoever asks was removed too, and this is their own removal, or one for good. */
  | 'not_theirs'

type RemovedPerson = StoredPerson & { readonly removed: NonNullable<StoredPerson['removed']> }

/** The person as removed; null: nobody of this name is enrolled, or nobody else is. A gate without people would be whoever's opens the terminal's link next. */
export function judgeRemoval(
  name: string,
  by: string,
  ever: readonly StoredPerson[],
  nowMs: number,
  confirmFrom: number | null,
): RemovedPerson | null {
  const enrolled = ever.filter(({ removed }) => removed === null)
  const found = enrolled.find((one) => isSamePerson(one.name, name))
  if (found === undefined || enrolled.length < 2) return null
  // Who is here, or could be again: one passkey does not make a team small enough to need nobody else.
  const team = ever.filter(({ removed }) => removed === null || removed.waits).length
  // Somebody who leaves by themselves is nobody else's to judge.
  const waits = confirmFrom !== null && team >= confirmFrom && !isSamePerson(by, name)
  // Whoever is taken back has their passkeys again, and sets their app of codes up anew.
  return { ...found, codeApp: null, removed: { by, atMs: nowMs, waits, confirmedBy: null } }
}

function findRemoved(ever: readonly StoredPerson[], wanted: string): RemovedPerson | null {
  for (const one of ever) if (one.removed !== null && isSamePerson(one.name, wanted)) return { ...one, removed: one.removed }
  return null
}

/** A second enrolled person, not the one who removed: from then on it is for good. What is to be kept, or why not. */
export function judgeRemovalConfirmation(
  name: string,
  by: string,
  ever: readonly StoredPerson[],
): RemovedPerson | Exclude<RemovalConfirmed, 'confirmed'> {
  const found = findRemoved(ever, name)
  if (found === null || !found.removed.waits) return 'unknown'
  if (!ever.some((one) => one.removed === null && isSamePerson(one.name, by))) return 'unknown'
  if (isSamePerson(found.removed.by, by)) return 'own'
  return { ...found, removed: { ...found.removed, waits: false, confirmedBy: by } }
}

function isOpen({ removed }: StoredPerson, nowMs: number): boolean {
  if (removed === null || removed.confirmedBy !== null) return false
  const ageMs = nowMs - removed.atMs
  return removed.waits || (ageMs >= 0 && ageMs < takenBackMs)
}

/**
 * Taken back by anybody who is enrolled, or by another whose own removal could be taken back too: who has one stolen passkey and removes everybody is answered
 * by any two of them. Nobody takes back their own, or a stolen passkey that was removed would be back at once; except of two, where there is nobody else to ask.
 * The person as enrolled again, or why not.
 */
export function judgeRestoration(
  name: string,
  by: string,
  ever: readonly StoredPerson[],
  nowMs: number,
): StoredPerson | Exclude<Restored, 'restored'> {
  const found = findRemoved(ever, name)
  if (found === null || !isOpen(found, nowMs)) return 'final'
  const asker = ever.find((one) => isSamePerson(one.name, by))
  if (asker === undefined) return 'not_theirs'
  const isOther = !isSamePerson(asker.name, found.name)
  const couldBe = ever.filter((one) => one.removed === null || isOpen(one, nowMs)).length
  if (asker.removed !== null && !(isOpen(asker, nowMs) && (isOther || couldBe <= 2))) return 'not_theirs'
  return { ...found, removed: null }
}
