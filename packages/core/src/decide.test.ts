import { describe, expect, it } from 'vitest'
import { countApprovers } from './approver.ts'
import { decide, type DecisionFacts } from './decide.ts'
import type { CopyPlan, ResolvedOperation } from './operation.ts'
import type { ImpactKind } from './impact.ts'
import { createPolicyEngine } from './policy/engine.ts'
import { guardText, shippedGuards } from './policy/guards.ts'
import { isReadOnly, parseScope, scopeText, type Scope } from './policy/scope.ts'

function scope(text: string): Scope {
  const parsed = parseScope(text)
  if (typeof parsed === 'string') throw new Error(parsed)
  return parsed
}

const policy = createPolicyEngine([
  { agent: 'wide', scopes: [scope('any orders-db')] },
  { agent: 'reader', scopes: [scope('read orders-db')] },
  { agent: 'dropper', scopes: [scope('postgres.drop_* orders-db')] },
])
const subject = { agent: 'wide', owner: 'ada' }
const facts: DecisionFacts = {
  upstream: 'orders-db',
  environment: 'production',
  mode: 'team',
  approvers: [],
  delayed: false,
  copyProven: false,
  rowsSpent: 0,
  rowsWithoutPrompt: 1000,
  drilled: true,
  coolOffMs: 900_000,
}

function operation(
  kind: ImpactKind,
  copy: CopyPlan = { kind: 'none' },
  reversible = kind !== 'destroy' && kind !== 'unknown',
  rows?: number,
): ResolvedOperation {
  return {
    action: `postgres.${kind === 'destroy' ? 'drop_table' : 'thing'}`,
    resources: [],
    impact: { kind, reversible, ...(rows === undefined ? {} : { scope: { rows, exact: true } }) },
    why: 'a test',
    context: {},
    copy,
  }
}
const tables: CopyPlan = { kind: 'tables', tables: ['public.orders'], bytesEstimate: 1 }

describe('decide', () => {
  it('runs reads and reversible writes in scope', () => {
    expect(decide([operation('read'), operation('write')], subject, facts, policy)).toEqual({
      outcome: 'permit',
      obligations: [],
      promptless: false,
    })
  })

  it('denies what is out of scope, and no approval changes that', () => {
    const denied = decide(
      [operation('write')],
      { agent: 'reader', owner: 'ada' },
      { ...facts, approvers: ['bob', 'eve'] },
      policy,
    )
    expect(denied).toMatchObject({ outcome: 'deny', code: 'not_in_scope', requestable: null })
  })

  it('denies an agent nobody configured', () => {
    expect(decide([operation('read')], { agent: 'stranger', owner: 'ada' }, facts, policy)).toMatchObject({
      code: 'not_in_scope',
    })
  })

  it('asks one person for a drop with a possible copy, then demands the copy', () => {
    const drop = [operation('destroy', tables)]
    expect(decide(drop, subject, facts, policy)).toMatchObject({
      code: 'approval_required',
      requestable: { approvalsNeeded: 1, delayMs: 0 },
    })
    expect(decide(drop, subject, { ...facts, approvers: ['bob'] }, policy)).toMatchObject({
      outcome: 'permit',
      obligations: ['snapshot'],
    })
    expect(decide(drop, subject, { ...facts, approvers: ['bob'], copyProven: true }, policy)).toMatchObject({ outcome: 'permit' })
  })

  it('does not count the owner in team mode, in any spelling, nor one person twice', () => {
    for (const approvers of [['ada'], ['ADA'], [' ada'], ['ａｄａ']]) {
      expect(decide([operation('destroy', tables)], subject, { ...facts, approvers }, policy)).toMatchObject({
        code: 'approval_required',
      })
    }
    expect(countApprovers(['bob', 'Bob', 'BOB '], 'ada', 'team')).toEqual({ counted: 1, ownerAlone: false })
  })

  it('lets the owner approve alone in solo mode only after the cool-off', () => {
    const solo = { ...facts, mode: 'solo', approvers: ['ada'], copyProven: true } as const
    expect(decide([operation('destroy', tables)], subject, solo, policy)).toMatchObject({
      code: 'approval_required',
      requestable: { approvalsNeeded: 1, delayMs: 900_000 },
    })
    expect(decide([operation('destroy', tables)], subject, { ...solo, delayed: true }, policy)).toMatchObject({
      outcome: 'permit',
    })
  })

  it('asks two people for what a copy does not undo, and the copy all the same', () => {
    const volume = [{ ...operation('destroy', tables), context: { irreversibleDespiteCopy: true } }]
    expect(decide(volume, subject, { ...facts, approvers: ['bob'], copyProven: true }, policy)).toMatchObject({
      code: 'approval_required',
      requestable: { approvalsNeeded: 2 },
    })
    expect(decide(volume, subject, { ...facts, approvers: ['bob', 'eve'] }, policy)).toMatchObject({
      outcome: 'permit',
      obligations: ['snapshot'],
    })
  })

  it('refuses what destroys and cannot be copied, whoever approved', () => {
    const impossible = operation('destroy', { kind: 'impossible', reason: 'a database', remedy: 'drop its tables one by one' })
    const denied = decide([impossible], subject, { ...facts, approvers: ['bob', 'eve'], delayed: true, copyProven: true }, policy)
    expect(denied).toMatchObject({ code: 'no_copy_possible', requestable: null, next: 'drop its tables one by one' })
  })

  it('never treats unknown more mildly than destroy', () => {
    expect(decide([operation('unknown')], subject, { ...facts, approvers: ['bob'] }, policy)).toMatchObject({
      requestable: { approvalsNeeded: 2 },
    })
    expect(decide([operation('unknown')], subject, { ...facts, approvers: ['bob', 'eve'] }, policy)).toMatchObject({
      outcome: 'permit',
    })
  })

  it('runs few rows without a prompt, and asks once the window is spent or rows were not counted', () => {
    const few = operation('destroy', { kind: 'rows', rowsEstimate: 10 }, false, 10)
    expect(decide([few], subject, facts, policy)).toEqual({ outcome: 'permit', obligations: ['snapshot'], promptless: true })
    expect(decide([few], subject, { ...facts, rowsSpent: 991 }, policy)).toMatchObject({ code: 'approval_required' })
    expect(decide([few, operation('destroy', tables)], subject, facts, policy)).toMatchObject({ code: 'approval_required' })
    expect(
      decide(
        [operation('destroy', { kind: 'rows', rowsEstimate: 600 }), operation('destroy', { kind: 'rows', rowsEstimate: 600 })],
        subject,
        facts,
        policy,
      ),
    ).toMatchObject({ code: 'approval_required' })
  })

  it('asks a person for escalate and disrupt, two for an irreversible write', () => {
    expect(decide([operation('escalate')], subject, facts, policy)).toMatchObject({
      requestable: { approvalsNeeded: 1, delayMs: 0 },
    })
    expect(decide([operation('disrupt')], subject, facts, policy)).toMatchObject({ requestable: { approvalsNeeded: 1 } })
    expect(decide([operation('write', { kind: 'none' }, false)], subject, facts, policy)).toMatchObject({
      requestable: { approvalsNeeded: 2 },
    })
  })

  it('lets the worst operation decide', () => {
    expect(decide([operation('read'), operation('destroy', tables)], subject, facts, policy)).toMatchObject({
      code: 'approval_required',
    })
    expect(decide([], subject, facts, policy)).toMatchObject({ code: 'unreadable' })
  })

  it('keeps guards for production; elsewhere scope decides', () => {
    expect(decide([operation('destroy', tables)], subject, { ...facts, environment: 'staging' }, policy)).toMatchObject({
      outcome: 'permit',
      obligations: [],
    })
  })

  it('permits by action name', () => {
    expect(decide([operation('destroy', tables)], { agent: 'dropper', owner: 'ada' }, facts, policy)).toMatchObject({
      code: 'approval_required',
    })
    expect(decide([operation('read')], { agent: 'dropper', owner: 'ada' }, facts, policy)).toMatchObject({ code: 'not_in_scope' })
  })
})

describe('policy', () => {
  it('refuses a permit, a missing @id or @why, an unknown obligation, an unknown fact among guards', () => {
    const faults: [string, RegExp][] = [
      ['@id("x") @why("y") permit (principal, action, resource);', /is a permit/],
      ['@why("y") forbid (principal, action, resource);', /without @id/],
      ['@id("x") forbid (principal, action, resource);', /no @why/],
      ['@id("x") @why("y") @obligation("magic") forbid (principal, action, resource);', /magic/],
      ['@id("x") @why("y") forbid (principal, action, resource) when { context.rowz > 1 };', /rowz/],
      ['@id("destroy-needs-person") @why("y") forbid (principal, action, resource) when { false };', /same @id/],
      ['forbid (', /policy:/],
    ]
    for (const [text, message] of faults) expect(() => createPolicyEngine([], text)).toThrow(message)
  })

  it('has shipped guards that mean what is written beside them, and fit the schema', () => {
    // Handed in as if a configuration held them, they are parsed and validated; under other names, since the shipped ones are there too.
    const text = shippedGuards.map((guard) => guardText({ ...guard, id: `${guard.id}-again` })).join('\n')
    const read = createPolicyEngine([], text).guards
    expect(read.filter(({ id }) => id.endsWith('-again'))).toEqual(
      shippedGuards.map(({ id, why, obligation }) => ({ id: `${id}-again`, why, obligation })),
    )
  })

  it('changes its hash with the scope and the guards', () => {
    const one = createPolicyEngine([{ agent: 'a', scopes: [scope('read x')] }])
    const two = createPolicyEngine([{ agent: 'a', scopes: [scope('write x')] }])
    expect(one.hash).not.toBe(two.hash)
  })

  it('parses scope in words and says what is wrong', () => {
    for (const text of ['any staging', 'read staging', 'write staging', 'destroy staging', 'railway.customDomain* cloud'])
      expect(scopeText(scope(text))).toBe(text)
    expect(parseScope('write staging')).toEqual({ kinds: ['read', 'write'], action: null, upstream: 'staging' })
    for (const text of ['', 'read', 'read a b', 'erase x', 'read *', 'read x"', 'a"b.c x'])
      expect(typeof parseScope(text)).toBe('string')
    expect(isReadOnly([scope('read a'), scope('write b')], 'a')).toBe(true)
    expect(isReadOnly([scope('read a'), scope('postgres.insert a')], 'a')).toBe(false)
  })
})

describe('a quorum of a group', () => {
  const quorum = { group: 'dba', members: ['Bob', 'eve', 'ada'], count: 2 }
  const drop = operation('destroy', tables, false)
  const asked = { ...facts, copyProven: true, quorum }

  it('asks for as many of the group, and says which', () => {
    expect(decide([drop], subject, asked, policy)).toMatchObject({
      outcome: 'deny',
      requestable: { approvalsNeeded: 2, approversFrom: 'dba' },
    })
    // What asks two people anyway still does, where the group's number is smaller.
    const one = { ...asked, quorum: { ...quorum, count: 1 } }
    expect(decide([drop], subject, one, policy)).toMatchObject({ requestable: { approvalsNeeded: 1, approversFrom: 'dba' } })
  })

  it.each([
    ['nobody', [], 'deny'],
    ['one of it', ['bob'], 'deny'],
    ['two who are not of it', ['mallory', 'trudy'], 'deny'],
    ['one of it and one who is not', ['bob', 'mallory'], 'deny'],
    ['one of it twice, in two spellings', ['bob', 'BOB '], 'deny'],
    ['one of it and the owner, who is of it too', ['bob', 'ada'], 'deny'],
    ['two of it', ['bob', 'Eve'], 'permit'],
  ] as const)('with approvals of %s: %#', (_name, approvers, outcome) => {
    expect(decide([drop], subject, { ...asked, approvers }, policy).outcome).toBe(outcome)
  })

  it('is what broken glass stands in for, and no guard with it', () => {
    const broken = { ...asked, glassBroken: true, approvers: ['trudy'] }
    expect(decide([drop], subject, broken, policy).outcome).toBe('permit')
    expect(decide([drop], subject, { ...broken, approvers: ['ada'] }, policy).outcome).toBe('deny')
    // What two people, or one and a delay, are asked for is still one and a delay.
    const forGood = { ...drop, context: { irreversibleDespiteCopy: true } }
    expect(decide([forGood], subject, broken, policy).outcome).toBe('deny')
    expect(decide([forGood], subject, { ...broken, delayed: true }, policy).outcome).toBe('permit')
    expect(decide([drop], subject, { ...broken, copyProven: false }, policy)).toMatchObject({ obligations: ['snapshot'] })
  })
})
