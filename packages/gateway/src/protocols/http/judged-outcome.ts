import type { Outcome } from '@sallyport/core'
import type { Answered } from './answer-writer.ts'

/** Of a GraphQL answer, to see whether it has errors. */
export const graphqlAnswerBytesMax = 1024 * 1024

/** What came of it, as far as the answer says. */
export function judgeOutcome({ status, whole, body }: Answered, isGraphql: boolean): Outcome {
  if (status === 0) return { result: 'unknown', detail: 'The connection broke after the request was sent.' }
  if (status >= 500) return { result: 'unknown', detail: `HTTP ${status}` }
  if (status >= 400 || status === 307 || status === 308) return { result: 'failed', detail: `HTTP ${status}` }
  if (status >= 300) return { result: 'unknown', detail: `HTTP ${status}` }
  if (!whole) return { result: 'unknown', detail: `HTTP ${status}, and its answer broke off` }
  return isGraphql ? judgeGraphql(status, body) : { result: 'succeeded', detail: `HTTP ${status}` }
}

/** GraphQL says what failed in a 200. With data beside the errors, some of it ran. */
function judgeGraphql(status: number, body: Buffer | null): Outcome {
  const answer = body === null ? undefined : parseJson(body)
  if (answer === undefined) return { result: 'unknown', detail: `HTTP ${status}, and its answer could not be read` }
  const parts: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
  const failed = parts.filter(hasErrors)
  if (failed.length === 0) return { result: 'succeeded', detail: `HTTP ${status}` }
  const partly = failed.length < parts.length || failed.some(hasData)
  return partly
    ? { result: 'unknown', detail: `HTTP ${status} with GraphQL errors beside data` }
    : { result: 'failed', detail: `HTTP ${status} with GraphQL errors` }
}

function parseJson(body: Buffer): unknown {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'))
    return parsed
  } catch {
    return undefined
  }
}

function hasErrors(part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return true
  const errors: unknown = Reflect.get(part, 'errors')
  return errors !== undefined && errors !== null && !(Array.isArray(errors) && errors.length === 0)
}

function hasData(part: unknown): boolean {
  const data: unknown = typeof part === 'object' && part !== null ? Reflect.get(part, 'data') : null
  return typeof data === 'object' && data !== null && Object.values(data).some((value) => value !== null)
}
