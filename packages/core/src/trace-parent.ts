/** `traceparent` of W3C Trace Context, version 00: a trace, the caller's span in it, and flags. */
const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/
/** As sqlcommenter writes it, in the comment at the end of a statement. The end alone is looked at: a statement may be long. */
const commented = /\/\*[^*]{0,1000}?\btraceparent='(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})'[^*]{0,1000}\*\/[\s;]*$/
const commentMax = 2_200

export interface TraceParent {
  readonly traceId: string
  readonly spanId: string
}

/** Null for anything else, as the specification wants it: whoever sends something else has no trace. It is never refused for it. */
export function readTraceParent(text: string): TraceParent | null {
  const [, traceId = '', spanId = ''] = pattern.exec(text) ?? []
  return /[1-9a-f]/.test(traceId) && /[1-9a-f]/.test(spanId) ? { traceId, spanId } : null
}

/** Of a statement with a comment that says it; null for one without. It names a trace, and nothing is decided by it. */
export function findTraceParent(sql: string): TraceParent | null {
  const [, found = ''] = commented.exec(sql.slice(-commentMax)) ?? []
  return readTraceParent(found)
}
