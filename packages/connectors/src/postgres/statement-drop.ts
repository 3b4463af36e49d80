import type { ImpactKind, Json, Operation, Resource } from '@sallyport/core'
import { makeOperation, type Context, type Handler } from './statement-context.ts'
import { isTemporary } from './statement-data.ts'
import type { Relation } from './statement-contents.ts'
import { asTree, list, nameParts, named, stringsOf, text, type Tree } from './parser-tree.ts'
import { quoteName } from './parser-quote.ts'

interface Verdict {
  readonly kind: ImpactKind
  readonly reversible: boolean
  readonly why: string
}

const data: Verdict = { kind: 'destroy', reversible: false, why: 'drops what holds data' }
const definition: Verdict = { kind: 'write', reversible: true, why: 'drops a definition; no row is lost' }
const protection: Verdict = { kind: 'escalate', reversible: true, why: 'removes a protection, or stored credentials' }

/** What a plain DROP of each kind of object does. A kind that is not here is unknown. */
const verdicts: ReadonlyMap<string, Verdict> = new Map([
  ...['TABLE', 'MATVIEW', 'SEQUENCE', 'SCHEMA', 'EXTENSION'].map((type) => [type, data] as const),
  ...[
    'VIEW',
    'INDEX',
    'FUNCTION',
    'PROCEDURE',
    'ROUTINE',
    'AGGREGATE',
    'TRIGGER',
    'RULE',
    'TYPE',
    'DOMAIN',
    'OPERATOR',
    'OPCLASS',
    'OPFAMILY',
    'CAST',
    'COLLATION',
    'CONVERSION',
    'STATISTIC_EXT',
    'TSCONFIGURATION',
    'TSDICTIONARY',
    'TSPARSER',
    'TSTEMPLATE',
    'TRANSFORM',
    'LANGUAGE',
    'ACCESS_METHOD',
    'FOREIGN_TABLE',
  ].map((type) => [type, definition] as const),
  ...['POLICY', 'EVENT_TRIGGER', 'FOREIGN_SERVER', 'FDW'].map((type) => [type, protection] as const),
  ['PUBLICATION', { kind: 'disrupt', reversible: true, why: 'stops replication of what it published' }],
])
/** Their CASCADE takes columns, constraints or tables along. */
const reachesData = new Set([
  'FUNCTION',
  'PROCEDURE',
  'ROUTINE',
  'AGGREGATE',
  'TYPE',
  'DOMAIN',
  'OPERATOR',
  'OPCLASS',
  'OPFAMILY',
  'COLLATION',
  'LANGUAGE',
  'ACCESS_METHOD',
  'VIEW',
  'FOREIGN_TABLE',
  'FOREIGN_SERVER',
  'FDW',
  'TSCONFIGURATION',
  'CAST',
])
/** Triggers and rules that seem to watch or to forbid: dropping one takes a protection away. */
const guardName =
  /audit|log|history|protect|guard|prevent|forbid|deny|block|immutable|read_?only|(^|_)no_|append_?only|secur|rls|tamper|check/i
const words: ReadonlyMap<string, string> = new Map([
  ['MATVIEW', 'materialized_view'],
  ['STATISTIC_EXT', 'statistics'],
  ['FOREIGN_SERVER', 'server'],
  ['FDW', 'foreign_data_wrapper'],
  ['OPCLASS', 'operator_class'],
  ['OPFAMILY', 'operator_family'],
  ['TSCONFIGURATION', 'text_search_configuration'],
  ['TSDICTIONARY', 'text_search_dictionary'],
  ['TSPARSER', 'text_search_parser'],
  ['TSTEMPLATE', 'text_search_template'],
])

/** An object type of the parser in our words: `OBJECT_MATVIEW` → `materialized_view`. */
export function objectWord(objectType: string): string {
  const type = objectType.replace(/^OBJECT_/, '')
  return words.get(type) ?? type.toLowerCase()
}

export const describeDrop: Handler = (body, context) => {
  const objectType = text(body, 'removeType')
  const type = objectType.replace(/^OBJECT_/, '')
  const objects = list(body, 'objects').map(objectParts)
  const cascade = text(body, 'behavior') === 'DROP_CASCADE'
  const word = objectWord(objectType)
  const isTable = type === 'TABLE'
  const isRelation = isTable || type === 'VIEW' || type === 'MATVIEW' || type === 'SEQUENCE'
  const relations = isRelation || type === 'SCHEMA' ? objects.map(toRelation) : []
  const isTemp = isTable && relations.length > 0 && relations.every((relation) => isTemporary(relation, context))
  const verdict = isTemp
    ? { kind: 'write' as const, reversible: true, why: 'drops temporary tables of this session' }
    : judgeDrop(type, objects, cascade)
  if (isTemp && context.isOutermost) for (const relation of relations) context.batch.temporary.delete(relation.name)
  if (type === 'FUNCTION' || type === 'PROCEDURE' || type === 'ROUTINE')
    for (const parts of objects) context.batch.routines.delete(parts.at(-1) ?? '')
  // what a cascade takes along may have been a temporary table, and its name means another one now
  if (cascade) context.batch.temporary.clear()
  const targets = relations.map(({ schema, name }) => ({ schema, name, only: false }))
  const resources: Resource[] = objects.map((parts) => ({ type: word, name: quoteName(parts) }))
  return [
    makeOperation(
      {
        action: `drop_${word}`,
        ...verdict,
        why: `${verdict.why}: ${resources.map(({ name }) => name).join(', ')}${cascade ? ' and all that depends on it' : ''}`,
        resources,
        relations: isRelation ? relations.map(({ shown }) => shown) : [],
        cascade,
        runsInTransaction: body['concurrent'] !== true,
        changesSession: isTemp,
        extra: {
          missingOk: body['missing_ok'] === true,
          ...(targets.length > 0 ? { targets } : {}),
          ...(targets.length === 1 && targets[0] ? { target: targets[0] } : {}),
        },
      },
      context,
    ),
  ]
}

function judgeDrop(type: string, objects: readonly (readonly string[])[], cascade: boolean): Verdict {
  const verdict = verdicts.get(type)
  if (!verdict)
    return { kind: 'unknown', reversible: false, why: `drops a kind of object that this gate does not know (${type})` }
  if (cascade && reachesData.has(type))
    return {
      kind: 'destroy',
      reversible: false,
      why: 'drops a definition and what depends on it, which may be columns or tables',
    }
  if ((type === 'TRIGGER' || type === 'RULE') && objects.some((parts) => guardName.test(parts.at(-1) ?? '')))
    return { ...protection, why: 'drops what by its name watches or forbids' }
  return verdict
}

function objectParts(value: Json): readonly string[] {
  const node = named(value)
  if (!node) return []
  if (node.type === 'String') return [text(node.body, 'sval')]
  if (node.type === 'List') return stringsOf(list(node.body, 'items')) ?? list(node.body, 'items').flatMap(objectParts)
  if (node.type === 'TypeName') return nameParts(node.body, 'names') ?? []
  if (node.type === 'ObjectWithArgs') return nameParts(node.body, 'objname') ?? []
  return []
}

function toRelation(parts: readonly string[]): Relation {
  return { schema: parts.at(-2) ?? null, name: parts.at(-1) ?? '', shown: quoteName(parts) }
}

export const describeDropDatabase: Handler = (body, context) => {
  const name = quoteName([text(body, 'dbname')])
  const force = list(body, 'options').some((option) => text(named(option)?.body ?? {}, 'defname') === 'force')
  const why = `drops a whole database: ${name}`
  const resources = [{ type: 'database', name }]
  return [
    makeOperation({ action: 'drop_database', ...data, why, resources, runsInTransaction: false, extra: { force } }, context),
  ]
}
export const describeDropTablespace: Handler = (body, context) =>
  single(
    context,
    'drop_tablespace',
    data,
    'drops a tablespace',
    { type: 'tablespace', name: quoteName([text(body, 'tablespacename')]) },
    false,
  )
export const describeDropSubscription: Handler = (body, context) =>
  single(
    context,
    'drop_subscription',
    { kind: 'disrupt', reversible: true, why: '' },
    'stops replication and drops the slot at its source',
    { type: 'subscription', name: quoteName([text(body, 'subname')]) },
    false,
  )
export const describeDropUserMapping: Handler = (body, context) =>
  single(
    context,
    'drop_user_mapping',
    { kind: 'escalate', reversible: false, why: '' },
    'removes stored credentials',
    { type: 'server', name: quoteName([text(body, 'servername')]) },
    true,
  )

export const describeDropOwned: Handler = (body, context) => {
  const roles = rolesOf(body, 'roles')
  return [
    makeOperation(
      {
        action: 'drop_owned',
        kind: 'destroy',
        why: `drops everything that ${roles.join(', ')} owns`,
        resources: roles.map((name) => ({ type: 'role', name })),
        cascade: true,
      },
      context,
    ),
  ]
}

export function rolesOf(body: Tree, key: string): readonly string[] {
  return list(body, key).map((value) => roleName(named(value)?.body ?? asTree(value)))
}

export function roleName(role: Tree | null): string {
  const name = text(role, 'rolename')
  return name === ''
    ? text(role, 'roletype')
        .replace(/^ROLESPEC_/, '')
        .toLowerCase()
    : quoteName([name])
}

function single(
  context: Context,
  action: string,
  verdict: Verdict,
  why: string,
  resource: Resource,
  runsInTransaction: boolean,
): readonly Operation[] {
  return [
    makeOperation({ action, ...verdict, why: `${why}: ${resource.name}`, resources: [resource], runsInTransaction }, context),
  ]
}
