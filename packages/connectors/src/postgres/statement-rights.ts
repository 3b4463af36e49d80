import type { Resource } from '@sallyport/core'
import { makeOperation, type Handler } from './statement-context.ts'
import { toRelation } from './statement-contents.ts'
import { objectName } from './statement-definition.ts'
import { objectWord, roleName, rolesOf } from './statement-drop.ts'
import { bodies, child, isOn, nodes, text, type Tree } from './parser-tree.ts'
import { quoteIdentifier } from './parser-quote.ts'

/** A handler for what always escalates: rights, credentials, ways in and out. */
export function grave(
  action: string,
  why: string,
  options: { readonly reversible?: boolean; readonly nameOf?: (body: Tree) => Resource } = {},
): Handler {
  return (body, context) => {
    const resources = options.nameOf ? [options.nameOf(body)] : []
    return [makeOperation({ action, kind: 'escalate', reversible: options.reversible ?? true, why, resources }, context)]
  }
}

/** A handler for maintenance and its like: outage without loss. */
export function heavy(
  action: string,
  why: string,
  runsInTransaction: (body: Tree) => boolean,
  nameOf?: (body: Tree) => Resource,
): Handler {
  return (body, context) => {
    const relations = [
      child(body, 'relation'),
      ...bodies(body, 'relations', 'RangeVar'),
      ...bodies(body, 'rels', 'VacuumRelation').map((entry) => child(entry, 'relation')),
    ]
    const shown = relations.flatMap((relation) => (relation ? [toRelation(relation).shown] : []))
    return [
      makeOperation(
        {
          action,
          kind: 'disrupt',
          why,
          resources: nameOf ? [nameOf(body)] : shown.map((name) => ({ type: 'table', name })),
          relations: shown,
          runsInTransaction: runsInTransaction(body),
        },
        context,
      ),
    ]
  }
}

export const describeVacuum: Handler = (body, context) => {
  const isVacuum = body['is_vacuumcmd'] === true
  return heavy(
    isVacuum ? 'vacuum' : 'analyze',
    isVacuum ? 'cleans tables up, with locks and load' : 'gathers statistics, with load',
    () => !isVacuum,
  )(body, context)
}

export const describeReindex: Handler = (body, context) => {
  const isConcurrent = bodies(body, 'params', 'DefElem').some(
    (option) => text(option, 'defname') === 'concurrently' && isOn(option),
  )
  const whole = text(body, 'kind') !== 'REINDEX_OBJECT_INDEX' && text(body, 'kind') !== 'REINDEX_OBJECT_TABLE'
  return heavy('reindex', 'rebuilds indexes under locks', () => !isConcurrent && !whole)(body, context)
}

export const describeGrant: Handler = (body, context) => {
  const verb = body['is_grant'] === true ? 'grant' : 'revoke'
  const roles = rolesOf(body, 'grantees')
  const objects = nodes(body, 'objects').map(({ type, body: object }) =>
    type === 'RangeVar' ? toRelation(object).shown : objectName({ object: { [type]: object } }),
  )
  const word = objectWord(text(body, 'objtype'))
  const resources: Resource[] = [
    ...objects.map((name) => ({ type: word, name })),
    ...roles.map((name) => ({ type: 'role', name })),
  ]
  return [
    makeOperation(
      {
        action: verb,
        kind: 'escalate',
        why: verb === 'grant' ? `gives rights to ${roles.join(', ')}` : `takes rights from ${roles.join(', ')}`,
        resources,
      },
      context,
    ),
  ]
}

export const describeGrantRole: Handler = (body, context) => {
  const verb = body['is_grant'] === true ? 'grant' : 'revoke'
  const roles = [
    ...bodies(body, 'granted_roles', 'AccessPriv').map((entry) => quoteIdentifier(text(entry, 'priv_name'))),
    ...rolesOf(body, 'grantee_roles'),
  ]
  return [
    makeOperation(
      {
        action: `${verb}_role`,
        kind: 'escalate',
        why: 'changes who has the rights of a role',
        resources: roles.map((name) => ({ type: 'role', name })),
      },
      context,
    ),
  ]
}

/** Roles: created, altered, dropped. What a password is never leaves this function. */
export function roleChange(verb: 'create' | 'alter' | 'drop'): Handler {
  return (body, context) => {
    const own = text(body, 'role') || roleName(child(body, 'role'))
    const names = verb === 'drop' ? rolesOf(body, 'roles') : [text(body, 'role') === '' ? own : quoteIdentifier(own)]
    return [
      makeOperation(
        {
          action: `${verb}_role`,
          kind: 'escalate',
          reversible: true,
          why: `${verb}s a login or its rights: ${names.join(', ')}`,
          resources: names.map((name) => ({ type: 'role', name })),
        },
        context,
      ),
    ]
  }
}
