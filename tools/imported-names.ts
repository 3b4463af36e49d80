import { argumentsOf, calleeName, isNode, nameOf, parseSource, walkSyntax, type SyntaxNode } from './syntax.ts'
import { isRecord, listOf, textOf } from './json.ts'

/** One name that a file takes from a module. `*` is the whole module: every name in it. */
export interface ImportedName {
  readonly module: string
  readonly name: string
  /** Erased before it runs. */
  readonly typeOnly: boolean
  readonly line: number
}

/** Calls that load a module at run time, by any of the ways Node has. */
const loaders = new Set([
  'require',
  'module.require',
  'process.getBuiltinModule',
  'process.binding',
  'process.dlopen',
  'createRequire',
])

/** By text and kind of file: several rules ask about each file, and to parse it is what takes time. */
const known = new Map<string, readonly ImportedName[]>()

/** Every name a file imports: static, re-exported, dynamic, `require`d. A module named by an expression is reported as module `?`. */
export function importedNames(source: string, file = ''): readonly ImportedName[] {
  const key = `${file.endsWith('.tsx')} ${source}`
  const names = known.get(key) ?? readNames(source, file)
  known.set(key, names)
  return names
}

function readNames(source: string, file: string): readonly ImportedName[] {
  const syntax = parseSource(source, file)
  const found: ImportedName[] = []
  walkSyntax(syntax.root, (node) => {
    for (const name of namesIn(node)) found.push({ ...name, line: syntax.lines(node).first })
  })
  return found
}

/** A source that imports what this one imports, in the same way (types as types), and does nothing else. */
export function importsOnly(source: string, file = ''): string {
  const lines = importedNames(source, file)
    .filter((taken) => taken.module !== '?')
    .map(({ module, typeOnly }) =>
      typeOnly ? `import type { Name } from ${JSON.stringify(module)}` : `import ${JSON.stringify(module)}`,
    )
  return [...new Set(lines), ''].join('\n')
}

type Name = Omit<ImportedName, 'line'>

function namesIn(node: SyntaxNode): readonly Name[] {
  switch (node.type) {
    case 'ImportDeclaration':
      return specifierNames(node, 'imported', 'local')
    case 'ExportNamedDeclaration':
      return node.source === null || node.source === undefined ? [] : specifierNames(node, 'orig', 'orig')
    case 'ExportAllDeclaration':
      return [{ module: moduleOf(node.source), name: '*', typeOnly: node.typeOnly === true }]
    case 'TsImportType':
      return [{ module: moduleOf(node.argument), name: nameOf(node.qualifier) || '*', typeOnly: true }]
    case 'CallExpression':
      return loadedNames(node)
    default:
      return []
  }
}

function specifierNames(node: SyntaxNode, imported: string, local: string): readonly Name[] {
  const module = moduleOf(node.source)
  const wholeTypeOnly = node.typeOnly === true
  const specifiers = listOf(node.specifiers).filter(isNode)
  // `import 'x'` runs the module.
  if (specifiers.length === 0) return [{ module, name: '*', typeOnly: wholeTypeOnly }]
  return specifiers.map((specifier) => {
    const typeOnly = wholeTypeOnly || specifier.isTypeOnly === true
    if (specifier.type === 'ImportDefaultSpecifier') return { module, name: 'default', typeOnly }
    if (specifier.type.endsWith('NamespaceSpecifier')) return { module, name: '*', typeOnly }
    const name = specifier[imported] ?? specifier[local]
    return { module, name: isRecord(name) ? textOf(name.value) : '*', typeOnly }
  })
}

function loadedNames(node: SyntaxNode): readonly Name[] {
  const dynamic = isNode(node.callee) && node.callee.type === 'Import'
  if (!dynamic && !loaders.has(calleeName(node))) return []
  return [{ module: moduleOf(argumentsOf(node)[0]), name: '*', typeOnly: false }]
}

function moduleOf(value: unknown): string {
  return isNode(value) && value.type === 'StringLiteral' ? textOf(value.value) : '?'
}
