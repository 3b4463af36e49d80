import type { ImpactKind } from '@sallyport/core'

/** What one thing in a request would do, and why. */
export interface Finding {
  readonly kind: ImpactKind
  readonly reversible: boolean
  /** A sentence without its subject: "deletes a volume". */
  readonly why: string
}

/** From mild to grave (DESIGN §2). */
const order: readonly ImpactKind[] = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']

function gravity(finding: Finding): number {
  return order.indexOf(finding.kind) * 2 + (finding.reversible ? 0 : 1)
}

/** The gravest speaks for all; what one of them can't undo, all of them together can't. */
export function worst(first: Finding, others: readonly Finding[]): Finding {
  const grave = others.reduce((worse, finding) => (gravity(finding) > gravity(worse) ? finding : worse), first)
  const reversible = first.reversible && others.every((finding) => finding.reversible)
  return reversible === grave.reversible ? grave : { ...grave, reversible }
}

export function unknown(why: string): Finding {
  return { kind: 'unknown', reversible: false, why }
}

export function destroys(why: string): Finding {
  return { kind: 'destroy', reversible: false, why }
}

export function removes(why: string): Finding {
  return { kind: 'destroy', reversible: true, why }
}

export function escalates(why: string): Finding {
  return { kind: 'escalate', reversible: true, why }
}

export function disrupts(why: string): Finding {
  return { kind: 'disrupt', reversible: true, why }
}

export function writes(why: string): Finding {
  return { kind: 'write', reversible: true, why }
}
