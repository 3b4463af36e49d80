import type { Json, Operation, Resource } from '@sallyport/core'
import { makeOperation, type Context, type Draft, type Handler } from './statement-context.ts'
import { collect, toRelation } from './statement-contents.ts'
import { describeInto, tableResource } from './statement-data.ts'
import { objectWord } from './statement-drop.ts'
import { conclude } from './statement-verdict.ts'
import { asTree, bodies, child, list, named, nameParts, nodes, stringsOf, text, type Tree } from './parser-tree.ts'
import { quoteIdentifier, quoteName } from './parser-quote.ts'

/** What a definition holds is kept for later: calls in it are listed, and judged when they are made. */
function define(draft: Draft, body: Tree, context: Context, skip: readonly string[] = []): readonly Operation[] {
  return conclude(draft, collect(body, context.ctes, skip), { ...context, mode: context.mode === 'plan' ? 'plan' : 'define' })
}

/** Parameters of any kind: what a function that runs text is given when an operator calls it. */
const anyArguments = { args: Array.from({ length: 4 }, (_, index) => ({ ParamRef: { number: index + 1 } })) }

/**
 * A definition that lends a function another name or calls it by itself: an operator, an aggregate, a cast, an operator class. What uses it names no
 * function, so the function is judged here as if it were called.
 */
function defineOver(draft: Draft, body: Tree, context: Context): readonly Operation[] {
  const contents = collect(body, context.ctes)
  for (const parts of functionsNamedIn(body)) contents.calls.push({ parts, node: anyArguments })
  return conclude(draft, contents, { ...context, mode: context.mode === 'plan' ? 'plan' : 'define' })
}

/** The grammar reads the name of a function in `FUNCTION = name` as a type, and in WITH FUNCTION and OPERATOR CLASS as an object. */
function functionsNamedIn(value: Json): readonly (readonly string[])[] {
  if (Array.isArray(value)) return value.flatMap((item: Json) => functionsNamedIn(item))
  const tree = asTree(value)
  if (!tree) return []
  const own = text(tree, 'defname') === '' ? null : functionOption(tree)
  const object = nameParts(tree, 'objname')
  const found = [...(own ? [own] : []), ...(object ? [object] : [])].filter((parts) => parts.every((part) => /\w/.test(part)))
  return [...found, ...Object.values(tree).flatMap((inner) => (typeof inner === 'object' ? functionsNamedIn(inner) : []))]
}

function functionOption(option: Tree): readonly string[] | null {
  const given = named(option['arg'])
  const parts =
    given?.type === 'TypeName'
      ? nameParts(given.body, 'names')
      : given?.type === 'List'
        ? stringsOf(list(given.body, 'items'))
        : null
  return parts && typeOptions.has(text(option, 'defname')) ? null : parts
}

/** Options of CREATE OPERATOR, AGGREGATE and TYPE that name a type, or another operator. */
const typeOptions = new Set('leftarg rightarg stype mstype basetype like element subtype commutator negator sortop'.split(' '))

/** CREATE CAST and CREATE OPERATOR CLASS. */
export function definitionOver(action: string, why: string, nameOf: (body: Tree) => Resource): Handler {
  return (body, context) => defineOver({ action, kind: 'write', why, resources: [nameOf(body)] }, body, context)
}

export const describeCreateTable: Handler = (body, context) => {
  const rel = child(body, 'relation') ?? {}
  const relation = toRelation(rel)
  const isTemp = text(rel, 'relpersistence') === 't' || relation.schema === 'pg_temp'
  if (isTemp && context.isOutermost) context.batch.temporary.add(relation.name)
  const action = isTemp ? 'create_temporary_table' : 'create_table'
  return define(
    { action, kind: 'write', why: 'creates a table', resources: [tableResource(relation)], changesSession: isTemp },
    body,
    context,
  )
}

export const describeCreateTableAs: Handler = (body, context) => {
  const into = child(body, 'into') ?? {}
  const query = named(body['query'])
  const isMaterialized = text(body, 'objtype') === 'OBJECT_MATVIEW'
  const contents = collect({}, context.ctes)
  const own = describeInto(into, contents, context, isMaterialized ? 'create_materialized_view' : 'create_table_as')
  return [...own, ...(query ? context.describeNode(query, { ...context, isOutermost: false }) : [])]
}

/** Reading a view runs its query: it is judged now as if it were read at once. */
export const describeView: Handler = (body, context) => {
  const relation = toRelation(child(body, 'view') ?? {})
  const query = named(body['query'])
  const own = makeOperation(
    {
      action: 'create_view',
      kind: 'write',
      why: body['replace'] === true ? 'creates or replaces a view' : 'creates a view',
      resources: [{ type: 'view', name: relation.shown }],
      changesSession: text(child(body, 'view'), 'relpersistence') === 't',
    },
    context,
  )
  return [own, ...(query ? context.describeNode(query, { ...context, isOutermost: false }) : [])]
}

/** A rule's actions run by themselves when its event comes: it arms them. */
export const describeRule: Handler = (body, context) => {
  const relation = toRelation(child(body, 'relation') ?? {})
  const own = define(
    {
      action: 'create_rule',
      kind: 'write',
      why: `creates a rule on ${relation.shown}`,
      resources: [{ type: 'rule', name: quoteIdentifier(text(body, 'rulename')) }, tableResource(relation)],
    },
    body,
    context,
    ['actions'],
  )
  return [...own, ...nodes(body, 'actions').flatMap((action) => context.describeNode(action, { ...context, isOutermost: false }))]
}

export const describeTrigger: Handler = (body, context) => {
  const relation = toRelation(child(body, 'relation') ?? {})
  const armed = context.batch.routines.get(nameParts(body, 'funcname')?.at(-1) ?? '')?.operations ?? []
  const own = define(
    {
      action: 'create_trigger',
      kind: 'write',
      why: `creates a trigger on ${relation.shown}`,
      resources: [{ type: 'trigger', name: quoteIdentifier(text(body, 'trigname')) }, tableResource(relation)],
    },
    body,
    context,
  )
  return [...own, ...armed]
}

export const describeIndex: Handler = (body, context) => {
  const relation = toRelation(child(body, 'relation') ?? {})
  const name = text(body, 'idxname')
  const resources: Resource[] = [
    ...(name === '' ? [] : [{ type: 'index', name: quoteIdentifier(name) }]),
    tableResource(relation),
  ]
  return conclude(
    { action: 'create_index', kind: 'write', why: 'creates an index', resources, runsInTransaction: body['concurrent'] !== true },
    collect(body, context.ctes),
    context,
  )
}

export const describeCreateSchema: Handler = (body, context) => {
  const own = makeOperation(
    {
      action: 'create_schema',
      kind: 'write',
      why: 'creates a schema',
      resources: [{ type: 'schema', name: quoteIdentifier(text(body, 'schemaname')) }],
    },
    context,
  )
  return [
    own,
    ...nodes(body, 'schemaElts').flatMap((element) => context.describeNode(element, { ...context, isOutermost: false })),
  ]
}

/** REFRESH replaces derived rows by newly derived ones; WITH NO DATA only throws them away. */
export const describeRefresh: Handler = (body, context) => {
  const relation = toRelation(child(body, 'relation') ?? {})
  const empties = body['skipData'] === true
  return [
    makeOperation(
      {
        action: 'refresh_materialized_view',
        kind: empties ? 'destroy' : 'write',
        why: empties ? `empties ${relation.shown}` : `computes ${relation.shown} anew from its query`,
        resources: [{ type: 'materialized_view', name: relation.shown }],
        relations: [relation.shown],
      },
      context,
    ),
  ]
}

export function sequenceChange(action: 'create_sequence' | 'alter_sequence'): Handler {
  return (body, context) => {
    const sequence = child(body, 'sequence') ?? {}
    const isTemp = text(sequence, 'relpersistence') === 't'
    const resources = [{ type: 'sequence', name: toRelation(sequence).shown }]
    return define(
      { action, kind: 'write', why: 'creates or changes a sequence', resources, changesSession: isTemp },
      body,
      context,
    )
  }
}

/** CREATE AGGREGATE, OPERATOR, TYPE, COLLATION, TEXT SEARCH …: one statement in the grammar. */
export const describeDefine: Handler = (body, context) => {
  const word = objectWord(text(body, 'kind'))
  const resources = [{ type: word, name: quoteName(nameParts(body, 'defnames') ?? []) }]
  if (word === 'operator' && nameParts(body, 'defnames')?.at(-1) === '=') {
    const why = 'creates an operator =: what equality means, and how many rows a key finds, is no longer what the text says'
    return defineOver({ action: 'create_operator', kind: 'escalate', why, resources }, body, context)
  }
  return defineOver({ action: `create_${word}`, kind: 'write', why: 'creates a definition', resources }, body, context)
}

export const describeCompositeType: Handler = (body, context) =>
  define(
    {
      action: 'create_type',
      kind: 'write',
      why: 'creates a type',
      resources: [{ type: 'type', name: toRelation(child(body, 'typevar') ?? {}).shown }],
    },
    body,
    context,
  )

/** A handler for definitions that lose nothing, whatever they hold. */
export function simpleDefinition(action: string, why: string, nameOf: (body: Tree) => Resource): Handler {
  return (body, context) => define({ action, kind: 'write', why, resources: [nameOf(body)] }, body, context)
}

/** A resource whose name is one string field, or a dotted name. */
export function called(type: string, key: string): (body: Tree) => Resource {
  return (body) => ({
    type,
    name: text(body, key) === '' ? quoteName(nameParts(body, key) ?? []) : quoteIdentifier(text(body, key)),
  })
}

/** Extensions that add types, operators and functions and reach nothing outside the database. */
const plainExtensions = new Set(
  `uuid-ossp pg_trgm citext hstore btree_gin btree_gist cube earthdistance fuzzystrmatch intarray isn ltree pgcrypto seg tablefunc unaccent
   dict_int dict_xsyn intagg tsm_system_rows tsm_system_time postgis postgis_topology postgis_raster vector pg_stat_statements pgstattuple
   bloom lo tcn moddatetime autoinc insert_username pgrowlocks timescaledb h3 pgroonga rum plpgsql pg_jsonschema pg_hashids`
    .split(/\s+/)
    .filter((name) => name !== ''),
)

export const describeCreateExtension: Handler = (body, context) => {
  const name = text(body, 'extname')
  const isPlain =
    plainExtensions.has(name) && !bodies(body, 'options', 'DefElem').some((option) => text(option, 'defname') === 'cascade')
  const why = isPlain ? 'adds types and functions' : 'adds code to the server that may reach files, networks or other sessions'
  return [
    makeOperation(
      {
        action: 'create_extension',
        kind: isPlain ? 'write' : 'escalate',
        why,
        resources: [{ type: 'extension', name: quoteIdentifier(name) }],
      },
      context,
    ),
  ]
}

/** Renaming a login, a database or what guards rows is more than a new name. */
export const describeRename: Handler = (body, context) => {
  const type = text(body, 'renameType').replace(/^OBJECT_/, '')
  const relation = child(body, 'relation')
  const word = objectWord(type)
  const from = relation
    ? toRelation(relation).shown
    : text(body, 'subname') === ''
      ? objectName(body)
      : quoteIdentifier(text(body, 'subname'))
  const kind =
    type === 'ROLE' || type === 'POLICY' || type === 'EVENT_TRIGGER'
      ? 'escalate'
      : type === 'DATABASE' || type === 'PUBLICATION'
        ? 'disrupt'
        : 'write'
  const resources: Resource[] = [{ type: word, name: from }]
  context.batch.routines.clear()
  context.batch.temporary.delete(text(relation, 'relname'))
  return [
    makeOperation(
      {
        action: `rename_${word}`,
        kind,
        why: `renames ${from} to ${quoteIdentifier(text(body, 'newname'))}; what uses the old name breaks`,
        resources,
        extra: { newName: text(body, 'newname') },
      },
      context,
    ),
  ]
}

export function objectName(body: Tree): string {
  const object = named(body['object'])
  if (!object) return ''
  if (object.type === 'String') return quoteIdentifier(text(object.body, 'sval'))
  if (object.type === 'List') return quoteName(stringsOf(list(object.body, 'items')) ?? [])
  return quoteName(nameParts(object.body, 'objname') ?? nameParts(object.body, 'names') ?? [])
}

/** ALTER … SET SCHEMA, DEPENDS ON, COMMENT and their like: they name an object and lose nothing. */
export function objectChange(verb: string, kind: Draft['kind'], why: string): Handler {
  return (body, context) => {
    const relation = child(body, 'relation')
    const word = objectWord(text(body, 'objectType') || text(body, 'objtype'))
    const name = relation ? toRelation(relation).shown : objectName(body)
    context.batch.routines.clear()
    if (relation) context.batch.temporary.delete(text(relation, 'relname'))
    return [makeOperation({ action: `${verb}_${word}`, kind, why, resources: [{ type: word, name }] }, context)]
  }
}
