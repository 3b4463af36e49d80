import { parseSync } from '@swc/core'
import { isRecord, listOf, numberOf, textOf, type JsonRecord } from './json.ts'

/** A node of the syntax tree, as the parser gives it. */
export interface SyntaxNode extends JsonRecord {
  readonly type: string
}

export interface Syntax {
  readonly root: SyntaxNode
  /** 1-based line of a node's first and last byte. */
  lines(node: JsonRecord): { readonly first: number; readonly last: number }
}

/** Parses TypeScript or JavaScript; `file` says whether there is markup in it. Throws when it can't: a file that nobody can read is never skipped. */
export function parseSource(source: string, file = ''): Syntax {
  // The parser counts bytes from a base of its own; an empty statement in front says where that base is. A shebang may not follow it.
  const text = `;${source.replace(/^#!/, '//')}`
  const bytes = Buffer.from(text)
  const tree: unknown = parseSync(text, { syntax: 'typescript', tsx: file.endsWith('.tsx'), target: 'es2024' })
  if (!isNode(tree)) throw new TypeError('the parser returned no tree')
  const base = spanOf(listOf(tree.body).filter(isRecord)[0] ?? tree).start
  const starts = [0]
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, end + 1)) starts.push(end + 1)
  const lineAt = (offset: number): number => lastAtMost(starts, offset - base) + 1
  return {
    root: tree,
    lines: (node) => {
      const span = spanOf(node)
      return { first: lineAt(span.start), last: lineAt(Math.max(span.start, span.end - 1)) }
    },
  }
}

/** The place of the last of `rising` numbers that is not above `limit`: by halves, since every node of every file is asked. */
function lastAtMost(rising: readonly number[], limit: number): number {
  let [low, high] = [0, rising.length - 1]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((rising[middle] ?? 0) <= limit) low = middle
    else high = middle - 1
  }
  return low
}

export function isNode(value: unknown): value is SyntaxNode {
  return isRecord(value) && typeof value.type === 'string'
}

function spanOf(node: JsonRecord): { readonly start: number; readonly end: number } {
  const span = isRecord(node.span) ? node.span : {}
  return { start: numberOf(span.start), end: numberOf(span.end) }
}

/** Visits every node, parents before children. `ancestors` is nearest first. */
export function walkSyntax(root: SyntaxNode, visit: (node: SyntaxNode, ancestors: readonly SyntaxNode[]) => void): void {
  const walk = (value: unknown, ancestors: readonly SyntaxNode[]): void => {
    if (Array.isArray(value)) {
      for (const item of value) walk(item, ancestors)
      return
    }
    if (!isRecord(value)) return
    const node = isNode(value) ? value : null
    if (node !== null) visit(node, ancestors)
    let inner = node === null ? ancestors : null
    for (const key of Object.keys(value)) {
      const child = value[key]
      // Most of a tree is leaves and places in the text, which hold no node.
      if (typeof child !== 'object' || child === null || key === 'span') continue
      inner ??= node === null ? ancestors : [node, ...ancestors]
      walk(child, inner)
    }
  }
  walk(root, [])
}

/** The name of what a call calls: `f` for `f()`, `a.b` for `a.b()`, empty for anything more complicated. */
export function calleeName(node: SyntaxNode): string {
  return node.type === 'CallExpression' ? nameOf(node.callee) : ''
}

export function nameOf(value: unknown): string {
  if (!isNode(value)) return ''
  if (value.type === 'Identifier') return textOf(value.value)
  if (value.type !== 'MemberExpression') return ''
  const object = nameOf(value.object)
  const property = nameOf(value.property)
  return object !== '' && property !== '' ? `${object}.${property}` : ''
}

/** The expressions a call or `new` is given. */
export function argumentsOf(node: SyntaxNode): readonly SyntaxNode[] {
  return listOf(node.arguments)
    .filter(isRecord)
    .map((argument) => argument.expression)
    .filter(isNode)
}

const functionTypes = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'Constructor',
  'MethodProperty',
])

export function isFunction(node: SyntaxNode): boolean {
  return functionTypes.has(node.type)
}
