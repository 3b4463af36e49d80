import { Kind, type FragmentDefinitionNode, type SelectionSetNode } from 'graphql/language'
import { type Document, UnreadableDocument } from './document.ts'

export function findFragment(document: Document, name: string): FragmentDefinitionNode {
  const fragment = document.fragments.get(name)
  if (fragment === undefined) throw new UnreadableDocument('it spreads a fragment that it does not define')
  return fragment
}

/** Refuses fragments that spread themselves, used or not. Each fragment is visited once. */
export function refuseCycles(document: Document): void {
  const states = new Map<string, 'open' | 'done'>()
  const visit = (name: string): void => {
    const state = states.get(name)
    if (state === 'open') throw new UnreadableDocument('its fragments go in circles')
    if (state === 'done') return
    states.set(name, 'open')
    const fragment = findFragment(document, name)
    if ((fragment.directives ?? []).length > 0) throw new UnreadableDocument('it has a directive on a fragment')
    for (const inner of spreadsOf(fragment.selectionSet)) visit(inner)
    states.set(name, 'done')
  }
  for (const name of document.fragments.keys()) visit(name)
}

function spreadsOf(set: SelectionSetNode): readonly string[] {
  const names: string[] = []
  const sets = [set]
  for (let open = sets.pop(); open !== undefined; open = sets.pop()) {
    for (const node of open.selections) {
      if (node.kind === Kind.FRAGMENT_SPREAD) names.push(node.name.value)
      else if (node.selectionSet !== undefined) sets.push(node.selectionSet)
    }
  }
  return names
}
