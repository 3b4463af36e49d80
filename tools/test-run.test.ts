import { expect, test } from 'vitest'
import { countTests } from './test-run.ts'

const report = (counts: Record<string, unknown>): Record<string, unknown> => ({
  numPassedTests: 0,
  numFailedTests: 0,
  numPendingTests: 0,
  ...counts,
})

test('passed and failed are counted', () => {
  expect(countTests({ report: report({ numPassedTests: 3, numFailedTests: 2 }), code: 1, output: '' })).toEqual({
    passed: 3,
    failed: 2,
    faults: [],
  })
})

test('nothing ran, no report, something skipped, an error beside the tests: each is a fault, whatever the exit code says', () => {
  expect(countTests({ report: report({}), code: 0, output: 'empty' }).faults).toEqual(['no test ran\nempty'])
  expect(countTests({ report: {}, code: 0, output: '' }).faults).toHaveLength(1)
  expect(countTests({ report: report({ numPassedTests: 3, numPendingTests: 1 }), code: 0, output: '' }).faults).toHaveLength(1)
  expect(countTests({ report: report({ numPassedTests: 3, numTodoTests: 1 }), code: 0, output: '' }).faults).toHaveLength(1)
  expect(countTests({ report: report({ numPassedTests: 3 }), code: 1, output: 'unhandled' }).faults).toEqual([
    'vitest ended with 1 outside of any test\nunhandled',
  ])
})

test('a file that could not be loaded is named', () => {
  const testResults = [{ name: 'one.test.ts', status: 'failed', message: 'no such module', assertionResults: [] }]
  expect(countTests({ report: report({ numPassedTests: 1, testResults }), code: 1, output: '' }).faults).toEqual([
    'one.test.ts could not be run: no such module',
  ])
})
