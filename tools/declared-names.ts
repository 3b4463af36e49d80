import { listOf, textOf } from './json.ts'
import { isFunction, isNode, walkSyntax, type Syntax, type SyntaxNode } from './syntax.ts'

/** A name that a file gives: what it imports keeps the name its author gave it. */
export interface DeclaredName {
  readonly name: string
  readonly line: number
  readonly kind: 'value' | 'function' | 'type'
}

export function declaredNames(syntax: Syntax): readonly DeclaredName[] {
  const found: DeclaredName[] = []
  const add = (value: unknown, kind: DeclaredName['kind']): void => {
    for (const node of patternNames(value)) found.push({ name: textOf(node.value), line: syntax.lines(node).first, kind })
  }
  walkSyntax(syntax.root, (node) => {
    switch (node.type) {
      case 'VariableDeclarator':
        add(node.id, 'value')
        break
      case 'ClassDeclaration':
        add(node.identifier, 'type')
        break
      case 'TsTypeAliasDeclaration':
      case 'TsInterfaceDeclaration':
        add(node.id, 'type')
        break
      case 'TsPropertySignature':
      case 'ClassProperty':
        add(node.key, 'value')
        break
      case 'CatchClause':
        add(node.param, 'value')
        break
      default:
        if (!isFunction(node)) return
        add(node.identifier, 'function')
        for (const parameter of listOf(node.params)) add(parameter, 'value')
    }
  })
  return found
}

/** The identifiers a pattern binds. `{ res: response }` binds `response`; `{ res }` takes the name as it comes, which is not ours to give. */
function patternNames(value: unknown): readonly SyntaxNode[] {
  if (!isNode(value)) return []
  switch (value.type) {
    case 'Identifier':
      return [value]
    case 'Parameter':
      return patternNames(value.pat)
    case 'AssignmentPattern':
      return patternNames(value.left)
    case 'RestElement':
      return patternNames(value.argument)
    case 'ArrayPattern':
      return listOf(value.elements).flatMap(patternNames)
    case 'ObjectPattern':
      return listOf(value.properties)
        .filter(isNode)
        .flatMap((property) => (property.type === 'KeyValuePatternProperty' ? patternNames(property.value) : []))
    default:
      return []
  }
}
