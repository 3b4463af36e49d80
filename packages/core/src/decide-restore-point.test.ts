import { describe, expect, it } from 'vitest'
import { decide, type DecisionFacts } from './decide.ts'
import type { ImpactKind } from './impact.ts'
import type { CopyPlan, ResolvedOperation } from './operation.ts'
import { createPolicyEngine } from './policy/engine.ts'
import { parseScope } from './policy/scope.ts'

const scope = parseScope('any orders-db')
const policy = createPolicyEngine(typeof scope === 'string' ? [] : [{ agent: 'coder', scopes: [scope] }])
const subject = { agent: 'coder', owner: 'ada' }
const facts: DecisionFacts = {
  upstream: 'orders-db',
  environment: 'production',
  mode: 'team',
  approvers: [],
  delayed: false,
  copyProven: false,
  restorePoint: true,
  rowsSpent: 0,
  rowsWithoutPrompt: 1000,
  drilled: true,
  coolOffMs: 900_000,
}
const inWal: CopyPlan = { kind: 'impossible', reason: 'a table copy holds no database', remedy: 'none', inWal: true }

function operation(kind: ImpactKind, copy: CopyPlan): ResolvedOperation {
  const impact = { kind, reversible: false }
  return { action: 'postgres.drop_database', resources: [], impact, why: 'a test', context: {}, copy }
}

describe('a restore point in place of a copy', () => {
  it('asks one person for what no copy covers, and is an obligation then', () => {
    const dropped = [operation('destroy', inWal)]
    expect(decide(dropped, subject, facts, policy)).toMatchObject({ requestable: { approvalsNeeded: 1 }, byRestorePoint: true })
    expect(decide(dropped, subject, { ...facts, approvers: ['ben'] }, policy)).toMatchObject({
      outcome: 'permit',
      obligations: ['snapshot'],
    })
    const made = { ...facts, approvers: ['ben'], copyProven: true }
    expect(decide(dropped, subject, made, policy)).toMatchObject({ outcome: 'permit' })
    // The owner alone is nobody, in team mode.
    expect(decide(dropped, subject, { ...made, approvers: ['ada'] }, policy)).toMatchObject({ outcome: 'deny' })
  })

  it('asks one person for what cannot be read, where it would take two', () => {
    const unread = [operation('unknown', { kind: 'none' })]
    expect(decide(unread, subject, facts, policy)).toMatchObject({ requestable: { approvalsNeeded: 1 }, byRestorePoint: true })
    const without = { ...facts, restorePoint: false }
    expect(decide(unread, subject, without, policy)).toMatchObject({ requestable: { approvalsNeeded: 2 } })
    expect(decide(unread, subject, { ...without, approvers: ['ben'] }, policy)).toMatchObject({ outcome: 'deny' })
  })

  it('is none where no restore of this chain was proven, or what is lost is in no WAL', () => {
    const final = { outcome: 'deny', code: 'no_copy_possible', requestable: null }
    expect(decide([operation('destroy', inWal)], subject, { ...facts, restorePoint: false }, policy)).toMatchObject(final)
    for (const copy of [{ ...inWal, inWal: false }, { kind: 'impossible', reason: 'unlogged', remedy: 'none' } as const])
      expect(decide([operation('destroy', copy)], subject, { ...facts, approvers: ['ben', 'cem'] }, policy)).toMatchObject(final)
    // One that is covered does not carry one that is not.
    const both = [operation('destroy', inWal), operation('destroy', { ...inWal, inWal: false })]
    expect(decide(both, subject, { ...facts, approvers: ['ben', 'cem'] }, policy)).toMatchObject(final)
  })
})
