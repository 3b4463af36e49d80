import {
  Kind,
  Lexer,
  Source,
  TokenKind,
  parse,
  type DocumentNode,
  type FragmentDefinitionNode,
  type OperationDefinitionNode,
} from 'graphql/language'

/** Why a GraphQL document can't be read, or not in one way only. */
export class UnreadableDocument extends Error {}

/** What is left for one HTTP request: the requests of a batch share it. */
export interface Limits {
  tokensLeft: number
  rootFieldsLeft: number
  /** Values in arguments, each counted as often as it is used. */
  valuesLeft: number
}

export function startLimits(): Limits {
  return { tokensLeft: tokensMax, rootFieldsLeft: 200, valuesLeft: 50_000 }
}

const tokensMax = 10_000
/** Levels of brackets: far below what the parser's recursion, or ours, could fall over. */
const depthMax = 100
const commentsMax = 1_000

export interface Document {
  readonly operations: readonly OperationDefinitionNode[]
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
}

/** Parses what was measured first. @throws UnreadableDocument */
export function readDocument(text: string, limits: Limits): Document {
  try {
    measure(text, limits)
    return sort(parse(text, { noLocation: true, maxLexicalTokens: tokensMax, maxComments: commentsMax }))
  } catch (error) {
    if (error instanceof UnreadableDocument) throw error
    // whatever the parser threw, it did not read the document
    throw new UnreadableDocument('it is not a GraphQL document')
  }
}

/** Counts tokens and levels, so that the parser meets nothing it could fall over. */
function measure(text: string, limits: Limits): void {
  const lexer = new Lexer(new Source(text))
  let depth = 0
  for (let token = lexer.advance(); token.kind !== TokenKind.EOF; token = lexer.advance()) {
    limits.tokensLeft -= 1
    if (limits.tokensLeft < 0) throw new UnreadableDocument('it has too many tokens')
    if (token.kind === TokenKind.BRACE_L || token.kind === TokenKind.BRACKET_L || token.kind === TokenKind.PAREN_L) depth += 1
    if (token.kind === TokenKind.BRACE_R || token.kind === TokenKind.BRACKET_R || token.kind === TokenKind.PAREN_R) depth -= 1
    if (depth > depthMax) throw new UnreadableDocument(`it is nested deeper than ${depthMax} levels`)
  }
}

function sort(document: DocumentNode): Document {
  const operations: OperationDefinitionNode[] = []
  const fragments = new Map<string, FragmentDefinitionNode>()
  const names = new Set<string>()
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) {
      const name = definition.name?.value
      if (name !== undefined && names.has(name)) throw new UnreadableDocument('two of its operations have one name')
      if (name !== undefined) names.add(name)
      operations.push(definition)
    } else if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      if (fragments.has(definition.name.value)) throw new UnreadableDocument('two of its fragments have one name')
      fragments.set(definition.name.value, definition)
    } else throw new UnreadableDocument('it defines something that is not an operation')
  }
  if (operations.length === 0) throw new UnreadableDocument('it has no operation')
  return { operations, fragments }
}

/** The operations that may run: one when its name, or being alone, leaves no doubt; else all. */
export function chooseOperations(document: Document, operationName: string | null): readonly OperationDefinitionNode[] {
  const { operations } = document
  const isNamed = operations.every((operation) => operation.name !== undefined)
  const chosen = operations.filter((operation) => operationName !== null && operation.name?.value === operationName)
  return isNamed && chosen.length === 1 ? chosen : operations
}
