import type { Operation } from '@sallyport/core'
import { judgeCall, type Judgement } from './functions.ts'
import { quoteName } from './parser-quote.ts'
import { makeOperation, shorten, type Context, type Draft, type Routine } from './statement-context.ts'
import { isSettingList, namesSecretSetting } from './statement-secret.ts'
import type { Tree } from './parser-tree.ts'
import type { Contents, Relation } from './statement-contents.ts'

/** Relations of pg_catalog and of well-known extensions whose rows are credentials, or say who may come in. */
const secretRelations = new Set(
  `pg_shadow pg_authid pg_user_mapping pg_user_mappings _pg_user_mappings user_mapping_options pg_subscription pg_hba_file_rules
   pg_ident_file_mappings pg_file_settings pg_dist_authinfo pg_dist_poolinfo decrypted_secrets decrypted_key`
    .split(/\s+/)
    .filter((name) => name !== ''),
)
const catalogSchemas = new Set(['pg_catalog', 'information_schema', 'pg_toast'])
const secretSchemas = new Set(['vault', 'pgsodium'])
/** Schemas of extensions whose tables are orders to the server: a row there runs code or guards a key. */
const commandSchemas = new Set(['cron', 'vault', 'pgsodium', 'pgagent', 'net', 'partman', 'pgtle', '_timescaledb_config'])

export function isCatalogRelation({ schema, name }: Relation): boolean {
  return schema === null ? name.startsWith('pg_') : catalogSchemas.has(schema)
}

export function isCommandRelation({ schema }: Relation): boolean {
  return schema !== null && commandSchemas.has(schema)
}

function isSecretRelation({ schema, name }: Relation): boolean {
  if (schema !== null && secretSchemas.has(schema)) return true
  const isPlace = schema === null || catalogSchemas.has(schema)
  return isPlace && secretRelations.has(name)
}

/**
 * The operations of one statement: `draft` for itself, made graver by what it calls; more for harmful calls, for secrets it reads, for SQL that
 * it runs, and for statements inside it.
 */
export function conclude(draft: Draft, contents: Contents, context: Context): readonly Operation[] {
  const functions: string[] = [...(draft.functions ?? []), ...contents.operators]
  const extensionFunctions: string[] = []
  const builtins = new Set<string>(draft.builtins ?? [])
  const more: Operation[] = []
  const reads: Relation[] = [...contents.relations]
  const unreadable: string[] = []
  let changesSession = draft.changesSession ?? false
  const ownSettings = new Set<string>(draft.ownSettings ?? [])
  let isForgetful = contents.locks
  const ran = new Set<Routine>()
  for (const { parts, node } of contents.calls) {
    const own = parts.length <= 2 ? context.batch.routines.get(parts.at(-1) ?? '') : undefined
    if (own && context.mode === 'run') {
      isForgetful = true
      // the same routine called twice in one statement does nothing new
      if (!ran.has(own)) more.push(...own.operations.map((operation) => withIndex(operation, context)))
      ran.add(own)
      if (isExactly(own, parts, node)) continue
      // an older routine of the same name may fit the arguments better
      functions.push(quoteName(parts))
    }
    const judgement = judgeCall(parts, node)
    if (judgement.origin === 'foreign') functions.push(judgement.name)
    if (judgement.origin === 'extension') {
      extensionFunctions.push(judgement.name)
      // anybody may define a function of that name: resolve is to look each time
      isForgetful = true
    }
    if (judgement.origin === 'builtin' && parts.length === 1) builtins.add(judgement.name)
    if (context.mode === 'plan') continue
    if (judgement.forgetful) isForgetful = true
    if (judgement.changesSession) changesSession = true
    if (judgement.ownSetting !== undefined) ownSettings.add(judgement.ownSetting)
    if (judgement.kind === 'unknown' && judgement.origin !== 'foreign') unreadable.push(judgement.why)
    else if (judgement.kind !== 'read' && judgement.origin !== 'foreign') more.push(callOperation(judgement, context))
    for (const sql of judgement.runs) more.push(...context.describeText(sql, inner(context)))
    reads.push(...judgement.reads.map(relationOf))
  }
  if (context.mode !== 'plan') more.push(...secretReads(reads, draft.action, context))
  for (const { node, ctes } of contents.statements) more.push(...context.describeNode(node, { ...inner(context), ctes }))
  const lists = context.mode !== 'plan' && listsSettings(reads, contents)
  if (lists && namesSecretSetting(context.sql)) more.push(readsSetting(context))
  const graver = raise(draft, functions, contents, unreadable, context)
  const main = makeOperation(
    {
      ...graver,
      functions: [...new Set(functions)],
      extensionFunctions: [...new Set(extensionFunctions)],
      builtins: [...builtins],
      operators: [...new Set([...(draft.operators ?? []), ...contents.operatorNames])],
      fields: [...new Set([...(draft.fields ?? []), ...contents.fields])],
      types: [...new Set([...(draft.types ?? []), ...contents.types])],
      relations: [...new Set([...(draft.relations ?? []), ...reads.map((relation) => relation.shown)])],
      changesSession,
      ownSettings: [...ownSettings],
      rememberable: draft.rememberable === true && !isForgetful && !changesSession && !lists,
      ...(lists ? { extra: { ...graver.extra, provisional: true, listsSettings: true } } : {}),
    },
    context,
  )
  return settle([main, ...more])
}

function isExactly(routine: Routine, parts: readonly string[], call: Tree): boolean {
  const hasArguments = call['args'] !== undefined || call['agg_star'] === true
  return routine.isPlain && !hasArguments && (parts.at(-2) ?? null) === routine.schema
}

function inner(context: Context): Context {
  return { ...context, isOutermost: false }
}

function raise(
  draft: Draft,
  functions: readonly string[],
  contents: Contents,
  unreadable: readonly string[],
  context: Context,
): Draft {
  if (contents.stranger !== null)
    return { ...draft, kind: 'unknown', reversible: false, why: `holds ${contents.stranger}, which this gate has not heard of` }
  const [why] = unreadable
  if (why !== undefined) return { ...draft, kind: 'unknown', reversible: false, why }
  if (functions.length === 0 || context.mode === 'define') return draft
  const shown = shorten([...new Set(functions)].join(', '))
  const extra = { ...draft.extra, onlyFunctions: draft.kind !== 'unknown' }
  return {
    ...draft,
    kind: 'unknown',
    reversible: false,
    why: `${draft.why}; calls ${shown}, and what that does the text does not say`,
    extra,
  }
}

function callOperation(judgement: Judgement, context: Context): Operation {
  return makeOperation(
    {
      action: 'call_function',
      kind: judgement.kind,
      reversible: judgement.reversible,
      why: `${shorten(judgement.name)} ${judgement.why}`,
      resources: [{ type: 'function', name: judgement.name }],
      changesSession: judgement.changesSession ?? false,
      extensionFunctions: judgement.origin === 'extension' ? [judgement.name] : [],
    },
    context,
  )
}

function secretReads(reads: readonly Relation[], action: string, context: Context): readonly Operation[] {
  const secrets = [...new Map(reads.filter(isSecretRelation).map((relation) => [relation.shown, relation])).values()]
  if (secrets.length === 0 || action === 'drop_table') return []
  return [
    makeOperation(
      {
        action: 'read_secret',
        kind: 'escalate',
        why: `${shorten(secrets.map(({ shown }) => shown).join(', '))} holds credentials or says who may come in`,
        resources: secrets.map(({ shown }) => ({ type: 'table', name: shown })),
        relations: secrets.map(({ shown }) => shown),
      },
      context,
    ),
  ]
}

/** Whether it shows settings one and all: what a role may see of them only the server knows. */
function listsSettings(reads: readonly Relation[], contents: Contents): boolean {
  const isListed = ({ schema, name }: Relation): boolean => (schema === null || catalogSchemas.has(schema)) && isSettingList(name)
  return reads.some(isListed) || contents.calls.some(({ parts }) => isSettingList(parts.at(-1) ?? ''))
}

function readsSetting(context: Context): Operation {
  return makeOperation(
    {
      action: 'read_secret',
      kind: 'escalate',
      why: 'asks the list of settings for one that may hold a credential',
      resources: [{ type: 'setting', name: 'pg_settings' }],
    },
    context,
  )
}

function relationOf(parts: readonly string[]): Relation {
  const schema = parts.at(-2) ?? null
  const last = parts.at(-1) ?? ''
  return { schema, name: last, shown: quoteName([schema, last]) }
}

/** An operation made earlier in the text, seen from the statement that causes it. */
export function withIndex(operation: Operation, context: Context): Operation {
  return { ...operation, context: { ...operation.context, statementIndex: context.statementIndex, rememberable: false } }
}

/** A read may be remembered only when everything its statement does may. */
function settle(operations: readonly Operation[]): readonly Operation[] {
  if (operations.every((operation) => operation.context['rememberable'] === true)) return operations
  return operations.map((operation) => ({ ...operation, context: { ...operation.context, rememberable: false } }))
}
