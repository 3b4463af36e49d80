import { expect, it } from 'vitest'
import { findTraceParent, readTraceParent } from './trace-parent.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'
const good = `00-${traceId}-${spanId}-01`

it('reads what the specification gives as an example', () => {
  expect(readTraceParent(good)).toEqual({ traceId, spanId })
})

it.each([
  '',
  good.toUpperCase(),
  `${good} `,
  `${good}\r\nx: y`,
  `${good}-more`,
  `01-${traceId}-${spanId}-01`,
  `ff-${traceId}-${spanId}-01`,
  `00-${'0'.repeat(32)}-${spanId}-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId.slice(1)}-${spanId}-01`,
  '0'.repeat(100_000),
])('takes %j for no trace', (text) => {
  expect(readTraceParent(text)).toBeNull()
})

it('finds it in the comment at the end of a statement, and nowhere else', () => {
  const comment = `/*action='x',traceparent='${good}',tracestate='a%3Db'*/`
  expect(findTraceParent(`SELECT 1 ${comment}`)).toEqual({ traceId, spanId })
  expect(findTraceParent(`SELECT 1 ${comment};\n`)).toEqual({ traceId, spanId })
  expect(findTraceParent(`SELECT '${good}'`)).toBeNull()
  expect(findTraceParent(`${comment} SELECT 1`)).toBeNull()
  expect(findTraceParent(`SELECT 1 /*traceparent='${good}`)).toBeNull()
})

it('is soon done with what was made to keep it busy', () => {
  // By far within the time a test has; a pattern that went back and forth would not be.
  expect(findTraceParent("/*traceparent='".repeat(100_000))).toBeNull()
  expect(findTraceParent(`/*${" traceparent='00-".repeat(100_000)}`)).toBeNull()
})
