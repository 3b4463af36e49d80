import { isRecord, numberOf } from './json.ts'
import { argumentsOf, calleeName, isFunction, isNode, nameOf, walkSyntax, type Syntax, type SyntaxNode } from './syntax.ts'

/** The longest pause between two looks at the thing that is waited for. */
const pollMsMax = 100
const loops = new Set(['ForStatement', 'ForOfStatement', 'WhileStatement', 'DoWhileStatement'])

/**
 * Waiting for time instead of for the thing itself: too short on a slow machine, too long on every other. Allowed is a short pause between two
 * looks, inside a loop that ends when the thing has happened.
 */
export function findSleeps(syntax: Syntax): readonly { readonly line: number; readonly what: string }[] {
  const found: { line: number; what: string }[] = []
  walkSyntax(syntax.root, (node, ancestors) => {
    const pause = pauseOf(node, ancestors)
    if (pause === null) return
    const line = syntax.lines(node).first
    // A clock that a test hands in has to be able to sleep.
    if (ancestors.some((ancestor) => isFunction(ancestor) && isRecord(ancestor.key) && ancestor.key.value === 'sleep')) return
    const inLoop = ancestors.some((ancestor) => loops.has(ancestor.type))
    if (!inLoop) found.push({ line, what: 'sleeps; wait for the thing itself' })
    else if (pause.ms !== null && pause.ms > pollMsMax)
      found.push({ line, what: `looks only every ${pause.ms} ms; at most ${pollMsMax}` })
  })
  return found
}

/** The pause that a call makes; null when it makes none. A timer that does something else than resolve a promise is a deadline, not a pause. */
function pauseOf(node: SyntaxNode, ancestors: readonly SyntaxNode[]): { readonly ms: number | null } | null {
  const name = calleeName(node)
  if (name === 'sleep' || name === 'delay' || name === 'timers.setTimeout') return { ms: literalOf(argumentsOf(node)[0]) }
  if (name !== 'setTimeout') return null
  const [first, second] = argumentsOf(node)
  if (first === undefined) return null
  // From node:timers/promises, the time comes first.
  if (first.type === 'NumericLiteral') return { ms: literalOf(first) }
  const resolve = executorParameter(ancestors)
  if (resolve === '' || !(nameOf(first) === resolve || onlyCalls(first, resolve))) return null
  return { ms: literalOf(second) }
}

function executorParameter(ancestors: readonly SyntaxNode[]): string {
  const index = ancestors.findIndex((ancestor) => ancestor.type === 'NewExpression' && nameOf(ancestor.callee) === 'Promise')
  const created = ancestors[index]
  const executor = created === undefined ? undefined : argumentsOf(created)[0]
  if (executor === undefined || !isFunction(executor) || !Array.isArray(executor.params)) return ''
  const parameter: unknown = executor.params[0]
  if (!isNode(parameter)) return ''
  return nameOf(parameter.type === 'Parameter' ? parameter.pat : parameter)
}

function onlyCalls(node: SyntaxNode, name: string): boolean {
  if (node.type !== 'ArrowFunctionExpression' || !isNode(node.body)) return false
  return calleeName(node.body) === name
}

function literalOf(node: SyntaxNode | undefined): number | null {
  return node?.type === 'NumericLiteral' ? numberOf(node.value) : null
}
