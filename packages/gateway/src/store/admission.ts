import { isSamePerson } from '@sallyport/core'
import { isOpen, type StoredLink } from './link.ts'
import type { StoredPerson } from './person.ts'

/** Who comes in is judged here, whichever store asks, in the transaction that keeps what comes of it. */
export type Newcomer = Omit<StoredPerson, 'admission' | 'removed' | 'codeApp'>
export type Enrolled = 'enrolled' | 'link_invalid' | 'not_first' | 'unconfirmed' | 'taken'
export type Confirmed = 'confirmed' | 'link_invalid' | 'own' | 'already' | 'stranger'

/** The inviter under any spelling confirms nothing, nor does anybody twice, nor somebody who is not enrolled. */
export function judgeConfirmation(
  found: StoredLink | null,
  confirmer: string,
  enrolled: readonly StoredPerson[],
  nowMs: number,
): Confirmed {
  if (found === null || found.invitedBy === null || !isOpen(found, nowMs)) return 'link_invalid'
  if (isSamePerson(found.invitedBy, confirmer)) return 'own'
  if (found.confirmation !== null) return 'already'
  return enrolled.some(({ name }) => isSamePerson(name, confirmer)) ? 'confirmed' : 'stranger'
}

export function isWithdrawable(found: StoredLink | null, nowMs: number): found is StoredLink {
  return found !== null && found.invitedBy !== null && isOpen(found, nowMs)
}

/** Whether somebody else than the inviter, who is enrolled, stands by this invitation. Read again where it counts, whoever wrote it. */
function isConfirmed({ invitedBy, confirmation }: StoredLink, enrolled: readonly StoredPerson[]): boolean {
  if (invitedBy === null || confirmation === null || isSamePerson(invitedBy, confirmation.person)) return false
  return enrolled.some(({ name }) => isSamePerson(name, confirmation.person))
}

/** @param known who is enrolled, and who ever was: whoever was removed keeps name and passkey, and nobody becomes the only one by removing the rest */
export function judgeEnrolment(
  found: StoredLink | null,
  newcomer: Newcomer,
  known: { readonly enrolled: readonly StoredPerson[]; readonly ever: readonly StoredPerson[] },
  nowMs: number,
  confirmFrom: number | null,
): Enrolled {
  if (found === null || !isOpen(found, nowMs)) return 'link_invalid'
  const others = known.ever
  if (found.invitedBy === null && others.length > 0) return 'not_first'
  if (confirmFrom !== null && others.length >= confirmFrom && !isConfirmed(found, known.enrolled)) return 'unconfirmed'
  const credentials = new Set(others.flatMap(({ passkeys }) => passkeys.map(({ credentialId }) => credentialId)))
  if (newcomer.passkeys.some(({ credentialId }) => credentials.has(credentialId))) return 'taken'
  if (others.some(({ name }) => isSamePerson(name, newcomer.name))) return 'taken'
  return 'enrolled'
}

export function admit(newcomer: Newcomer, { invitedBy, confirmation }: StoredLink): StoredPerson {
  return { ...newcomer, codeApp: null, admission: { invitedBy, confirmedBy: confirmation?.person ?? null }, removed: null }
}
