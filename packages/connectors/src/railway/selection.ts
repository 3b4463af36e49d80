import { Kind, type FieldNode, type SelectionSetNode } from 'graphql/language'
import type { Json } from '@sallyport/core'
import { mayRun } from './directive.ts'
import { type Document, type Limits, UnreadableDocument } from './document.ts'
import { type Finding, unknown, worst } from './finding.ts'
import { findFragment } from './fragment.ts'
import { readValue, type Variables } from './given-value.ts'
import { refuseInput } from './input-shape.ts'
import { findOutput, type InputFields, type RootType } from './schema.ts'
import { findSecret } from './secret-field.ts'

/** One field of a root type that may run. */
export interface RootField {
  readonly name: string
  readonly alias: string | null
  readonly given: ReadonlyMap<string, Json>
  /** What its answer would show, or what of it can't be read; null when there is nothing to say. */
  readonly finding: Finding | null
}

/** What is needed to read the selections of one operation. */
export interface Reader {
  readonly document: Document
  readonly variables: Variables
  readonly limits: Limits
  /** What each fragment shows, read once. */
  readonly fragments: Map<string, Finding | null>
}

/** The root fields that may run, through all fragments. @throws UnreadableDocument */
export function readRootFields(reader: Reader, root: RootType, set: SelectionSetNode): readonly RootField[] {
  const found: RootField[] = []
  const spread = new Set<string>()
  const visit = (inner: SelectionSetNode): void => {
    for (const node of inner.selections) {
      if (!mayRun(node.directives ?? [], reader.variables)) continue
      if (node.kind === Kind.FIELD) {
        found.push(readRootField(reader, root, node))
        reader.limits.rootFieldsLeft -= 1
        if (reader.limits.rootFieldsLeft < 0) throw new UnreadableDocument('it has too many root fields')
      } else if (node.kind === Kind.INLINE_FRAGMENT) {
        refuseOtherRoot(root, node.typeCondition?.name.value ?? root)
        visit(node.selectionSet)
      } else if (!spread.has(node.name.value)) {
        // the same fragment twice is the same fields once
        spread.add(node.name.value)
        const fragment = findFragment(reader.document, node.name.value)
        refuseOtherRoot(root, fragment.typeCondition.name.value)
        visit(fragment.selectionSet)
      }
    }
  }
  visit(set)
  return found
}

function refuseOtherRoot(root: RootType, condition: string): void {
  if (condition !== root) throw new UnreadableDocument('a fragment at its root is on another type')
}

function readRootField(reader: Reader, root: RootType, node: FieldNode): RootField {
  const { given, finding } = readField(reader, root, node)
  return { name: node.name.value, alias: node.alias?.value ?? null, given, finding }
}

interface ReadField {
  readonly given: ReadonlyMap<string, Json>
  readonly finding: Finding | null
}

const nothingGiven: ReadonlyMap<string, Json> = new Map()

function readField(reader: Reader, type: string, node: FieldNode): ReadField {
  const name = node.name.value
  const nested = node.selectionSet
  if (name === '__typename' && nested === undefined && (node.arguments ?? []).length === 0)
    return { given: nothingGiven, finding: null }
  const field = findOutput(type)?.get(name)
  if (field === undefined)
    return { given: nothingGiven, finding: unknown(`the schema known here has no such field (${type}.${name})`) }
  const given = new Map<string, Json>()
  const findings = readArguments(reader, field.given, node, given)
  const secret = findSecret(type, name, given)
  if (secret !== null) findings.push(secret)
  if (nested !== undefined) {
    const shown =
      field.type === undefined
        ? unknown(`selects in a field that has none (${type}.${name})`)
        : readSelected(reader, field.type, nested)
    if (shown !== null) findings.push(shown)
  }
  return { given, finding: gravest(findings) }
}

function gravest(findings: readonly Finding[]): Finding | null {
  const [first, ...others] = findings
  return first === undefined ? null : worst(first, others)
}

/** Fills `given`; returns what of the arguments can't be read. */
function readArguments(reader: Reader, fields: InputFields, node: FieldNode, given: Map<string, Json>): Finding[] {
  const findings: Finding[] = []
  const seen = new Set<string>()
  for (const argument of node.arguments ?? []) {
    const name = argument.name.value
    if (seen.has(name)) throw new UnreadableDocument('it gives an argument twice')
    seen.add(name)
    const value = readValue(argument.value, reader.variables)
    const type = fields.get(name)
    if (type === undefined) {
      findings.push(unknown('the schema known here has no argument of that name'))
      continue
    }
    if (value === undefined) continue
    const why = refuseInput(value, type, reader.limits)
    if (why !== null) findings.push(unknown(why))
    given.set(name, value)
  }
  return findings
}

/** What the fields selected in a type would show. Every node is visited once, fragments included. */
function readSelected(reader: Reader, type: string, set: SelectionSetNode): Finding | null {
  if (findOutput(type) === undefined) return unknown('the schema known here has no type of that name')
  const findings: Finding[] = []
  for (const node of set.selections) {
    if (!mayRun(node.directives ?? [], reader.variables)) continue
    const finding =
      node.kind === Kind.FIELD
        ? readField(reader, type, node).finding
        : node.kind === Kind.INLINE_FRAGMENT
          ? readSelected(reader, node.typeCondition?.name.value ?? type, node.selectionSet)
          : readFragment(reader, node.name.value)
    if (finding !== null) findings.push(finding)
  }
  return gravest(findings)
}

function readFragment(reader: Reader, name: string): Finding | null {
  const known = reader.fragments.get(name)
  if (known !== undefined) return known
  const fragment = findFragment(reader.document, name)
  const finding = readSelected(reader, fragment.typeCondition.name.value, fragment.selectionSet)
  reader.fragments.set(name, finding)
  return finding
}
