import type { Json } from '@sallyport/core'

/**
 * A node of the parse tree as it comes out of the parser: JSON of no fixed shape. The functions here read it without trusting it: what is not
 * there, or is something else, is null, false or empty.
 */
export interface Tree {
  readonly [key: string]: Json
}

/** A node with the name of its type, as lists and `Node` fields hold it: `{"SelectStmt": {…}}`. */
export interface Named {
  readonly type: string
  readonly body: Tree
}

export function asTree(value: Json | undefined): Tree | null {
  return isTree(value) ? value : null
}

function isTree(value: Json | undefined): value is Tree {
  return typeof value === 'object' && value !== null && !isList(value)
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

/** A field that holds one node of a fixed type: `relation`, `larg`, `withClause`. */
export function child(node: Tree | null, key: string): Tree | null {
  return asTree(node?.[key])
}

/** A field that holds a node of any type, or a list's element. */
export function named(value: Json | undefined): Named | null {
  const tree = asTree(value)
  if (!tree) return null
  const [first, ...rest] = Object.keys(tree)
  if (first === undefined || rest.length > 0) return null
  const body = asTree(tree[first])
  return body ? { type: first, body } : null
}

export function list(node: Tree | null, key: string): readonly Json[] {
  return listOf(node?.[key])
}

/** The elements of a list; none when it is no list. */
export function listOf(value: Json | undefined): readonly Json[] {
  return isList(value) ? value : none
}

const none: readonly Json[] = []

/** The elements of a list that are nodes. */
export function nodes(node: Tree | null, key: string): readonly Named[] {
  return list(node, key).flatMap((value) => named(value) ?? [])
}

/** The bodies of those elements of a list that are of one type. */
export function bodies(node: Tree | null, key: string, type: string): readonly Tree[] {
  return nodes(node, key).flatMap((element) => (element.type === type ? [element.body] : []))
}

export function text(node: Tree | null, key: string): string {
  const value = node?.[key]
  return typeof value === 'string' ? value : ''
}

export function flag(node: Tree | null, key: string): boolean {
  return node?.[key] === true
}

/** Protobuf leaves zero out. */
export function integer(node: Tree | null, key: string): number {
  const value = node?.[key]
  return typeof value === 'number' ? value : 0
}

/** The parts of a dotted name: `[{"String": {"sval": "pg_catalog"}}, …]`. Null when a part is no plain name. */
export function nameParts(node: Tree | null, key: string): readonly string[] | null {
  return stringsOf(list(node, key))
}

export function stringsOf(values: readonly Json[]): readonly string[] | null {
  const parts: string[] = []
  for (const value of values) {
    const part = named(value)
    if (part?.type !== 'String') return null
    parts.push(text(part.body, 'sval'))
  }
  return parts
}

/** The string of a constant: `'x'`, also behind a cast to text. Null for anything else. */
export function constantText(value: Json | undefined): string | null {
  const node = named(value)
  if (node?.type === 'TypeCast') {
    const type = nameParts(child(node.body, 'typeName'), 'names')?.at(-1)
    return type === 'text' || type === 'varchar' || type === 'bpchar' || type === 'name' || type === 'regclass'
      ? constantText(node.body['arg'])
      : null
  }
  if (node?.type !== 'A_Const') return null
  const string = child(node.body, 'sval')
  return string ? text(string, 'sval') : null
}

/** The whole number of a constant. Null for anything else. */
export function constantInteger(value: Json | undefined): number | null {
  const node = named(value)
  if (node?.type !== 'A_Const') return null
  const number = child(node.body, 'ival')
  return number ? integer(number, 'ival') : null
}

/** The value of a `DefElem` or a SET argument as its text, whatever constant it is; empty when it is none. */
export function optionText(value: Json | undefined): string {
  const node = named(value)
  if (!node) return ''
  if (node.type === 'String') return text(node.body, 'sval')
  if (node.type === 'Integer') return String(integer(node.body, 'ival'))
  if (node.type === 'Float') return text(node.body, 'fval')
  if (node.type === 'Boolean') return String(flag(node.body, 'boolval'))
  if (node.type === 'TypeName') return nameParts(node.body, 'names')?.at(-1) ?? ''
  if (node.type === 'TypeCast') return optionText(node.body['arg'])
  if (node.type !== 'A_Const') return ''
  if (child(node.body, 'sval')) return text(child(node.body, 'sval'), 'sval')
  if (child(node.body, 'ival')) return String(integer(child(node.body, 'ival'), 'ival'))
  if (child(node.body, 'fval')) return text(child(node.body, 'fval'), 'fval')
  if (child(node.body, 'boolval')) return String(flag(child(node.body, 'boolval'), 'boolval'))
  return ''
}

/** PostgreSQL's reading of a boolean option: absent means on; what it would refuse counts as on, the graver meaning for every caller. */
export function isOn(option: Tree): boolean {
  if (option['arg'] === undefined) return true
  return !isOffText(optionText(option['arg']))
}

export function isOffText(value: string): boolean {
  const lower = value.toLowerCase()
  if (lower === '0') return true
  return lower !== '' && ('false'.startsWith(lower) || 'no'.startsWith(lower) || lower === 'of' || lower === 'off')
}
