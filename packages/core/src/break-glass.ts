import type { AccessRequest, Approval } from './access-request.ts'

/** Who may stand alone for all the people that a request needs, when there is no time to find them (DESIGN §6), and that it is looked at. */
export interface Glass {
  /** Why this person may not break it now, in a sentence; null: they may. */
  fault(person: string): Promise<string | null>
  /** Durable before it resolves: somebody else has to look at it. Why it does not count after all, in a sentence: they broke other glass at this very moment. */
  broken(review: Review): Promise<string | null>
  /** One person and a delay (promise 4): how long what more than one should have approved waits, ms. */
  delayMs(): number
}

/** What was let through by one person, until another has looked at it. */
export interface Review {
  readonly request: string
  readonly person: string
  readonly agent: string
  readonly owner: string
  readonly atMs: number
}

/** Why glass cannot be broken for this; null: it can. It takes the place of people, never of a copy, a limit or a guard. */
export async function findGlassFault(
  glass: Glass | undefined,
  { question }: AccessRequest,
  { person, verdict, conditions }: Approval,
): Promise<string | null> {
  if (glass === undefined) return 'Nobody may break glass here: sallyport.yaml names nobody.'
  if (verdict === 'reject' || conditions !== undefined) return 'Breaking glass is a yes, and has no conditions.'
  if (question.protocol === 'sallyport') return 'Glass is broken for one operation, not for scope and not for a plan.'
  return glass.fault(person)
}
