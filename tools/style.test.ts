import { describe, expect, test } from 'vitest'
import { findStyleBreaches } from './style.ts'

const rulesIn = (file: string, source: string): readonly string[] =>
  findStyleBreaches(file, source).map(({ rule, line }) => `${rule}:${line}`)
const code = (source: string): readonly string[] => rulesIn('packages/core/src/planted.ts', source)
const inTest = (source: string): readonly string[] => rulesIn('packages/core/src/planted.test.ts', source)

describe('names', () => {
  test.each([
    'src/utils.ts',
    'src/shared/row.ts',
    'src/row-helpers.ts',
    'src/types.ts',
    'src/query-manager.ts',
    'docs/common/page.md',
  ])('%s says nothing', (file) => {
    expect(rulesIn(file, '')).toEqual(['empty-name:1'])
  })

  test('a file is lower case, with dashes', () => {
    expect(rulesIn('src/accessRequest.ts', '')).toEqual(['file-name:1'])
    expect(rulesIn('src/access-request.ts', '')).toEqual([])
    expect(rulesIn('ARCHITECTURE.md', '')).toEqual([])
  })

  test('a cut word is seen wherever a name is given', () => {
    expect(code('export const read = (req: string): string => req\n')).toEqual(['cut-word:1'])
    expect(code('export const rowIdx = 1\n')).toEqual(['cut-word:1'])
    expect(code('try {\n  run()\n} catch (err) {\n  stop()\n}\n')).toEqual(['cut-word:3'])
    expect(code('const { response: res } = answer\n')).toEqual(['cut-word:1'])
    expect(code('export interface Row {\n  readonly maxLen: number\n}\n')).toEqual(['cut-word:2'])
    expect(code('for (const [key, val] of all) use(key)\n')).toEqual(['cut-word:1'])
  })

  test('a name that someone else gave is not ours to change', () => {
    expect(code(`import { req } from 'elsewhere'\nuse(req.res, { req: 1 })\nconst { res } = answer\n`)).toEqual([])
    expect(code('const evaluate = 1\nconst values = [1]\nconst requests = []\n')).toEqual([])
  })

  test('a type that is a Manager or a Helper', () => {
    expect(code('export class SessionManager {}\n')).toEqual(['empty-name:1'])
    expect(code('export interface RowHelper {}\n')).toEqual(['empty-name:1'])
  })

  test('a time without its unit', () => {
    expect(code('export const lockTimeout = 5\n')).toEqual(['unit-missing:1'])
    expect(code('export const lockTimeoutMs = 5\n')).toEqual([])
  })
})

describe('text', () => {
  test('what is left to do', () => {
    expect(code('// TODO: mend\n')).toEqual(['unfinished:1'])
    expect(rulesIn('docs/page.md', 'a\nThis is not yet implemented.\n')).toEqual(['unfinished:2'])
    expect(code(`const template = 'name-XXXXXX'\n`)).toEqual([])
  })

  test('a quieted compiler or linter', () => {
    expect(code('// @ts-ignore\n')).toEqual(['quieted:1'])
    expect(code('/* oxlint-disable no-eval */\n')).toEqual(['quieted:1'])
    expect(code('// eslint-disable-next-line no-eval\n')).toEqual(['quieted:1'])
  })

  test.each(['/work/main/a', 'https://registry.npmjs.org/x', 'https://npm.example.com/x', '/root/.cache'])(
    '%s is a machine’s',
    (text) => {
      expect(code(`export const place = '${text}'\n`)).toEqual(['own-machine:1'])
    },
  )

  test('a home is a machine’s, unless a test makes it up', () => {
    const source = `export const place = '/home/someone/x'\n`
    expect(code(source)).toEqual(['own-machine:1'])
    expect(inTest(`${source}test('planted', () => expect(place).toBe(1))\n`)).toEqual([])
  })

  test('inputs show how the world writes', () => {
    expect(rulesIn('tests/cases/sql.jsonl', '/root/x TODO\n')).toEqual([])
    expect(rulesIn('packages/connectors/src/shell/cases/one.json', '/root/x\n')).toEqual([])
  })
})

describe('length', () => {
  test('400 lines are enough for a file', () => {
    expect(code('run()\n'.repeat(400))).toEqual([])
    expect(code('run()\n'.repeat(401))).toEqual(['long-file:401'])
    expect(code(`// Written by tools/generate.ts\n${'run()\n'.repeat(401)}`)).toEqual([])
  })

  test('70 lines are enough for a function, wherever it stands', () => {
    const body = 'run()\n'.repeat(69)
    expect(code(`function long() {\n${body}}\n`)).toEqual(['long-function:1'])
    expect(code(`// é, a byte more than a letter\nconst long = () => {\n${body}}\n`)).toEqual(['long-function:2'])
    expect(code(`class Long {\n  run() {\n${body}}\n}\n`)).toEqual(['long-function:2'])
    expect(code(`function short() {\n${'run()\n'.repeat(68)}}\n`)).toEqual([])
  })

  test('a factory is counted without the functions it holds, and each of those by itself', () => {
    const inner = (name: string, lines: number): string => `function ${name}() {\n${'run()\n'.repeat(lines)}}\n`
    expect(code(`function make() {\n${inner('one', 60)}${inner('two', 60)}return one\n}\n`)).toEqual([])
    expect(code(`function make() {\n${inner('one', 69)}}\n`)).toEqual(['long-function:2'])
    expect(code(`function make() {\n${inner('one', 5)}${'run()\n'.repeat(69)}}\n`)).toEqual(['long-function:1'])
  })

  test('a chapter of tests may be long, one test may not', () => {
    const one = `test('one', () => {\n  expect(1).toBe(1)\n})\n`
    expect(inTest(`describe('chapter', () => {\n${one.repeat(40)}})\n`)).toEqual([])
    expect(inTest(`test('long', () => {\n${'expect(1).toBe(1)\n'.repeat(70)}})\n`)).toEqual(['long-function:1'])
  })
})

describe('tests', () => {
  const wrap = (body: string): string => `test('planted', async () => {\n${body}\nexpect(1).toBe(1)\n})\n`

  test('sleeping', () => {
    expect(inTest(wrap('await new Promise((resolve) => setTimeout(resolve, 20))'))).toEqual(['sleep:2'])
    expect(inTest(wrap('await new Promise((done) => setTimeout(() => done(), 20))'))).toEqual(['sleep:2'])
    expect(inTest(wrap('await new Promise(function (done) { setTimeout(done, 20) })'))).toEqual(['sleep:2'])
    expect(inTest(wrap('await sleep(5)'))).toEqual(['sleep:2'])
    expect(inTest(wrap('await setTimeout(50)'))).toEqual(['sleep:2'])
    expect(inTest(wrap('while (busy()) await new Promise((resolve) => setTimeout(resolve, 500))'))).toEqual(['sleep:2'])
  })

  test('looking again and again, and deadlines', () => {
    expect(inTest(wrap('while (busy()) await new Promise((resolve) => setTimeout(resolve, 20))'))).toEqual([])
    expect(
      inTest(
        wrap('await new Promise((resolve, reject) => { setTimeout(() => reject(new Error("late")), 5000); wait(resolve) })'),
      ),
    ).toEqual([])
    expect(inTest(wrap('await clock.sleep(5000)'))).toEqual([])
    const clock = `class ShiftedClock {\n  sleep(ms: number): Promise<void> {\n    return new Promise((resolve) => setTimeout(resolve, ms))\n  }\n}\n`
    expect(rulesIn('tests/fakes/clock.ts', clock)).toEqual([])
  })

  test('asserting nothing', () => {
    expect(inTest(`test('empty', () => {\n  run()\n})\n`)).toEqual(['no-assertion:1'])
    expect(inTest(`test.each([1])('empty', () => {\n  run()\n})\n`)).toEqual(['no-assertion:1'])
    expect(inTest('run()\n')).toEqual(['no-assertion:1'])
  })

  test('a long proof may be nothing but the test that it is the long run of', () => {
    expect(rulesIn('tests/x/kill.prove.test.ts', `import './kill.test.ts'\n`)).toEqual([])
    for (const source of [`import './other.test.ts'\n`, `import './kill.test.ts'\ntest('empty', () => run())\n`, '\n'])
      expect(rulesIn('tests/x/kill.prove.test.ts', source)).toEqual([expect.stringMatching(/^no-assertion/)])
    expect(rulesIn('tests/x/kill.test.ts', `import './kill.test.ts'\n`)).toEqual([expect.stringMatching(/^no-assertion/)])
  })

  test('asserting through a function', () => {
    const lent = `function shows(value: number): void {\n  expect(value).toBe(1)\n}\nconst twice = (): void => {\n  shows(1)\n}\n`
    expect(inTest(`${lent}test('direct', () => shows(1))\ntest('through two', () => twice())\n`)).toEqual([])
    expect(inTest(`test('imported', async () => {\n  await expectRefused(1)\n})\n`)).toEqual([])
    expect(inTest(`test('resolves', async () => {\n  await expect(run()).resolves.toBe(1)\n})\n`)).toEqual([])
    expect(inTest(`protocolSuite(postgres)\n`)).toEqual([])
  })

  test('skipped', () => {
    expect(inTest(`test.skip('one', () => expect(1).toBe(1))\n`)).toEqual(['skipped:1', 'no-assertion:1'])
    expect(inTest(`describe.only('one', () => {\n  test('x', () => expect(1).toBe(1))\n})\n`)).toEqual(['skipped:1'])
    expect(rulesIn('tests/conformance/log.ts', `it.skipIf(lacking)('one', () => expect(1).toBe(1))\n`)).toEqual(['skipped:1'])
  })
})
