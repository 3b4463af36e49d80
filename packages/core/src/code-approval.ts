import type { Approval, Question } from './access-request.ts'
import type { ImpactKind } from './impact.ts'
import type { Environment } from './operation.ts'

/** What a one-time code may ever approve. A code is bound to nothing: whoever sees it could use it for another request, so the rest takes a passkey. */
export const codeKinds = ['read', 'write', 'disrupt'] as const satisfies readonly ImpactKind[]
export type CodeKind = (typeof codeKinds)[number]

/** What policy says that a code may approve. */
export interface CodeRule {
  readonly approves: readonly CodeKind[]
  readonly environments: readonly Environment[]
  /** Where more than one person is asked: kinds of which one of them may answer by a code. The others need a passkey. */
  readonly beside: readonly CodeKind[]
}

export function isCodeKind(kind: string): kind is CodeKind {
  return codeKinds.some((one) => one === kind)
}

/** Why no code approves this question, whoever gives it, in a sentence; null: one may. */
export function findCodeFault(rule: CodeRule | null, question: Question): string | null {
  if (rule === null) return 'No code approves anything here: sallyport.yaml does not say totp.'
  const { protocol, steps, operations, environment, approvalsNeeded } = question
  if (protocol === 'sallyport' || steps !== undefined) return 'More scope, and a plan, take a passkey.'
  if (!rule.environments.includes(environment)) return `In ${environment} a yes takes a passkey.`
  if (operations.length === 0) return 'Nobody can say what this would do, so it takes a passkey.'
  for (const { kind, reversible } of operations) {
    if (!isCodeKind(kind) || !rule.approves.includes(kind)) return `What is ${kind} takes a passkey here.`
    if (!reversible) return 'What is not reversible takes a passkey.'
    if (approvalsNeeded > 1 && !rule.beside.includes(kind)) return 'Several people are asked, each of them for a passkey.'
  }
  return null
}

/** The approvals that count as far as codes are concerned: passkeys, and of several people one code at most. */
export function withoutWeakCodes(rule: CodeRule | null, question: Question, approvals: readonly Approval[]): readonly Approval[] {
  const isCounted = findCodeFault(rule, question) === null
  const codes = approvals.filter(isByCode).slice(0, isCounted ? 1 : 0)
  return approvals.filter((approval) => !isByCode(approval) || codes.includes(approval))
}

export function isByCode({ method }: Pick<Approval, 'method'>): boolean {
  return method === 'totp'
}
