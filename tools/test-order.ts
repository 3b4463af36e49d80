import { readFileSync, statSync } from 'node:fs'
import { relative } from 'node:path'
import type { TestSequencer, TestSpecification } from 'vitest/node'
import { projectRoot } from './source-tree.ts'

/** Files and folders that take longest, longest first. One that began last would be waited for alone, with the other processor idle. */
const longest = [
  'tests/drill.prove.test.ts',
  'tests/crash/',
  'tests/stories/5-agent-approves-nothing.test.ts',
  'tests/stories/6-approval-fits-one-operation.test.ts',
  'tests/stories/4-nothing-destroys-for-good.test.ts',
  'tests/stories/7-intent-before-act.test.ts',
  'tests/continuous/',
  'packages/cli/src/up.test.ts',
  'packages/gateway/src/protocols/postgres/door.test.ts',
  'packages/gateway/src/store/postgres/switch-line.test.ts',
  'tests/stories/',
  'packages/cli/src/playground/playground.test.ts',
  'packages/vault/src/attack.test.ts',
  'tests/attacks/',
  'tests/',
]

/** What a test may read of its process without any other noticing. */
const harmless = 'env|pid|platform|arch|versions?|execPath|argv|getuid|cwd|hrtime|nextTick|kill|ts'

/** Changes or measures what all files of one process share: the environment, clocks, globals, memory. A `gate.process` is another one. */
const touchesProcess = new RegExp(
  [
    `(?<![.\\w])process\\.(?!(${harmless})\\b)`,
    String.raw`\bprocess\.env(\.\w+|\[[^\]]*\])?\s*=(?!=)|\bdelete process\.env`,
    String.raw`\bvi\.(?!(waitFor|waitUntil|fn|setConfig)\b)`,
    String.raw`\bglobalThis\b|\bWorker\b|\bv8\b`,
  ].join('|'),
)

/**
 * Whether a test file keeps to itself, so that others may run after it in the same process: half of what most take is to load what they test. What it
 * sets with `vi.setConfig`, vitest forgets after each file; a crash ends the process, and the files after it get another.
 */
export function isSelfContained(text: string): boolean {
  return !touchesProcess.test(text)
}

/**
 * What takes long first, then what needs a process of its own, then the rest; the larger file before the smaller. Files that
 * may share a process follow one another, or it would be ended between them.
 */
export function orderFiles(
  files: readonly string[],
  describe: (file: string) => { text: string; bytes: number },
): readonly string[] {
  const ranked = files.map((file) => {
    const place = longest.findIndex((prefix) => file.startsWith(prefix))
    const { text, bytes } = describe(file)
    const rank = place === -1 ? longest.length + (isSelfContained(text) ? 1 : 0) : place
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
