import { isOn, bodies, child, list, named, optionText, text, type Tree } from './parser-tree.ts'
import { quoteIdentifier } from './parser-quote.ts'
import { makeOperation, shorten, type Context, type Draft, type Handler } from './statement-context.ts'
import { collect } from './statement-contents.ts'
import { isSecretSettingName } from './statement-secret.ts'
import { isOwnSetting, judgeSetting, type SettingImpact } from './statement-settings.ts'
import { conclude, withIndex } from './statement-verdict.ts'

const transactionWords: ReadonlyMap<string, Omit<Draft, 'action'> & { readonly action: string }> = new Map([
  ['TRANS_STMT_BEGIN', { action: 'begin', kind: 'read', rememberable: true, why: 'opens a transaction' }],
  ['TRANS_STMT_START', { action: 'begin', kind: 'read', rememberable: true, why: 'opens a transaction' }],
  [
    'TRANS_STMT_COMMIT',
    { action: 'commit', kind: 'read', rememberable: true, why: 'ends a transaction; what it did was judged before' },
  ],
  ['TRANS_STMT_ROLLBACK', { action: 'rollback', kind: 'read', rememberable: true, why: 'undoes the open transaction' }],
  ['TRANS_STMT_SAVEPOINT', { action: 'savepoint', kind: 'read', why: 'marks a point in the transaction' }],
  ['TRANS_STMT_RELEASE', { action: 'release_savepoint', kind: 'read', why: 'forgets a point in the transaction' }],
  ['TRANS_STMT_ROLLBACK_TO', { action: 'rollback_to_savepoint', kind: 'read', why: 'undoes part of the open transaction' }],
  [
    'TRANS_STMT_PREPARE',
    { action: 'prepare_transaction', kind: 'disrupt', why: 'parks a transaction: its locks are held until somebody ends it' },
  ],
  [
    'TRANS_STMT_COMMIT_PREPARED',
    {
      action: 'commit_prepared',
      kind: 'disrupt',
      why: 'commits a parked transaction that the text does not show',
      runsInTransaction: false,
    },
  ],
  [
    'TRANS_STMT_ROLLBACK_PREPARED',
    { action: 'rollback_prepared', kind: 'destroy', why: 'throws a parked transaction away', runsInTransaction: false },
  ],
])

export const describeTransaction: Handler = (body, context) => {
  const kind = text(body, 'kind')
  const draft = transactionWords.get(kind)
  // what a rolled-back transaction created is gone, and its names mean what they meant before
  if (kind !== 'TRANS_STMT_BEGIN' && kind !== 'TRANS_STMT_START' && kind !== 'TRANS_STMT_SAVEPOINT') forget(context)
  if (!draft)
    return [
      makeOperation(
        {
          action: 'transaction',
          kind: 'unknown',
          why: 'controls a transaction in a way this gate has not heard of',
          transactionControl: true,
        },
        context,
      ),
    ]
  const isReadWrite = bodies(body, 'options', 'DefElem').some(
    (option) => text(option, 'defname') === 'transaction_read_only' && !isOn(option),
  )
  const name = text(body, 'savepoint_name') || text(body, 'gid')
  const resources =
    name === '' ? [] : [{ type: draft.kind === 'read' ? 'savepoint' : 'transaction', name: quoteIdentifier(name) }]
  const rememberable = draft.rememberable === true && !isReadWrite
  return [
    makeOperation({ ...draft, resources, rememberable, transactionControl: true, extra: { readWrite: isReadWrite } }, context),
  ]
}

function forget(context: Context): void {
  context.batch.temporary.clear()
  context.batch.routines.clear()
}

export const describeSet: Handler = (body, context) => {
  const kind = text(body, 'kind')
  const name = text(body, 'name')
  if (kind === 'VAR_SET_MULTI') return describeSetTransaction(body, name, context)
  const isReset = kind === 'VAR_RESET' || kind === 'VAR_RESET_ALL' || kind === 'VAR_SET_DEFAULT'
  const shown = kind === 'VAR_RESET_ALL' ? 'all' : name
  const values = isReset ? null : list(body, 'args').map(optionText)
  const impact = judgeSetting(shown, values)
  if (/^(search_path|role|session_authorization|all)$/i.test(shown)) forget(context)
  // back to what the session began with widens nothing
  const ownSettings = !isReset && isOwnSetting(shown) ? [shown.toLowerCase()] : []
  return [setOperation(isReset ? 'reset' : 'set', shown, impact, context, ownSettings)]
}

function setOperation(
  action: string,
  name: string,
  impact: SettingImpact,
  context: Context,
  ownSettings: readonly string[] = [],
): ReturnType<typeof makeOperation> {
  return makeOperation(
    {
      action,
      kind: impact.kind,
      reversible: impact.reversible,
      why: `sets ${shorten(name)}: ${impact.why}`,
      resources: [{ type: 'setting', name: name.toLowerCase() }],
      changesSession: true,
      ownSettings,
    },
    context,
  )
}

/** SET TRANSACTION …, SET SESSION CHARACTERISTICS AS TRANSACTION …, SET TRANSACTION SNAPSHOT …. */
function describeSetTransaction(body: Tree, name: string, context: Context): ReturnType<Handler> {
  const options = bodies(body, 'args', 'DefElem')
  const isDefault = name.toUpperCase().startsWith('SESSION')
  const worst = options
    .map((option) =>
      judgeSetting(text(option, 'defname').replace(/^transaction_/, isDefault ? 'default_transaction_' : 'transaction_'), [
        optionText(option['arg']) === '' ? 'off' : optionText(option['arg']),
      ]),
    )
    .find((impact) => impact.kind !== 'read')
  return [
    setOperation(
      'set_transaction',
      name,
      worst ?? { kind: 'read', reversible: true, why: 'chooses how the transaction sees the data' },
      context,
    ),
  ]
}

export const describeShow: Handler = (body, context) => {
  const name = text(body, 'name').toLowerCase()
  const isSecret = isSecretSettingName(name)
  return [
    makeOperation(
      {
        action: 'show',
        kind: isSecret ? 'escalate' : 'read',
        why: isSecret ? 'shows a setting that may hold a credential' : 'shows a setting',
        resources: [{ type: 'setting', name }],
        rememberable: name !== 'all',
        // a role that may see every setting sees credentials among them: resolve asks
        ...(name === 'all' ? { extra: { provisional: true, listsSettings: true } } : {}),
      },
      context,
    ),
  ]
}

export const describeDiscard: Handler = (body, context) => {
  const target = text(body, 'target')
    .replace(/^DISCARD_/, '')
    .toLowerCase()
  if (target === 'all' || target === 'temp') forget(context)
  context.batch.prepared.clear()
  const drops = target === 'all' || target === 'temp'
  return [
    makeOperation(
      {
        action: `discard_${target}`,
        kind: drops ? 'write' : 'read',
        why: drops ? 'drops what only this session has' : 'forgets what this session has cached',
        changesSession: true,
      },
      context,
    ),
  ]
}

export const describePrepare: Handler = (body, context) => {
  const query = named(body['query'])
  const name = text(body, 'name')
  const inside = query ? context.describeNode(query, { ...context, isOutermost: false }) : []
  if (context.isOutermost) context.batch.prepared.set(name, inside)
  // a value of a domain is checked when it is given
  const { types } = collect({ argtypes: body['argtypes'] ?? null }, context.ctes)
  const own = makeOperation(
    {
      action: 'prepare',
      kind: 'read',
      why: 'prepares a statement for later, judged here as if it ran',
      resources: [{ type: 'prepared_statement', name: quoteIdentifier(name) }],
      types: [...types],
      changesSession: true,
    },
    context,
  )
  return [own, ...inside.map((operation) => withIndex(operation, context))]
}

export const describeExecute: Handler = (body, context) => {
  const name = text(body, 'name')
  const known = context.batch.prepared.get(name)
  const resources = [{ type: 'prepared_statement', name: quoteIdentifier(name) }]
  const contents = collect(body, context.ctes)
  if (!known)
    return conclude(
      { action: 'execute', kind: 'unknown', why: 'runs a statement prepared earlier, which the text does not show', resources },
      contents,
      context,
    )
  return [
    ...conclude(
      { action: 'execute', kind: 'read', why: 'runs a statement prepared in the same text', resources },
      contents,
      context,
    ),
    ...known.map((operation) => withIndex(operation, context)),
  ]
}

export const describeDeallocate: Handler = (body, context) => {
  context.batch.prepared.delete(text(body, 'name'))
  return [
    makeOperation({ action: 'deallocate', kind: 'read', why: 'forgets a prepared statement', changesSession: true }, context),
  ]
}

export const describeDeclareCursor: Handler = (body, context) => {
  const query = named(body['query'])
  const own = makeOperation(
    {
      action: 'declare_cursor',
      kind: 'read',
      why: 'opens a cursor over the query',
      resources: [{ type: 'cursor', name: quoteIdentifier(text(body, 'portalname')) }],
    },
    context,
  )
  return [
    own,
    ...(query
      ? context.describeNode(query, { ...context, isOutermost: false }).map((operation) => withIndex(operation, context))
      : []),
  ]
}

export const describeFetch: Handler = (body, context) => [
  makeOperation(
    {
      action: body['ismove'] === true ? 'move' : 'fetch',
      kind: 'read',
      why: 'reads on in a cursor whose query was judged when it was opened',
      resources: [{ type: 'cursor', name: quoteIdentifier(text(body, 'portalname')) }],
    },
    context,
  ),
]

/** EXPLAIN runs its statement only under ANALYZE. When an option can be read both ways, it runs. */
export const describeExplain: Handler = (body, context) => {
  const query = named(body['query'])
  if (!query) return [makeOperation({ action: 'explain', kind: 'unknown', why: 'explains nothing that can be read' }, context)]
  const runs = bodies(body, 'options', 'DefElem').some((option) => text(option, 'defname') === 'analyze' && isOn(option))
  if (runs && context.mode !== 'plan') {
    const own = makeOperation({ action: 'explain_analyze', kind: 'read', why: 'runs the statement and shows how' }, context)
    return [
      own,
      ...context.describeNode(query, { ...context, isOutermost: false }).map((operation) => withIndex(operation, context)),
    ]
  }
  if (query.type === 'ExecuteStmt')
    return [makeOperation({ action: 'explain', kind: 'read', why: 'plans a prepared statement without running it' }, context)]
  const inside = context.describeNode(query, { ...context, isOutermost: false, mode: 'plan' })
  const all = (key: string): string[] => [...new Set(inside.flatMap((operation) => stringsIn(operation.context[key])))]
  const functions = all('functions')
  // planning runs functions that call themselves immutable, and such a label can lie
  const isUnknown = functions.length > 0
  const why = isUnknown
    ? `plans the statement; planning may run ${shorten(functions.join(', '))}`
    : 'plans the statement without running it'
  return [
    makeOperation(
      {
        action: 'explain',
        kind: isUnknown ? 'unknown' : 'read',
        why,
        functions,
        relations: all('relations'),
        builtins: all('builtins'),
        extensionFunctions: all('extensionFunctions'),
        operators: all('operators'),
        fields: all('fields'),
        types: all('types'),
      },
      context,
    ),
  ]
}

function stringsIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item: unknown) => typeof item === 'string') : []
}

export const describeNotify: Handler = (body, context) => [
  makeOperation(
    {
      action: 'notify',
      kind: 'write',
      why: 'sends a notification',
      resources: [{ type: 'channel', name: quoteIdentifier(text(body, 'conditionname')) }],
    },
    context,
  ),
]
export const describeListen: Handler = (body, context) => [
  makeOperation(
    {
      action: 'listen',
      kind: 'read',
      why: 'starts or stops to receive notifications',
      resources: [{ type: 'channel', name: quoteIdentifier(text(body, 'conditionname')) }],
      changesSession: true,
    },
    context,
  ),
]
export const describeConstraintsSet: Handler = (_body, context) => [
  makeOperation(
    {
      action: 'set_constraints',
      kind: 'read',
      why: 'chooses when constraints are checked in this transaction',
      changesSession: true,
    },
    context,
  ),
]
export const describeClosePortal: Handler = (_body, context) => [
  makeOperation({ action: 'close', kind: 'read', why: 'closes a cursor' }, context),
]
export const describeReturn: Handler = (body, context) =>
  conclude(
    { action: 'select', kind: 'read', why: 'computes a result', rememberable: true },
    collect(child(body, 'returnval') ?? {}, context.ctes),
    context,
  )
