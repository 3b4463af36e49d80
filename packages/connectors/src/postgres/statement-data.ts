import type { Json, Operation } from '@sallyport/core'
import { isBoundedSelect } from './statement-constant.ts'
import { makeOperation, type Context, type Draft, type Handler } from './statement-context.ts'
import { collect, ctesOf, toRelation, type Contents, type Relation } from './statement-contents.ts'
import { findKey, type KeyFacts } from './statement-key.ts'
import { findPreimage } from './statement-preimage.ts'
import { conclude, isCatalogRelation, isCommandRelation } from './statement-verdict.ts'
import { bodies, child, list, named, nodes, text, type Tree } from './parser-tree.ts'

/** What a statement changes, as resolve needs it. */
function targetOf(relation: Tree): { readonly [key: string]: Json } {
  const { schema, name } = toRelation(relation)
  return { schema, name, only: relation['inh'] !== true }
}

export function isTemporary({ schema, name }: Relation, context: Context): boolean {
  return schema === 'pg_temp' || (schema === null && context.batch.temporary.has(name))
}

export function tableResource(relation: Relation): { readonly type: string; readonly name: string } {
  return { type: 'table', name: relation.shown }
}

/** For writes to the catalogs themselves, and to tables whose rows are orders to the server. */
function graveTarget(relation: Relation): { readonly kind: 'escalate'; readonly reversible: false; readonly why: string } | null {
  if (isCatalogRelation(relation))
    return { kind: 'escalate', reversible: false, why: `writes the catalog ${relation.shown} directly` }
  if (isCommandRelation(relation))
    return { kind: 'escalate', reversible: false, why: `${relation.shown} holds secrets, or orders that the server carries out` }
  return null
}

export const describeSelect: Handler = (body, context) => {
  const contents = collect({ SelectStmt: body }, context.ctes)
  const [into] = contents.into
  const resources = [...new Map(contents.relations.map((relation) => [relation.shown, tableResource(relation)])).values()]
  if (into) return describeInto(into, contents, context, 'select_into')
  const why = contents.locks ? 'reads, and locks the rows it reads' : 'reads'
  return conclude({ action: 'select', kind: 'read', why, resources, rememberable: true }, contents, context)
}

/** SELECT … INTO and CREATE TABLE … AS: a new table out of a query. */
export function describeInto(into: Tree, contents: Contents, context: Context, action: string): readonly Operation[] {
  const rel = child(into, 'rel')
  const relation = toRelation(rel ?? {})
  const isTemp = text(rel, 'relpersistence') === 't' || relation.schema === 'pg_temp'
  if (isTemp && context.isOutermost) context.batch.temporary.add(relation.name)
  return conclude(
    {
      action,
      kind: 'write',
      why: 'creates a table out of a query',
      resources: [tableResource(relation)],
      changesSession: isTemp,
    },
    contents,
    context,
  )
}

export const describeInsert: Handler = (body, context) => {
  const ctes = ctesOf(body, context.ctes)
  const contents = collect(body, context.ctes, ['relation'])
  const relation = toRelation(child(body, 'relation') ?? {})
  const base = {
    action: 'insert',
    resources: [tableResource(relation)],
    relations: [relation.shown],
    extra: { target: targetOf(child(body, 'relation') ?? {}) },
  }
  const grave = graveTarget(relation)
  if (grave) return conclude({ ...base, ...grave }, contents, context)
  const conflict = child(body, 'onConflictClause')
  const overwrites = text(conflict, 'action') === 'ONCONFLICT_UPDATE'
  const select = named(body['selectStmt'])
  const isListed = select === null || isBoundedSelect(select.body, context.variables)
  // how often its triggers fire is not for the text to say
  const many = !isListed || context.isRepeated
  if (!overwrites)
    return conclude({ ...base, kind: 'write', why: 'adds rows', extra: { ...base.extra, many } }, contents, context)
  if (!isTemporary(relation, context) && readsItself(body, relation, ctes, context)) {
    return conclude(
      { ...base, action: 'upsert', kind: 'destroy', why: `overwrites rows of ${relation.shown} by a query over the same table` },
      contents,
      context,
    )
  }
  const extra = { ...base.extra, many, unbounded: !isListed && !isTemporary(relation, context) }
  return conclude(
    { ...base, action: 'upsert', kind: 'write', why: 'adds rows, or changes the rows that have the same key', extra },
    contents,
    context,
  )
}

/** An upsert whose rows come out of the table itself meets every row it reads: nothing limits it but the query. */
function readsItself(body: Tree, relation: Relation, ctes: ReadonlyMap<string, Tree>, context: Context): boolean {
  const select = named(body['selectStmt'])
  if (!select || isBoundedSelect(select.body, context.variables)) return false
  const whole = collect({ SelectStmt: select.body, withClause: body['withClause'] ?? null }, context.ctes)
  if (!whole.relations.some(({ name }) => name === relation.name)) return false
  const from = nodes(select.body, 'fromClause')
  const [only] = from
  const isKeyed =
    from.length === 1 &&
    only?.type === 'RangeVar' &&
    findKey(only.body, [], select.body['whereClause'], ctes, context.variables).keyed
  return !isKeyed
}

export const describeDelete: Handler = (body, context) => describeChange('delete', body, context)
export const describeUpdate: Handler = (body, context) => describeChange('update', body, context)

function describeChange(verb: 'delete' | 'update', body: Tree, context: Context): readonly Operation[] {
  const ctes = ctesOf(body, context.ctes)
  const contents = collect(body, context.ctes, ['relation'])
  const target = child(body, 'relation') ?? {}
  const relation = toRelation(target)
  const from = nodes(body, verb === 'delete' ? 'usingClause' : 'fromClause')
  const key = findKey(target, from, body['whereClause'], ctes, context.variables)
  const preimage = context.isOutermost ? findPreimage(verb, body, key, contents, context) : null
  const base = {
    action: verb,
    resources: [tableResource(relation)],
    relations: [relation.shown],
    extra: {
      target: targetOf(target),
      keyed: key.keyed,
      // A key that moves from round to round of a loop finds one row each time, and all of them in the end.
      keyEquality: context.isRepeated && picksAnew(body) ? [] : key.keyEquality,
      where: preimage?.where ?? null,
      preimage: preimage ? { ...preimage } : null,
      assigned: verb === 'update' ? bodies(body, 'targetList', 'ResTarget').map((assignment) => text(assignment, 'name')) : [],
    },
  }
  return conclude({ ...base, ...judgeChange(verb, body, relation, key, context) }, contents, context)
}

function judgeChange(
  verb: 'delete' | 'update',
  body: Tree,
  relation: Relation,
  key: KeyFacts,
  context: Context,
): Pick<Draft, 'kind' | 'why' | 'reversible'> {
  if (isTemporary(relation, context))
    return { kind: 'write', why: `changes only ${relation.shown}, a temporary table of this session` }
  if (verb === 'delete') {
    const bound = body['whereClause'] === undefined ? `every row of ${relation.shown}` : `rows of ${relation.shown}`
    return { kind: 'destroy', why: `deletes ${bound}` }
  }
  const grave = graveTarget(relation)
  if (grave) return grave
  if (key.keyed && !(context.isRepeated && picksAnew(body)))
    return { kind: 'write', why: `changes rows of ${relation.shown} that a key limits` }
  return { kind: 'destroy', why: `overwrites values in ${relation.shown} with no key that limits the rows` }
}

/** Whether the rows come out of a sub-query, a cursor or a function (`currval`, `current_setting`): in a loop these give other rows each time round. */
function picksAnew(body: Tree): boolean {
  return /"(SubLink|CurrentOfExpr|RangeSubselect|withClause|FuncCall|SQLValueFunction)":/.test(
    JSON.stringify({ ...body, targetList: null }),
  )
}

export const describeMerge: Handler = (body, context) => {
  const contents = collect(body, context.ctes, ['relation'])
  const target = child(body, 'relation') ?? {}
  const relation = toRelation(target)
  const verdict = isTemporary(relation, context)
    ? { kind: 'write' as const, why: 'changes a temporary table of this session' }
    : judgeMerge(body, target, relation, context)
  return conclude(
    {
      action: 'merge',
      resources: [tableResource(relation)],
      relations: [relation.shown],
      extra: { target: targetOf(target), unbounded: !isTemporary(relation, context) && overwritesByQuery(body, target, context) },
      ...verdict,
    },
    contents,
    context,
  )
}

/** Whether rows that a query chooses are overwritten: the key joins each to one, and the query may give all of them. */
function overwritesByQuery(body: Tree, target: Tree, context: Context): boolean {
  const clauses = bodies(body, 'mergeWhenClauses', 'MergeWhenClause')
  if (!clauses.some((clause) => text(clause, 'commandType') === 'CMD_UPDATE')) return false
  const source = named(body['sourceRelation'])
  if (source?.type !== 'RangeSubselect') return true
  const query = named(source.body['subquery'])
  const isListed = query?.type === 'SelectStmt' && isBoundedSelect(query.body, context.variables)
  return !isListed || !findKey(target, [source], body['joinCondition'], ctesOf(body, context.ctes), context.variables).keyed
}

function judgeMerge(body: Tree, target: Tree, relation: Relation, context: Context): Pick<Draft, 'kind' | 'why' | 'reversible'> {
  const clauses = bodies(body, 'mergeWhenClauses', 'MergeWhenClause')
  if (clauses.some((clause) => text(clause, 'commandType') === 'CMD_DELETE'))
    return { kind: 'destroy', why: `deletes rows of ${relation.shown}` }
  const grave = graveTarget(relation)
  if (grave) return grave
  const updates = clauses.filter((clause) => text(clause, 'commandType') === 'CMD_UPDATE')
  if (updates.length === 0) return { kind: 'write', why: 'adds rows' }
  const isUnmatched = updates.some((clause) => text(clause, 'matchKind') === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE')
  if (!isUnmatched && joinsByKey(body, target, relation, context))
    return { kind: 'write', why: `changes rows of ${relation.shown} that match the source by a key` }
  return { kind: 'destroy', why: `overwrites values in ${relation.shown} with no key that limits the rows` }
}

/** A MERGE is limited by its source when it joins by a key to something that is not the table itself. */
function joinsByKey(body: Tree, target: Tree, relation: Relation, context: Context): boolean {
  const source = named(body['sourceRelation'])
  const from = source ? [source] : []
  const ctes = ctesOf(body, context.ctes)
  if (findKey(target, from, body['joinCondition'], ctes, context.variables).keyed) return true
  if (!source) return false
  const sourceContents = collect({ [source.type]: source.body, withClause: body['withClause'] ?? null }, context.ctes)
  const isItself = sourceContents.relations.some(({ name }) => name === relation.name)
  if (isItself || sourceContents.relations.length === 0) return false
  const asIfBounded = {
    type: 'RangeSubselect',
    body: { alias: { aliasname: aliasOfSource(source.body) }, subquery: { SelectStmt: { valuesLists: [{}] } } },
  }
  return findKey(target, [asIfBounded], body['joinCondition'], ctes, context.variables).keyed
}

function aliasOfSource(source: Tree): string {
  return text(child(source, 'alias'), 'aliasname') || text(source, 'relname')
}

export const describeTruncate: Handler = (body, context) => {
  const relations = bodies(body, 'relations', 'RangeVar')
  const all = relations.map(toRelation)
  const isTemp = all.every((relation) => isTemporary(relation, context))
  const shown = all.map((relation) => relation.shown)
  return [
    makeOperation(
      {
        action: 'truncate',
        kind: isTemp ? 'write' : 'destroy',
        why: isTemp ? 'empties temporary tables of this session' : `empties ${shown.join(', ')}`,
        resources: all.map(tableResource),
        relations: shown,
        cascade: text(body, 'behavior') === 'DROP_CASCADE',
        extra: {
          targets: relations.map(targetOf),
          ...(relations.length === 1 && relations[0] ? { target: targetOf(relations[0]) } : {}),
        },
      },
      context,
    ),
  ]
}

export const describeCopy: Handler = (body, context) => {
  const rel = child(body, 'relation')
  const query = named(body['query'])
  const relation = rel ? toRelation(rel) : null
  const isFrom = body['is_from'] === true
  const contents = collect(body, context.ctes, isFrom ? ['relation', 'query'] : ['query'])
  const inside = query ? context.describeNode(query, { ...context, isOutermost: false }) : []
  const resources = relation ? [tableResource(relation)] : []
  const relations = relation ? [relation.shown] : []
  const file = text(body, 'filename')
  const draft = judgeCopy(body, relation, isFrom, file, context)
  return [
    ...conclude(
      { ...draft, resources: file === '' ? resources : [...resources, { type: 'server_file', name: file }], relations },
      contents,
      context,
    ),
    ...inside,
  ]
}

function judgeCopy(body: Tree, relation: Relation | null, isFrom: boolean, file: string, context: Context): Draft {
  if (body['is_program'] === true)
    return { action: 'copy_program', kind: 'escalate', reversible: false, why: 'runs a program on the server' }
  if (file !== '')
    return {
      action: isFrom ? 'copy_from_file' : 'copy_to_file',
      kind: 'escalate',
      reversible: isFrom,
      why: isFrom ? 'reads a file of the server' : 'writes a file of the server',
    }
  if (!isFrom) return { action: 'copy_out', kind: 'read', why: 'sends rows to the client', rememberable: false }
  const grave = relation && !isTemporary(relation, context) ? graveTarget(relation) : null
  return {
    action: 'copy_in',
    kind: 'write',
    why: 'adds rows sent by the client',
    ...grave,
    extra: { columns: list(body, 'attlist').length },
  }
}
