import { makeOperation, shorten, type Handler } from './statement-context.ts'
import { bodies, child, list, optionText, text, type Tree } from './parser-tree.ts'
import { quoteIdentifier } from './parser-quote.ts'
import { roleName } from './statement-drop.ts'
import { judgeLastingSetting, type SettingImpact } from './statement-settings.ts'

function lasting(setting: Tree | null): SettingImpact & { readonly name: string } {
  const kind = text(setting, 'kind')
  const name = kind === 'VAR_RESET_ALL' ? 'all' : text(setting, 'name')
  const isReset = kind === 'VAR_RESET' || kind === 'VAR_RESET_ALL' || kind === 'VAR_SET_DEFAULT'
  // putting everything back takes away limits and switches that somebody set on purpose
  if (name === 'all')
    return { name, kind: 'escalate', reversible: true, why: 'takes away every lasting setting, protections included' }
  return { name, ...judgeLastingSetting(name, isReset ? null : list(setting, 'args').map(optionText)) }
}

export const describeAlterSystem: Handler = (body, context) => {
  const { name, kind, reversible, why } = lasting(child(body, 'setstmt'))
  const isWal =
    /^(archive|wal_|max_slot|fsync|full_page|synchronous|restore_|recovery_|log_|ssl|password|listen|hba|shared_pre|max_wal|summarize)/.test(
      name,
    )
  return [
    makeOperation(
      {
        action: 'alter_system',
        kind: isWal ? 'escalate' : kind,
        reversible,
        why:
          isWal && kind !== 'escalate'
            ? `sets ${shorten(name)}: a protection of the whole server`
            : `sets ${shorten(name)}: ${why}`,
        resources: [{ type: 'setting', name }],
        runsInTransaction: false,
      },
      context,
    ),
  ]
}

export const describeAlterDatabaseSet: Handler = (body, context) => {
  const { name, kind, reversible, why } = lasting(child(body, 'setstmt'))
  const resources = [
    { type: 'database', name: quoteIdentifier(text(body, 'dbname')) },
    { type: 'setting', name },
  ]
  return [
    makeOperation({ action: 'alter_database_set', kind, reversible, why: `sets ${shorten(name)}: ${why}`, resources }, context),
  ]
}

export const describeAlterRoleSet: Handler = (body, context) => {
  const { name, reversible, why } = lasting(child(body, 'setstmt'))
  const role = child(body, 'role') ? roleName(child(body, 'role')) : 'all'
  return [
    makeOperation(
      {
        action: 'alter_role_set',
        kind: 'escalate',
        reversible,
        why: `sets ${shorten(name)} for ${role}: ${why}`,
        resources: [
          { type: 'role', name: role },
          { type: 'setting', name },
        ],
      },
      context,
    ),
  ]
}

export const describeAlterDatabase: Handler = (body, context) => [
  makeOperation(
    {
      action: 'alter_database',
      kind: 'disrupt',
      why: 'changes who may connect to a database, or where it lies',
      resources: [{ type: 'database', name: quoteIdentifier(text(body, 'dbname')) }],
      runsInTransaction: !bodies(body, 'options', 'DefElem').some((option) => text(option, 'defname') === 'tablespace'),
    },
    context,
  ),
]

export const describeCreateDatabase: Handler = (body, context) => [
  makeOperation(
    {
      action: 'create_database',
      kind: 'write',
      why: 'creates a database',
      resources: [{ type: 'database', name: quoteIdentifier(text(body, 'dbname')) }],
      runsInTransaction: false,
    },
    context,
  ),
]

export const describeAlterSubscription: Handler = (body, context) => {
  const isConnection = text(body, 'kind') === 'ALTER_SUBSCRIPTION_CONNECTION'
  // SKIP: a transaction of the publisher is never applied here
  const isSkip = text(body, 'kind') === 'ALTER_SUBSCRIPTION_SKIP'
  return [
    makeOperation(
      {
        action: 'alter_subscription',
        kind: isConnection ? 'escalate' : isSkip ? 'destroy' : 'disrupt',
        why: isConnection
          ? 'makes the server pull data from elsewhere'
          : isSkip
            ? 'skips changes of the publisher, which never arrive here'
            : 'stops, starts or changes replication into this database',
        resources: [{ type: 'subscription', name: quoteIdentifier(text(body, 'subname')) }],
        runsInTransaction: false,
      },
      context,
    ),
  ]
}
