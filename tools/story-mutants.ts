import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './command.ts'
import { listOf, recordsOf, textOf, type JsonRecord } from './json.ts'
import { copyTree } from './source-tree.ts'
import { runVitest } from './test-run.ts'

const storyFolder = 'tests/stories'
const mutantFolder = 'tests/stories/mutants'

/** A promise, the test that proves it, and the patch that takes its defence away. */
export interface Story {
  readonly number: number
  readonly test: string
  /** Null: nobody has shown yet that the story can fail. */
  readonly patch: string | null
}

export interface MutantResult {
  readonly number: number
  /** The story passed as it is and failed by assertion without the defence. */
  readonly killed: boolean
  /** What was seen, in a sentence. */
  readonly what: string
}

export function findStories(root: string): readonly Story[] {
  const names = (folder: string): readonly string[] => (existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : [])
  const patches = new Set(names(mutantFolder))
  return names(storyFolder)
    .flatMap((name) => {
      const number = /^(\d+)-.*(?<!\.prove)\.test\.ts$/.exec(name)?.[1]
      if (number === undefined) return []
      const patch = patches.has(`${number}.patch`) ? `${mutantFolder}/${number}.patch` : null
      return [{ number: Number(number), test: `${storyFolder}/${name}`, patch }]
    })
    .toSorted((left, right) => left.number - right.number)
}

/** Patches whose story is gone prove nothing, and nobody would notice. */
export function findStrayPatches(root: string): readonly string[] {
  const stories = new Set(findStories(root).map((story) => story.patch))
  const folder = join(root, mutantFolder)
  const patches = existsSync(folder) ? readdirSync(folder).map((name) => `${mutantFolder}/${name}`) : []
  return patches.filter((patch) => !stories.has(patch))
}

/** One failure is what is asked for; without its defence, what comes after it may take as long as it can. */
const untilFirstFailure = ['--bail=1', '--retry=0'] as const

/** Takes the defence away in a copy of the tree and requires that the story notices. */
export async function tryMutant(root: string, story: Story): Promise<MutantResult> {
  const result = (killed: boolean, what: string): MutantResult => ({ number: story.number, killed, what })
  if (story.patch === null) return result(false, `${story.test} has no ${mutantFolder}/${story.number}.patch`)
  const patch = readFileSync(join(root, story.patch), 'utf8')
  const strangers = touchedFiles(patch).filter((file) => !file.startsWith('packages/') || file.endsWith('.test.ts'))
  if (strangers.length > 0) return result(false, `${story.patch} changes ${strangers.join(', ')}; a defence lies under packages/`)
  const copy = copyTree(root)
  try {
    const before = await runVitest(copy.root, [story.test], false)
    if (before.code !== 0 || failures(before.report).length > 0) {
      return result(false, `${story.test} fails as it is, so it proves nothing\n${before.output.slice(-3000)}`)
    }
    // Without a repository of its own, git would look for one above and leave the copy alone.
    await runCommand('git', ['init', '--quiet'], { cwd: copy.root })
    const applied = await runCommand('git', ['apply', '-'], { cwd: copy.root, stdin: patch })
    if (applied.code !== 0) return result(false, `${story.patch} does not apply: ${applied.stderr.trim()}`)
    const after = await runVitest(copy.root, [story.test, ...untilFirstFailure], false)
    return judge(story, after.report, after.output, result)
  } finally {
    copy.remove()
  }
}

function judge(
  story: Story,
  report: JsonRecord,
  output: string,
  result: (killed: boolean, what: string) => MutantResult,
): MutantResult {
  const messages = failures(report)
  const assertion = messages.find((message) => /^AssertionError\b/.test(message))
  if (assertion !== undefined) return result(true, firstLine(assertion))
  if (messages.length > 0) return result(false, `${story.test} fails, but not by assertion: ${firstLine(messages[0] ?? '')}`)
  const broken = recordsOf(report.testResults).some((file) => textOf(file.status) === 'failed')
  if (broken || recordsOf(report.testResults).length === 0) {
    return result(false, `${story.test} cannot even run with ${story.patch}, which proves nothing\n${output.slice(-3000)}`)
  }
  return result(false, `SURVIVED: ${story.test} passes without the defence that ${story.patch} removes`)
}

/** Files that a patch changes, adds or removes. */
function touchedFiles(patch: string): readonly string[] {
  const files = [...patch.matchAll(/^(?:---|\+\+\+) (?:[ab]\/)?(?<file>\S+)/gm)].map(({ groups = {} }) => groups.file ?? '')
  return [...new Set(files)].filter((file) => file !== '/dev/null')
}

function failures(report: JsonRecord): readonly string[] {
  return recordsOf(report.testResults)
    .flatMap((file) => recordsOf(file.assertionResults))
    .filter((test) => textOf(test.status) === 'failed')
    .flatMap((test) => listOf(test.failureMessages).map(textOf))
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}
