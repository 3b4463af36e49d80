import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Approval, AskedOperation, Question } from './access-request.ts'
import { codeKinds, findCodeFault, withoutWeakCodes, type CodeRule } from './code-approval.ts'
import { impactKinds, type ImpactKind } from './impact.ts'

const everything: CodeRule = {
  approves: codeKinds,
  environments: ['production', 'staging', 'development'],
  beside: codeKinds,
}

function operationOf(kind: ImpactKind, reversible = true): AskedOperation {
  return { action: 'x.y', kind, reversible, why: '', resources: [], rows: null, bytes: null, tables: [], dependants: [] }
}

function questionOf(operations: readonly AskedOperation[], changes: Partial<Question> = {}): Question {
  return {
    digest: 'd',
    subject: { agent: 'coder', owner: 'ada' },
    protocol: 'postgres',
    upstream: 'orders-db',
    environment: 'production',
    text: 't',
    bindValues: [],
    operations,
    rowsMax: null,
    copy: 'none',
    approvalsNeeded: 1,
    delayMs: 0,
    guards: [],
    policyHash: 'p',
    ...changes,
  }
}

function yes(person: string, method?: 'totp'): Approval {
  const plain = { person, verdict: 'approve', atMs: 0, challenge: '', credentialId: '', evidence: null, reason: '' } as const
  return method === undefined ? plain : { ...plain, method }
}

test('whatever a rule says: never what destroys, opens or cannot be read, nor what is not reversible, nor a plan, nor more scope', () => {
  const kind = fc.constantFrom(...impactKinds)
  const operations = fc.array(fc.record({ kind, reversible: fc.boolean() }), { maxLength: 4 })
  const shape = fc.constantFrom<Partial<Question>>({}, { protocol: 'sallyport' }, { steps: [] })
  fc.assert(
    fc.property(operations, shape, (list, changes) => {
      const question = questionOf(
        list.map((one) => operationOf(one.kind, one.reversible)),
        changes,
      )
      const isMild = list.length > 0 && list.every((one) => ['read', 'write', 'disrupt'].includes(one.kind) && one.reversible)
      expect(findCodeFault(everything, question) === null).toBe(isMild && Object.keys(changes).length === 0)
    }),
  )
})

test('without a rule nothing; and no more than the rule names, by impact and by environment', () => {
  const write = questionOf([operationOf('write')])
  expect(findCodeFault(null, write)).toContain('does not say totp')
  const rule: CodeRule = { approves: ['write'], environments: ['staging'], beside: [] }
  expect(findCodeFault(rule, write)).toBe('In production a yes takes a passkey.')
  const staging = { environment: 'staging' } as const
  expect(findCodeFault(rule, { ...write, ...staging })).toBeNull()
  expect(findCodeFault(rule, questionOf([operationOf('write'), operationOf('disrupt')], staging))).toContain('disrupt')
})

test('where two are asked a code stands for one of them only where the rule says so, and never for both', () => {
  const two = questionOf([operationOf('disrupt')], { approvalsNeeded: 2 })
  const alone: CodeRule = { ...everything, beside: ['write'] }
  expect(findCodeFault(alone, two)).toContain('each of them for a passkey')
  const names = (rule: CodeRule, approvals: readonly Approval[]): readonly string[] =>
    withoutWeakCodes(rule, two, approvals).map(({ person }) => person)
  expect(names(alone, [yes('bob', 'totp'), yes('grace')])).toEqual(['grace'])
  expect(names(everything, [yes('bob', 'totp'), yes('grace', 'totp')])).toEqual(['bob'])
  expect(names(everything, [yes('bob', 'totp'), yes('grace', 'totp'), yes('linus')])).toEqual(['bob', 'linus'])
})
