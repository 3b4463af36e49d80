import { Kind, type DirectiveNode, type FieldNode, type SelectionSetNode } from 'graphql/language'
import type { Json } from '@sallyport/core'
import { type Document, UnreadableDocument } from './document.ts'
import { type Finding, unknown } from './finding.ts'
import { readValue, type Variables } from './given-value.ts'
import { findOutput, type OutputField, type RootType } from './schema.ts'
import { findSecret } from './secret-field.ts'

/** Root fields of one request: each becomes an operation of its own. */
const rootFieldsMax = 200

export interface RootField {
  readonly name: string
  readonly alias: string | null
  readonly field: OutputField
  readonly given: ReadonlyMap<string, Json>
  /** What its selection would show, or could not be read. */
  readonly shown: readonly Finding[]
}

/** Reads the selections of one operation. */
export interface Selections {
  readonly document: Document
  readonly variables: Variables
  /** What a fragment shows; `open` while it is being read, so that a cycle is seen. */
  readonly known: Map<string, readonly Finding[] | 'open'>
}

/** The root fields that may run, through fragments. @throws UnreadableDocument */
export function readRootFields(selections: Selections, root: RootType, set: SelectionSetNode): readonly (RootField | Finding)[] {
  const found: (RootField | Finding)[] = []
  const spread = new Set<string>()
  const visit = (inner: SelectionSetNode): void => {
    for (const node of inner.selections) {
      if (!mayRun(node.directives ?? [], selections.variables)) continue
      if (node.kind === Kind.FIELD) found.push(readRootField(selections, root, node))
      else if (node.kind === Kind.INLINE_FRAGMENT) {
        checkRoot(root, node.typeCondition?.name.value ?? root)
        visit(node.selectionSet)
      } else {
        const fragment = findFragment(selections, node.name.value)
        checkRoot(root, fragment.typeCondition.name.value)
        // twice the same fragment is the same fields; a cycle ends here too, and is refused below
        if (spread.has(node.name.value)) continue
        spread.add(node.name.value)
        visit(fragment.selectionSet)
      }
      if (found.length > rootFieldsMax) throw new UnreadableDocument(`it has more than ${rootFieldsMax} root fields`)
    }
  }
  refuseCycles(selections, set)
  visit(set)
  return found
}

function readRootField(selections: Selections, root: RootType, node: FieldNode): RootField | Finding {
  const name = node.name.value
  const field = findOutput(root)?.get(name)
  if (name === '__typename' && node.selectionSet === undefined && (node.arguments ?? []).length === 0)
    return { kind: 'read', reversible: true, why: 'names the type of the root' }
  if (field === undefined) return unknown(`the schema known here has no field of that name in ${root}`)
  const given = readArguments(selections, field, node)
  if (!(given instanceof Map)) return given
  return {
    name,
    alias: node.alias?.value ?? null,
    field,
    given,
    shown: readSelected(selections, field, node),
  }
}

function checkRoot(root: RootType, condition: string): void {
  if (condition !== root) throw new UnreadableDocument('a fragment at its root is on another type')
}

function findFragment(selections: Selections, name: string) {
  const fragment = selections.document.fragments.get(name)
  if (fragment === undefined) throw new UnreadableDocument('it spreads a fragment that it does not define')
  if ((fragment.directives ?? []).length > 0) throw new UnreadableDocument('it has a directive on a fragment')
  return fragment
}
