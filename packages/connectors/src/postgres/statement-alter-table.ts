import type { AlterTableType } from '@pgsql/types'
import type { ImpactKind, Operation, Resource } from '@sallyport/core'
import { makeOperation, type Context, type Handler } from './statement-context.ts'
import { collect, toRelation } from './statement-contents.ts'
import { isTemporary } from './statement-data.ts'
import { conclude, isCatalogRelation } from './statement-verdict.ts'
import { objectWord } from './statement-drop.ts'
import {
  asTree,
  bodies,
  child,
  flag,
  isOffText,
  list,
  nameParts,
  named,
  optionText,
  stringsOf,
  text,
  type Tree,
} from './parser-tree.ts'
import { quoteIdentifier } from './parser-quote.ts'

interface Verdict {
  readonly kind: ImpactKind
  readonly reversible: boolean
  readonly why: string
}

const plain: Verdict = { kind: 'write', reversible: true, why: 'changes a definition; no value is lost' }
const guard: Verdict = { kind: 'escalate', reversible: true, why: 'changes who may see or change rows, or switches a protection' }
const heavy: Verdict = { kind: 'disrupt', reversible: true, why: 'rewrites the table under a lock' }
const lost: Verdict = { kind: 'destroy', reversible: false, why: 'drops a column with its values' }
const internal: Verdict = { kind: 'unknown', reversible: false, why: 'is a step that only the server itself takes' }

/** Every sub-command of ALTER TABLE there is. */
const verdicts: { readonly [Type in AlterTableType]: Verdict } = {
  AT_AddColumn: plain,
  AT_AddColumnToView: internal,
  AT_ColumnDefault: plain,
  AT_CookedColumnDefault: internal,
  AT_DropNotNull: plain,
  AT_SetNotNull: plain,
  AT_SetExpression: plain,
  AT_DropExpression: plain,
  AT_SetStatistics: plain,
  AT_SetOptions: plain,
  AT_ResetOptions: plain,
  AT_SetStorage: plain,
  AT_SetCompression: plain,
  AT_DropColumn: lost,
  AT_AddIndex: plain,
  AT_ReAddIndex: internal,
  AT_AddConstraint: plain,
  AT_ReAddConstraint: internal,
  AT_ReAddDomainConstraint: internal,
  AT_AlterConstraint: plain,
  AT_ValidateConstraint: plain,
  AT_AddIndexConstraint: plain,
  AT_DropConstraint: plain,
  AT_ReAddComment: internal,
  AT_AlterColumnType: plain,
  AT_AlterColumnGenericOptions: guard,
  AT_ChangeOwner: guard,
  AT_ClusterOn: plain,
  AT_DropCluster: plain,
  AT_SetLogged: heavy,
  AT_SetUnLogged: { ...guard, why: 'takes the table out of the WAL: emptied after a crash, in no backup stream' },
  AT_DropOids: plain,
  AT_SetAccessMethod: heavy,
  AT_SetTableSpace: heavy,
  AT_SetRelOptions: plain,
  AT_ResetRelOptions: plain,
  AT_ReplaceRelOptions: plain,
  AT_EnableTrig: plain,
  AT_EnableAlwaysTrig: plain,
  AT_EnableReplicaTrig: guard,
  AT_DisableTrig: guard,
  AT_EnableTrigAll: plain,
  AT_DisableTrigAll: guard,
  AT_EnableTrigUser: plain,
  AT_DisableTrigUser: guard,
  AT_EnableRule: plain,
  AT_EnableAlwaysRule: plain,
  AT_EnableReplicaRule: guard,
  AT_DisableRule: guard,
  AT_AddInherit: plain,
  AT_DropInherit: plain,
  AT_AddOf: plain,
  AT_DropOf: plain,
  AT_ReplicaIdentity: plain,
  AT_EnableRowSecurity: guard,
  AT_DisableRowSecurity: guard,
  AT_ForceRowSecurity: guard,
  AT_NoForceRowSecurity: guard,
  AT_GenericOptions: guard,
  AT_AttachPartition: plain,
  AT_DetachPartition: plain,
  AT_DetachPartitionFinalize: plain,
  AT_AddIdentity: plain,
  AT_SetIdentity: plain,
  AT_DropIdentity: plain,
  AT_ReAddStatistics: internal,
}
const byName: ReadonlyMap<string, Verdict> = new Map(Object.entries(verdicts))

/** Types that take every value of the usual source types without loss. An integer may come from a numeric, a date from a timestamp: not here. */
const widening = new Set([
  'text',
  'int8',
  'varchar',
  'numeric',
  'float8',
  'jsonb',
  'timestamptz',
  'uuid',
  'citext',
  'inet',
  'bytea',
])
/** A conversion that PostgreSQL refuses rather than cut: `varchar(10)` without USING errors on longer values. */
const refusing = new Set(['varchar', 'bpchar'])

export const describeAlterTable: Handler = (body, context) => {
  const relation = toRelation(child(body, 'relation') ?? {})
  const word = objectWord(text(body, 'objtype'))
  const commands = bodies(body, 'cmds', 'AlterTableCmd')
  const isTemp = isTemporary(relation, context)
  const resource: Resource = { type: word, name: relation.shown }
  const target = { schema: relation.schema, name: relation.name, only: child(body, 'relation')?.['inh'] !== true }
  return commands.flatMap((command) => {
    const verdict = isTemp ? { ...plain, why: 'changes a temporary table of this session' } : judge(command, relation, word)
    return describeCommand(command, verdict, { word, resource, target }, context)
  })
}

interface About {
  readonly word: string
  readonly resource: Resource
  readonly target: { readonly schema: string | null; readonly name: string; readonly only: boolean }
}

function describeCommand(command: Tree, verdict: Verdict, about: About, context: Context): readonly Operation[] {
  const step = text(command, 'subtype').replace(/^AT_/, '')
  const column = text(command, 'name')
  const resources = [
    about.resource,
    ...(column !== '' && step.includes('Column')
      ? [{ type: 'column', name: `${about.resource.name}.${quoteIdentifier(column)}` }]
      : []),
  ]
  // USING runs now; defaults, checks and generated values are kept for later
  const mode = step === 'AlterColumnType' || step === 'SetExpression' ? context.mode : 'define'
  const contents = collect(command, context.ctes)
  return conclude(
    {
      action: `alter_${about.word}_${snake(step)}`,
      ...verdict,
      resources,
      relations: [about.resource.name],
      cascade: text(command, 'behavior') === 'DROP_CASCADE',
      runsInTransaction: !(
        step === 'DetachPartition' && flag(child(command, 'def') && asTree(named(command['def'])?.body), 'concurrent')
      ),
      extra: { target: about.target, ...(column === '' ? {} : { column }) },
    },
    contents,
    { ...context, mode: context.mode === 'plan' ? 'plan' : mode },
  )
}

function snake(step: string): string {
  return step.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase()
}

function judge(command: Tree, relation: ReturnType<typeof toRelation>, word: string): Verdict {
  const subtype = text(command, 'subtype')
  const verdict = byName.get(subtype)
  if (!verdict) return { kind: 'unknown', reversible: false, why: `alters by ${subtype}, which this gate has not heard of` }
  if (verdict.kind !== 'destroy' && isCatalogRelation(relation))
    return { kind: 'escalate', reversible: false, why: `alters the catalog ${relation.shown} itself` }
  if (subtype === 'AT_AlterColumnType') return judgeType(command)
  if (subtype === 'AT_SetRelOptions' || subtype === 'AT_ResetRelOptions') return judgeOptions(command, word)
  return verdict
}

function judgeType(command: Tree): Verdict {
  const definition = named(command['def'])?.body ?? null
  const type = child(definition, 'typeName')
  const typeName = nameParts(type, 'names')?.at(-1) ?? ''
  const isLimited = list(type, 'typmods').length > 0
  const using = definition?.['raw_default']
  if (using !== undefined && !isOwnCast(using, text(command, 'name')))
    return { ...lost, why: 'computes new values in place of the old ones' }
  if (widening.has(typeName) && !isLimited) return { ...plain, why: 'changes a type to one that holds every value' }
  if (refusing.has(typeName) && using === undefined)
    return { ...plain, why: 'changes a type; the server refuses values that do not fit' }
  return { ...lost, why: `converts the values to ${typeName}, which may round them or cut them off` }
}

/** `USING column::type`: only the conversion itself, of the column itself. */
function isOwnCast(using: Parameters<typeof named>[0], column: string): boolean {
  const node = named(using)
  if (node?.type === 'TypeCast') return isOwnCast(node.body['arg'], column)
  // a time stamp read in another zone can be read back
  if (node?.type === 'FuncCall' && nameParts(node.body, 'funcname')?.join('.') === 'pg_catalog.timezone')
    return isOwnCast(list(node.body, 'args')[1], column)
  const parts = node?.type === 'ColumnRef' ? stringsOf(list(node.body, 'fields')) : null
  return parts?.length === 1 && parts[0] === column
}

function judgeOptions(command: Tree, word: string): Verdict {
  if (word !== 'view') return plain
  const options = bodies(named(command['def'])?.body ?? null, 'items', 'DefElem')
  const weakens = options.some(
    (option) =>
      text(option, 'defname').startsWith('security_') &&
      (text(command, 'subtype') === 'AT_ResetRelOptions' || isOffText(optionText(option['arg']))),
  )
  return weakens ? { ...guard, why: 'lets a view show more than its caller may see' } : plain
}

export const describeMoveAll: Handler = (body, context) => [
  makeOperation(
    {
      action: 'alter_table_set_table_space',
      kind: 'disrupt',
      why: 'moves everything of a tablespace under locks',
      resources: [{ type: 'tablespace', name: quoteIdentifier(text(body, 'orig_tablespacename')) }],
    },
    context,
  ),
]
