import { readFileSync, statSync } from 'node:fs'
import { relative } from 'node:path'
import type { TestSequencer, TestSpecification } from 'vitest/node'
import { projectRoot } from './source-tree.ts'

/** Files and folders that take longest, longest first. One that began last would be waited for alone, with the other processor idle. */
const longest = [
  'tests/drill.test.ts',
  'tests/crash/',
  'packages/cli/src/provision/provision.test.ts',
  'packages/cli/src/playground/playground.test.ts',
  'packages/cli/src/up.test.ts',
  'tests/hostile/',
  'tests/around/',
  'tests/stories/',
  'tests/attacks/',
  'tests/',
]

/** Starts a server, a browser or another process, by a name of tests/servers and tests/fakes. */
const startsSomething =
  /\bstart[A-Z]|\b(runCommandLine|spawn(Sync)?|execFile(Sync)?|fork|Forked)\b|\/(servers|conformance)\/|own-processes/

/** Changes or reads what all files of one process share: the environment, clocks, globals, memory. */
const touchesProcess = /\bprocess\.|\bglobalThis\b|\bvi\.|\bWorker\b|\bv8\b/

/** Whether a test file keeps to itself, so that others may run after it in the same process: half of what a small file takes is its process. */
export function isSelfContained(text: string): boolean {
  return !startsSomething.test(text) && !touchesProcess.test(text)
}

/** What takes long first, then what starts processes, then the rest; the larger file before the smaller. */
export function orderFiles(
  files: readonly string[],
  describe: (file: string) => { text: string; bytes: number },
): readonly string[] {
  const ranked = files.map((file) => {
    const place = longest.findIndex((prefix) => file.startsWith(prefix))
    const { text, bytes } = describe(file)
    const rank = place === -1 ? longest.length + (startsSomething.test(text) ? 0 : 1) : place
    return { file, rank, bytes }
  })
  return ranked.toSorted((left, right) => left.rank - right.rank || right.bytes - left.bytes).map(({ file }) => file)
}

/** vitest would go by the times of the last run, which a fresh checkout does not have. */
export class LongestFirst implements TestSequencer {
  sort(specifications: TestSpecification[]): TestSpecification[] {
    const byFile = new Map(specifications.map((each) => [relative(projectRoot, each.moduleId), each]))
    const order = orderFiles([...byFile.keys()], (file) => {
      const path = byFile.get(file)?.moduleId ?? file
      return { text: readFileSync(path, 'utf8'), bytes: statSync(path).size }
    })
    return order.flatMap((file) => byFile.get(file) ?? [])
  }

  shard(specifications: TestSpecification[]): TestSpecification[] {
    return specifications
  }
}
