import { textOf, isRecord } from './json.ts'
import { argumentsOf, calleeName, isFunction, isNode, walkSyntax, type Syntax, type SyntaxNode } from './syntax.ts'

const testCall = /^(test|it)(\.(concurrent|sequential|each|for))?$/
const assertCall = /^(expect|assert)(\.\w+)*$/
/** Functions of other files that assert: their names must say so. Waiting for a thing fails when it does not come. */
const assertingName = /^(expect|assert|check|verify|require|prove|waitFor)[A-Z]\w*$/

/** Tests in which nothing is asserted, neither directly nor by a function of the same file. They pass whatever happens. */
export function findAssertionGaps(syntax: Syntax): readonly { readonly line: number; readonly what: string }[] {
  const asserting = assertingFunctions(syntax)
  const found: { line: number; what: string }[] = []
  let tests = 0
  walkSyntax(syntax.root, (node) => {
    const body = testBody(node)
    if (body === null) return
    tests += 1
    if (!asserts(body, asserting)) found.push({ line: syntax.lines(node).first, what: 'this test asserts nothing' })
  })
  if (tests === 0 && !callsSuite(syntax)) found.push({ line: 1, what: 'a test file without a test' })
  return found
}

/** The function of `test('…', fn)` and of `test.each(…)('…', fn)`. */
function testBody(node: SyntaxNode): SyntaxNode | null {
  if (node.type !== 'CallExpression') return null
  const inner = isNode(node.callee) && node.callee.type === 'CallExpression' ? node.callee : node
  if (!testCall.test(calleeName(inner))) return null
  return argumentsOf(node).find(isFunction) ?? null
}

function asserts(body: SyntaxNode, asserting: ReadonlySet<string>): boolean {
  let found = false
  walkSyntax(body, (node) => {
    const name = calleeName(node)
    const last = name.split('.').at(-1) ?? ''
    if (assertCall.test(name) || name === 'fc.assert' || assertingName.test(last) || asserting.has(name)) found = true
    // expect(…).resolves.toBe(…): the callee's innermost object is the call of expect, which is visited by itself.
  })
  return found
}

/** Functions of this file that assert, directly or through each other. */
function assertingFunctions(syntax: Syntax): ReadonlySet<string> {
  const functions: { readonly name: string; readonly body: SyntaxNode }[] = []
  walkSyntax(syntax.root, (node, ancestors) => {
    if (!isFunction(node)) return
    for (const named of [node.identifier, ancestors[0]?.type === 'VariableDeclarator' ? ancestors[0].id : null]) {
      if (isRecord(named) && textOf(named.value) !== '') functions.push({ name: textOf(named.value), body: node })
    }
  })
  const asserting = new Set<string>()
  for (let grown = true; grown;) {
    const more = functions.filter(({ name, body }) => !asserting.has(name) && asserts(body, asserting))
    for (const { name } of more) asserting.add(name)
    grown = more.length > 0
  }
  return asserting
}

/** A file may lend all its tests from a conformance suite: `protocolSuite(…)`. */
function callsSuite(syntax: Syntax): boolean {
  let found = false
  walkSyntax(syntax.root, (node) => {
    if (/(^|[a-z])(Suite|Conformance|conform\w*)$|^(describe|test)[A-Z]/.test(calleeName(node))) found = true
  })
  return found
}
