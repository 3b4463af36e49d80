import { OperationTypeNode, type OperationDefinitionNode } from 'graphql/language'
import type { Describers, Json, Operation } from '@sallyport/core'
import { chooseOperations, type Document, type Limits, readDocument, startLimits, UnreadableDocument } from './document.ts'
import { type Finding, unknown, worst } from './finding.ts'
import { refuseCycles } from './fragment.ts'
import { readVariables } from './given-value.ts'
import { mutationImpacts } from './impact-mutation.ts'
import { findOwn, findReading } from './impact-query.ts'
import { judgeArguments } from './judge-arguments.ts'
import { type GraphqlRequest, readRequest } from './request.ts'
import { readResources } from './resource.ts'
import type { RootType } from './schema.ts'
import { readRootFields, type RootField } from './selection.ts'

const roots = {
  [OperationTypeNode.QUERY]: 'Query',
  [OperationTypeNode.MUTATION]: 'Mutation',
  [OperationTypeNode.SUBSCRIPTION]: 'Subscription',
} as const satisfies Record<OperationTypeNode, RootType>

/** UTF-16 units. */
const nameLengthMax = 100

/** What a request to Railway's API would do. Pure and total: never throws, and what can't be read is `unknown`. */
export async function describe(decoded: Json, ask: Describers): Promise<readonly Operation[]> {
  try {
    const reading = readRequest(decoded)
    if (reading.outcome === 'unreadable') return [unreadable(reading.why)]
    const limits = startLimits()
    const operations: Operation[] = []
    for (const [index, request] of reading.requests.entries())
      operations.push(...(await describeRequest(request, index, limits, ask)))
    return operations
  } catch {
    // a fault of ours is no reason to let a request pass for mild
    return [unreadable('reading it failed')]
  }
}

async function describeRequest(
  request: GraphqlRequest,
  index: number,
  limits: Limits,
  ask: Describers,
): Promise<readonly Operation[]> {
  try {
    const document = readDocument(request.query, limits)
    refuseCycles(document)
    // a server that runs mutations by GET runs them for whoever makes a browser follow a link; one that does not is not asked to
    if (request.isGet && document.operations.some((operation) => operation.operation !== OperationTypeNode.QUERY))
      throw new UnreadableDocument('it is a GET, and holds more than queries')
    const operations: Operation[] = []
    for (const chosen of chooseOperations(document, request.operationName))
      operations.push(...(await describeOperation(document, chosen, request, { index, limits, ask })))
    return operations
  } catch (error) {
    if (error instanceof UnreadableDocument) return [unreadable(error.message)]
    throw error
  }
}

interface Setting {
  readonly index: number
  readonly limits: Limits
  readonly ask: Describers
}

async function describeOperation(
  document: Document,
  node: OperationDefinitionNode,
  request: GraphqlRequest,
  { index, limits, ask }: Setting,
): Promise<readonly Operation[]> {
  if ((node.directives ?? []).length > 0) throw new UnreadableDocument('it has a directive on an operation')
  const root = roots[node.operation]
  const variables = readVariables(node, request.variables)
  const fields = readRootFields({ document, variables, limits, fragments: new Map() }, root, node.selectionSet)
  const context = { root, operationName: sayName(node.name?.value), requestIndex: index }
  const operations: Operation[] = []
  for (const field of fields) operations.push(await describeField(root, field, context, ask))
  if (operations.length > 0) return operations
  return [operation('nothing', [], { kind: 'read', reversible: true, why: 'selects nothing that runs' }, context)]
}

async function describeField(
  root: RootType,
  field: RootField,
  context: Operation['context'],
  ask: Describers,
): Promise<Operation> {
  const known = findOwn(field.name) ?? (root === 'Mutation' ? mutationImpacts.get(field.name) : findReading(root, field.name))
  const findings: Finding[] = []
  if (field.finding !== null) findings.push(field.finding)
  const judged = root === 'Mutation' ? await judgeArguments(field.name, field.given, ask) : null
  if (judged !== null) findings.push(judged)
  const resources = readResources(field.name, field.given)
  if (resources === null) findings.push(unknown('names more things than are listed here'))
  const finding = known === undefined ? unknown('the schema known here has no such field') : worst(known, findings)
  return operation(nameOf(field.name), resources ?? [], finding, { ...context, alias: sayName(field.alias) })
}

/** Names are the agent's, and kept only when short: the bytes are in the digest anyway. */
function sayName(name: string | null | undefined): string | null {
  return name === null || name === undefined || name.length > nameLengthMax ? null : name
}

/** A field nobody listed keeps its name, unless it is too long for one. */
function nameOf(field: string): string {
  return field.length > nameLengthMax ? 'unlisted' : field
}

function operation(name: string, resources: Operation['resources'], finding: Finding, context: Operation['context']): Operation {
  const { kind, reversible, why } = finding
  // Nothing but the request's own bytes says what a read is: it may be remembered by them.
  const remembered = kind === 'read' ? { ...context, rememberable: true } : context
  return { action: `railway.${name}`, resources, impact: { kind, reversible }, why: `${name}: ${why}`, context: remembered }
}

function unreadable(why: string): Operation {
  return {
    action: 'railway.unreadable',
    resources: [],
    impact: { kind: 'unknown', reversible: false },
    why: `The request can't be read: ${why}`,
    context: {},
  }
}
