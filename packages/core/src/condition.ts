import type { AccessRequest, Conditions, Question } from './access-request.ts'
import { isSamePerson } from './approver.ts'

/** How far ahead "not before" may lie: an approval is about now, not about some day. */
const aheadMsMax = 7 * 24 * 3_600_000

/** Why these conditions cannot be held, in a sentence; null when they can. A condition that nothing enforces would be a promise made to a person. */
export function findConditionFault(question: Question, conditions: Conditions | undefined, nowMs: number): string | null {
  if (conditions === undefined) return null
  const { rowsMax, notBeforeMs } = conditions
  if (rowsMax === null && notBeforeMs === null) return 'Conditions were signed, and there are none in them.'
  if (rowsMax !== null) {
    if (!Number.isSafeInteger(rowsMax) || rowsMax < 1) return 'A limit on rows is a whole number, 1 or more.'
    if (question.rowsMax === null) return 'Nothing here is counted in rows, so no limit on them could be held.'
    if (rowsMax > question.rowsMax) return `The limit is ${question.rowsMax} rows already; a condition can only be stricter.`
  }
  if (notBeforeMs !== null) {
    if (!Number.isSafeInteger(notBeforeMs) || notBeforeMs <= nowMs) return 'The time before which it may not run has passed.'
    if (notBeforeMs > nowMs + aheadMsMax) return 'It can be put off by 7 days at most.'
  }
  return null
}

/** The question's own bounds with the conditions of everybody whose approval counts: the strictest of each. */
export function boundsOf(
  { question, approvals }: Pick<AccessRequest, 'question' | 'approvals'>,
  approvers: readonly string[],
  nowMs: number,
): { readonly rowsMax: number | null; readonly notBeforeMs: number } {
  const stated = approvals
    .filter(({ verdict, person }) => verdict === 'approve' && approvers.some((name) => isSamePerson(name, person)))
    .flatMap(({ conditions }) => conditions ?? [])
  const limits = [question.rowsMax, ...stated.map(({ rowsMax }) => rowsMax)].filter((limit) => limit !== null)
  const times = stated.map(({ notBeforeMs }) => notBeforeMs ?? 0)
  return {
    rowsMax: limits.length === 0 ? null : Math.min(...limits),
    notBeforeMs: Math.max(nowMs + question.delayMs, ...times),
  }
}
