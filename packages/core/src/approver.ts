/**
 * Case, compatibility forms, marks, punctuation and what is not shown don't make a second person of anybody. Upper case first: sharp s, final
 * sigma and the dotless i have no other way to meet.
 */
export function foldPerson(name: string): string {
  const cased = name.normalize('NFKD').toUpperCase().toLowerCase().normalize('NFKD')
  const letters = cased.replaceAll(/[^\p{L}\p{N}]/gu, '')
  // A name of signs alone is told apart by its signs.
  return letters === '' ? cased.trim() : letters.replaceAll('ς', 'σ')
}

export function isSamePerson(left: string, right: string): boolean {
  return foldPerson(left) === foldPerson(right)
}

/** The verdicts that count: an agent's owner counts in solo mode only. Each person once. */
export function countApprovers(
  approvers: readonly string[],
  owner: string,
  mode: 'solo' | 'team',
): { counted: number; ownerAlone: boolean } {
  const distinct = approvers.filter((name, index) => approvers.findIndex((other) => isSamePerson(name, other)) === index)
  const others = distinct.filter((name) => !isSamePerson(name, owner))
  if (mode === 'team') return { counted: others.length, ownerAlone: false }
  return { counted: distinct.length, ownerAlone: distinct.length > 0 && others.length === 0 }
}

/** M of N (DESIGN §6): on an upstream that has one, only people of this group approve, and at least so many of them. */
export interface Quorum {
  readonly group: string
  readonly members: readonly string[]
  /** At least; a guard that asks for more people still does. */
  readonly count: number
}

export function isMember({ members }: Quorum, person: string): boolean {
  return members.some((member) => isSamePerson(member, person))
}
