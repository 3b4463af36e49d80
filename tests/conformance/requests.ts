import { describe, expect, it } from 'vitest'
import type { AccessRequest, Approval, Grant, Requests } from '@sallyport/core'

/** What every store of access requests and grants must do. `open` gives an empty store; `reopen` the same one after a crash of the process. */
export function testRequests(name: string, open: () => Promise<{ requests: Requests; reopen: () => Promise<Requests> }>): void {
  describe(`${name} keeps access requests and grants`, () => {
    it('finds what it was given, also after a restart', async () => {
      const { requests, reopen } = await open()
      await requests.open(request('r1'))
      const again = await reopen()
      expect(await again.get('r1')).toEqual(request('r1'))
      expect(await again.findByDigest('coder', 'd')).toEqual(request('r1'))
      expect(await again.findByDigest('other', 'd')).toBeNull()
      expect(await again.countPending('coder', 1)).toBe(1)
      // One that ran out waits for nobody, whether or not it was ended.
      expect(await again.countPending('coder', 2)).toBe(0)
      expect(await requests.get('nothing')).toBeNull()
    })

    it('takes one verdict a person, in any spelling, and none once it ended', async () => {
      const { requests } = await open()
      await requests.open(request('r1'))
      expect(await requests.addApproval('r1', approval('bob'))).toBe(true)
      expect(await requests.addApproval('r1', approval('BOB '))).toBe(false)
      expect(await requests.addApproval('r1', approval('eve'))).toBe(true)
      expect((await requests.get('r1'))?.approvals.map(({ person }) => person)).toEqual(['bob', 'eve'])
      expect(await requests.end('r1', ['pending'], 'rejected', 'bob')).toBe(true)
      expect(await requests.addApproval('r1', approval('mallory'))).toBe(false)
      expect(await requests.end('r1', ['pending'], 'cancelled', 'bob')).toBe(false)
      expect(await requests.get('r1')).toMatchObject({ state: 'rejected', endedBy: 'bob' })
    })

    it('approves once, and consumes the grant exactly once however many try', async () => {
      const { requests, reopen } = await open()
      await requests.open(request('r1'))
      expect(await requests.approve('r1', 5, grant('g1', 'r1'))).toBe(true)
      expect(await requests.approve('r1', 5, grant('g2', 'r1'))).toBe(false)
      expect(await requests.findGrant('coder', 'd')).toEqual(grant('g1', 'r1'))
      const tries = await Promise.all(Array.from({ length: 20 }, (_, index) => requests.consume('g1', `intent-${index}`)))
      expect(tries.filter(Boolean)).toHaveLength(1)
      const again = await reopen()
      expect(await again.consume('g1', 'late')).toBe(false)
      expect(await again.findGrant('coder', 'd')).toMatchObject({
        state: 'consumed',
        intent: `intent-${tries.indexOf(true)}`,
        targets: ['t'],
        approvers: ['bob'],
      })
    })

    it('gives back what was consumed in vain, and settles what was not', async () => {
      const { requests } = await open()
      await requests.open(request('r1'))
      await requests.approve('r1', 5, grant('g1', 'r1'))
      await requests.consume('g1', 'intent')
      expect((await requests.consumedGrants()).map(({ id }) => id)).toEqual(['g1'])
      await requests.giveBack('g1')
      expect(await requests.findGrant('coder', 'd')).toMatchObject({ state: 'open', intent: null })
      await requests.consume('g1', 'second')
      await requests.settle('g1')
      expect(await requests.consumedGrants()).toEqual([])
      expect(await requests.findGrant('coder', 'd')).toMatchObject({ state: 'consumed', settled: true })
      expect(await requests.consume('g1', 'third')).toBe(false)
    })

    it('voids the open grant of what is cancelled, and cannot cancel what was used', async () => {
      const { requests } = await open()
      await requests.open(request('r1'))
      await requests.approve('r1', 5, grant('g1', 'r1'))
      expect(await requests.end('r1', ['pending', 'approved'], 'cancelled', 'eve')).toBe(true)
      expect(await requests.consume('g1', 'intent')).toBe(false)
      await requests.open(request('r2', 'd2'))
      await requests.approve('r2', 5, { ...grant('g2', 'r2'), digest: 'd2' })
      await requests.consume('g2', 'intent')
      expect(await requests.end('r2', ['pending', 'approved'], 'cancelled', 'eve')).toBe(false)
      await requests.voidGrant('g2')
      expect(await requests.findGrant('coder', 'd2')).toMatchObject({ state: 'consumed' })
    })

    it('wakes who waits for a verdict, and nobody else', async () => {
      const { requests } = await open()
      await requests.open(request('r1'))
      await requests.open(request('r2', 'd2'))
      const signal = new AbortController()
      const one = requests.waitForVerdict('r1', 60_000, signal.signal)
      const two = requests.waitForVerdict('r2', 60_000, signal.signal)
      await requests.approve('r1', 5, grant('g1', 'r1'))
      expect((await one)?.state).toBe('approved')
      signal.abort()
      expect((await two)?.state).toBe('pending')
      expect((await requests.waitForVerdict('r2', 1, new AbortController().signal))?.state).toBe('pending')
      expect((await requests.waitForVerdict('r1', 60_000, new AbortController().signal))?.state).toBe('approved')
    })
  })
}

export function request(id: string, digest = 'd'): AccessRequest {
  return {
    id,
    nonce: 'n',
    session: 's',
    question: {
      digest,
      subject: { agent: 'coder', owner: 'ada' },
      protocol: 'postgres',
      upstream: 'orders-db',
      environment: 'production',
      text: 'DROP TABLE orders -- "\u202e',
      bindValues: ['x', null],
      operations: [
        {
          action: 'postgres.drop_table',
          kind: 'destroy',
          reversible: false,
          why: 'w',
          resources: [{ type: 'table', name: 'orders', identity: '1', schemaHash: null }],
          rows: 3,
          bytes: null,
          tables: ['orders'],
          dependants: [],
        },
      ],
      rowsMax: 13,
      copy: 'tables',
      approvalsNeeded: 1,
      delayMs: 0,
      guards: ['g'],
      policyHash: 'p',
    },
    state: 'pending',
    approvals: [],
    createdAtMs: 1,
    expiresAtMs: 2,
    notBeforeMs: null,
    endedBy: null,
  }
}

export function approval(person: string): Approval {
  return { person, verdict: 'approve', atMs: 1, challenge: 'c', credentialId: person, evidence: { a: [1] }, reason: '' }
}

export function grant(id: string, requestId: string): Grant {
  return {
    id,
    request: requestId,
    agent: 'coder',
    digest: 'd',
    upstream: 'orders-db',
    policyHash: 'p',
    targets: ['t'],
    rowsMax: 13,
    approvers: ['bob'],
    notBeforeMs: 5,
    expiresAtMs: 10,
    state: 'open',
    intent: null,
    plan: null,
    settled: false,
  }
}
