import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { bundlePrograms } from './bundle.ts'
import { bundleVariable } from './bundled-programs.ts'
import { runCommand } from './command.ts'
import { pathOfPrograms } from './machine.ts'
import { numberOf, parseRecord, recordsOf, textOf, type JsonRecord } from './json.ts'
import { selectionVariable, type TestSelection } from './test-files.ts'

export interface TestRun {
  readonly passed: number
  readonly failed: number
  /** Why the run as a whole failed, besides failed tests: nothing ran, something was skipped, an error outside of tests. */
  readonly faults: readonly string[]
}

const runMsMax: Readonly<Record<TestSelection, number>> = { short: 15 * 60_000, long: 60 * 60_000 }

/** What vitest said: its own report, since an exit code says nothing about what was left out. */
export interface VitestRun {
  readonly report: JsonRecord
  readonly code: number
  readonly output: string
}

/**
 * Runs vitest over `paths` (all tests of the selection when empty). With `live`, its output is passed on as it comes; with `programs`, tests start our
 * programs from that folder.
 */
export async function runVitest(
  root: string,
  paths: readonly string[],
  live: boolean,
  selection: TestSelection = 'short',
  programs: string | null = null,
): Promise<VitestRun> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-report-'))
  try {
    const report = join(folder, 'report.json')
    const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...paths]
    // The tree's own programs first: a test in a copy must start the copy's.
    const path = [join(root, 'node_modules', '.bin'), pathOfPrograms()].join(delimiter)
    const result = await runCommand('vitest', args, {
      cwd: root,
      live,
      timeoutMs: runMsMax[selection],
      environment: {
        ...process.env,
        PATH: path,
        NODE_COMPILE_CACHE: compileCache(root),
        [selectionVariable]: selection,
        ...(programs === null ? {} : { [bundleVariable]: programs }),
      },
    })
    return { report: parseRecord(readReport(report)), code: result.code, output: `${result.stdout}${result.stderr}` }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A whole run starts our programs hundreds of times, and makes one file of each first; for a few tests that is not worth it. */
export async function runTests(root: string, paths: readonly string[], selection: TestSelection = 'short'): Promise<TestRun> {
  const programs = paths.length === 0 ? await bundlePrograms(root) : null
  return countTests(await runVitest(root, paths, true, selection, programs))
}

/** Hundreds of processes start from the same sources in one run: compiled once, each starts in half the time. */
function compileCache(root: string): string {
  return process.env['NODE_COMPILE_CACHE'] ?? join(root, 'node_modules', '.cache', 'sallyport-compiled')
}

function readReport(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '{}'
  }
}

/** Turns vitest's report into counts. The output's end is shown when the run failed outside of any test. */
export function countTests({ report, code, output }: VitestRun): TestRun {
  const passed = numberOf(report.numPassedTests)
  const failed = numberOf(report.numFailedTests)
  const skipped = numberOf(report.numPendingTests) + numberOf(report.numTodoTests)
  const files = recordsOf(report.testResults).filter(
    (file) => textOf(file.status) === 'failed' && recordsOf(file.assertionResults).length === 0,
  )
  const faults = [
    ...files.map((file) => `${textOf(file.name)} could not be run: ${textOf(file.message)}`),
    ...(skipped > 0 ? [`${skipped} tests were skipped; what they lack is a failure`] : []),
    ...(passed + failed === 0 ? [`no test ran\n${output.slice(-4000)}`] : []),
  ]
  if (code !== 0 && failed === 0 && faults.length === 0)
    faults.push(`vitest ended with ${code} outside of any test\n${output.slice(-4000)}`)
  return { passed, failed, faults }
}
