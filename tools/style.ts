import { posix } from 'node:path'
import { findAssertionGaps } from './assertions.ts'
import { declaredNames } from './declared-names.ts'
import { findSleeps } from './sleeps.ts'
import { calleeName, isFunction, parseSource, walkSyntax, type Syntax, type SyntaxNode } from './syntax.ts'
import { isRecord, textOf } from './json.ts'

/** One thing STYLE.md forbids, where it was found. */
export interface StyleFinding {
  readonly file: string
  readonly line: number
  readonly rule: string
  readonly what: string
}

const fileLinesMax = 400
const functionLinesMax = 70

/** Files that may be longer. Empty, and meant to stay so: a long file is two files. */
const longFiles: ReadonlySet<string> = new Set()

/** The first line of a file that nobody reads or edits, and that names the tool that wrote it. */
const generated = /^\/[/*]+ (Generated|Written|Made) by tools\/[a-z-]+\.ts/

const codeFile = /\.(ts|tsx|js|mjs|cjs)$/
const textFile = /\.(ts|tsx|js|mjs|cjs|json|jsonc|md|yaml|yml|sh|sql|css|html|patch|toml)$|^\.ci\//
export const testFile = /\.test\.ts$/
/** Inputs that show how the world writes, not how we do, and what machines write. */
const notOurs = /(^|\/)cases\/|^package-lock\.json$|\.patch$/

/** Names that say nothing: whatever is in such a file has a better one. */
const emptyNames = new Set(
  'util utils helper helpers common shared type types service services model models manager managers misc stuff'.split(' '),
)
const emptyEndings = /(Util|Utils|Helper|Helpers|Manager|Service|ServiceImpl|Impl)$/

/** Cut words, each with a whole one. Words of a protocol (sql, url, tls, id) are not cut: they are how the thing is called. */
const cutWords = new Set(
  'req res resp cfg conf ctx msg err errs cb fn opts opt conn tmp buf idx len cnt num str arr obj val vals ret stmt usr pwd pkg desc prev cur curr elem elems evt'.split(
    ' ',
  ),
)

/** A time without its unit is read as seconds by one and milliseconds by another. */
const bareTime = /(^|[a-z])(timeout|Timeout|ttl|Ttl)$/

const unfinished = /\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented|placeholder implementation/
const quieted =
  /@ts-(ignore|expect-error|nocheck)|(eslint|oxlint|biome)-(disable|ignore)|(prettier|oxfmt)-ignore|(istanbul|v8|c8) ignore/
const ownMachine =
  /registry\.npmjs|npmmirror|https?:\/\/[a-z0-9.-]*(npm|registry)[a-z0-9.-]*\/|\/(work|farm|root)\/|\/tmp\/helpers/
const skipped = /\b(describe|test|it|suite)\.(skip|only|todo|fails|skipIf|runIf)\b|\b(xit|xdescribe|fit|fdescribe)\(/
/** A test may make such a path up. */
const ownHome = /\/home\/[a-z]|\/Users\//
/** The files in which these words are the subject. */
const aboutStyle = /^tools\/(style|planted-violations)(\.test)?\.ts$/

/** Everything STYLE.md forbids in one file. `file` is relative to the project, with `/`. */
export function findStyleBreaches(file: string, source: string): readonly StyleFinding[] {
  if (notOurs.test(file) || !textFile.test(file)) return []
  const found: StyleFinding[] = [...breachesOfPath(file), ...breachesOfLines(file, source)]
  if (codeFile.test(file)) found.push(...breachesOfCode(file, source))
  return found
}

function breachesOfPath(file: string): readonly StyleFinding[] {
  const words = file.split('/').map((part) => part.replace(/\..*$/, '').toLowerCase())
  const name = posix.basename(file).replace(/\..*$/, '')
  const empty = words.filter((word) => emptyNames.has(word) || emptyNames.has(word.split('-').at(-1) ?? ''))
  const found = empty.map((word) => ({
    file,
    line: 1,
    rule: 'empty-name',
    what: `"${word}" says nothing; name it for what is in it`,
  }))
  if (codeFile.test(file) && name !== '' && /[A-Z_]/.test(name))
    found.push({ file, line: 1, rule: 'file-name', what: 'file names are lower case, with dashes' })
  return found
}

function breachesOfLines(file: string, source: string): readonly StyleFinding[] {
  const lines = source.split('\n')
  const found: StyleFinding[] = []
  const length = source.endsWith('\n') ? lines.length - 1 : lines.length
  if (codeFile.test(file) && length > fileLinesMax && !longFiles.has(file) && !generated.test(source)) {
    found.push({ file, line: length, rule: 'long-file', what: `${length} lines; at most ${fileLinesMax}` })
  }
  if (aboutStyle.test(file)) return found
  const look = (rule: string, pattern: RegExp, what: string): void => {
    lines.forEach((text, index) => {
      const hit = pattern.exec(text)
      if (hit !== null) found.push({ file, line: index + 1, rule, what: `"${hit[0].trim()}": ${what}` })
    })
  }
  look('unfinished', unfinished, 'finish it, or write the issue')
  look('own-machine', ownMachine, 'a path or host that others do not have')
  if (!testFile.test(file)) look('own-machine', ownHome, 'a path that others do not have')
  if (!codeFile.test(file)) return found
  look('quieted', quieted, 'mend the code, or write the exception with its reason into .oxlintrc.json')
  if (testFile.test(file) || file.startsWith('tests/'))
    look('skipped', skipped, 'a test that does not run proves nothing; what it lacks is a failure that names it')
  return found
}

function breachesOfCode(file: string, source: string): readonly StyleFinding[] {
  const syntax = parseSource(source, file)
  const at = (line: number, rule: string, what: string): StyleFinding => ({ file, line, rule, what })
  const found = longFunctions(syntax).map(({ line, length, name }) =>
    at(line, 'long-function', `${name} has ${length} lines; at most ${functionLinesMax}`),
  )
  for (const { name, line, kind } of declaredNames(syntax)) {
    const cut = wordsOf(name).find((word) => cutWords.has(word))
    if (cut !== undefined) found.push(at(line, 'cut-word', `"${name}": write "${cut}" out`))
    if (kind === 'value' && bareTime.test(name))
      found.push(at(line, 'unit-missing', `"${name}": say the unit at the end (${name}Ms), or that it is a timer`))
    if (kind !== 'value' && emptyEndings.test(name))
      found.push(at(line, 'empty-name', `"${name}" says nothing; name it for what it is`))
  }
  if (!testFile.test(file) && !file.startsWith('tests/')) return found
  for (const { line, what } of findSleeps(syntax)) found.push(at(line, 'sleep', what))
  if (testFile.test(file) && !isLongRunOf(file, source))
    for (const { line, what } of findAssertionGaps(syntax)) found.push(at(line, 'no-assertion', what))
  return found
}

/** `x.prove.test.ts` that imports `x.test.ts`: the same tests, with all their cases. */
function isLongRunOf(file: string, source: string): boolean {
  const short = posix.basename(file).replace(/\.prove\.test\.ts$/, '.test.ts')
  return short !== posix.basename(file) && source === `import './${short}'\n`
}

/** `maxRetryCount` → max, retry, count. */
function wordsOf(name: string): readonly string[] {
  return name.split(/(?<=[a-z0-9])(?=[A-Z])|_/).map((word) => word.toLowerCase())
}

/**
 * A function that lays out tests is a chapter, and one that holds others (a factory with its methods) is a class by another name: their parts
 * are counted, not the whole.
 */
function longFunctions(syntax: Syntax): { readonly line: number; readonly length: number; readonly name: string }[] {
  const chapters = new Set<SyntaxNode>()
  const held = new Map<SyntaxNode, number>()
  const functions: { node: SyntaxNode; name: string }[] = []
  walkSyntax(syntax.root, (node, ancestors) => {
    if (/^(describe|test|it)(\.\w+)*$/.test(calleeName(node))) for (const ancestor of ancestors) chapters.add(ancestor)
    if (!isFunction(node)) return
    functions.push({ node, name: functionName(node, ancestors[0]) })
    const holder = ancestors.find(isFunction)
    const isNamed = node.type !== 'ArrowFunctionExpression' && node.type !== 'FunctionExpression'
    if (holder !== undefined && isNamed) held.set(holder, (held.get(holder) ?? 0) + lengthOf(syntax, node))
  })
  return functions
    .filter(({ node }) => !chapters.has(node))
    .map(({ node, name }) => ({ line: syntax.lines(node).first, length: lengthOf(syntax, node) - (held.get(node) ?? 0), name }))
    .filter(({ length }) => length > functionLinesMax)
}

function lengthOf(syntax: Syntax, node: SyntaxNode): number {
  const { first, last } = syntax.lines(node)
  return last - first + 1
}

function functionName(node: SyntaxNode, parent: SyntaxNode | undefined): string {
  for (const named of [node.identifier, node.key, parent?.id]) {
    if (isRecord(named) && textOf(named.value) !== '') return textOf(named.value)
  }
  return 'a function'
}
