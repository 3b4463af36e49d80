import type { DirectiveNode } from 'graphql/language'
import { UnreadableDocument } from './document.ts'
import { readValue, type Variables } from './given-value.ts'

/**
 * Whether what carries these directives may run. Only `@skip` and `@include` are known; one whose condition is not plainly true or false
 * counts as running. @throws UnreadableDocument
 */
export function mayRun(directives: readonly DirectiveNode[], variables: Variables): boolean {
  const seen = new Set<string>()
  let runs = true
  for (const directive of directives) {
    const name = directive.name.value
    if (name !== 'skip' && name !== 'include')
      throw new UnreadableDocument('it has a directive that is neither @skip nor @include')
    if (seen.has(name)) throw new UnreadableDocument('it gives a directive twice')
    seen.add(name)
    const [condition, ...more] = directive.arguments ?? []
    if (condition === undefined || more.length > 0 || condition.name.value !== 'if')
      throw new UnreadableDocument('a directive of it has other arguments than one condition')
    const given = readValue(condition.value, variables)
    if (given === (name === 'skip')) runs = false
  }
  return runs
}
