import { describe, expect, it } from 'vitest'
import type { Handle, Narrowing } from '@sallyport/core'
import type { Store } from '../../packages/gateway/src/store/store.ts'
import { approval, grant, request } from './requests.ts'

/** Two that use one store at once: two gates on one database, or two processes on one file. */
export interface StorePair {
  readonly one: Store
  readonly other: Store
}

const triesEach = 10

/** What every store must do for two that use it at once. `open` gives an empty one. */
export function testStore(name: string, open: () => Promise<StorePair>): void {
  describe(`${name}, used by two at once`, () => {
    it('gives a one-use grant to exactly one of many', async () => {
      const { one, other } = await open()
      await one.requests.open(request('r1'))
      expect(await other.requests.approve('r1', 5, grant('g1', 'r1'))).toBe(true)
      const tries = await Promise.all(
        [one, other].flatMap(({ requests }, index) =>
          Array.from({ length: triesEach }, (_, number) => requests.consume('g1', `intent-${index}-${number}`)),
        ),
      )
      expect(tries.filter(Boolean)).toHaveLength(1)
      const seen = await Promise.all([one, other].map(({ requests }) => requests.findGrant('coder', 'd')))
      expect(seen[0]).toMatchObject({ state: 'consumed' })
      expect(seen[1]).toEqual(seen[0])
    })

    it('approves once when two finish it at the same time', async () => {
      const { one, other } = await open()
      await one.requests.open(request('r1'))
      const made = await Promise.all([
        one.requests.approve('r1', 5, grant('g1', 'r1')),
        other.requests.approve('r1', 5, grant('g2', 'r1')),
      ])
      expect(made.filter(Boolean)).toHaveLength(1)
    })

    it('ends or consumes, never both', async () => {
      const { one, other } = await open()
      for (let round = 0; round < 8; round += 1) {
        const [id, digest] = [`r${round}`, `d${round}`]
        await one.requests.open(request(id, digest))
        await one.requests.approve(id, 5, { ...grant(`g${round}`, id), digest })
        const [ended, consumed] = await Promise.all([
          one.requests.end(id, ['pending', 'approved'], 'cancelled', 'eve'),
          other.requests.consume(`g${round}`, 'intent'),
        ])
        expect([ended, consumed].filter(Boolean)).toHaveLength(1)
      }
    })

    it('ends or approves, and leaves no open grant of what ended', async () => {
      const { one, other } = await open()
      for (let round = 0; round < 8; round += 1) {
        const [id, digest] = [`r${round}`, `d${round}`]
        await one.requests.open(request(id, digest))
        await Promise.all([
          one.requests.end(id, ['pending', 'approved'], 'cancelled', 'eve'),
          other.requests.approve(id, 5, { ...grant(`g${round}`, id), digest }),
        ])
        expect((await one.requests.get(id))?.state).toBe('cancelled')
        expect((await one.requests.findGrant('coder', digest))?.state ?? 'void').toBe('void')
      }
    })

    it('takes one verdict of a person who answers twice at once', async () => {
      const { one, other } = await open()
      await one.requests.open(request('r1'))
      const added = await Promise.all([
        one.requests.addApproval('r1', approval('bob')),
        other.requests.addApproval('r1', approval('Bob ')),
      ])
      expect(added.filter(Boolean)).toHaveLength(1)
      expect((await one.requests.get('r1'))?.approvals).toHaveLength(1)
    })

    it('lets neither of two that spend at once overlook the other', async () => {
      const { one, other } = await open()
      const look = async ({ budgets }: Store): Promise<number> => {
        await budgets.spend('ada', 'orders-db', 10)
        return budgets.spent('ada', 'orders-db', 60_000)
      }
      const seen = await Promise.all([look(one), look(other)])
      expect(Math.max(...seen)).toBe(20)
      expect(await other.budgets.spent('ada', 'orders-db', 60_000)).toBe(20)
      expect(await other.budgets.spent('bob', 'orders-db', 60_000)).toBe(0)
    })

    it('counts the uses of a handle and of its parents over both', async () => {
      const { one, other } = await open()
      const nowMs = one.clock.nowMs()
      await one.handles.insert(handle('parent', null, nowMs, { usesMax: 3 }))
      expect(await other.handles.insertChild(handle('child', 'parent', nowMs, { usesMax: 5 }), nowMs)).toBe(true)
      const uses = await Promise.all([one, other, one, other, one].map(async ({ handles }) => handles.use('child')))
      expect(uses.filter(Boolean)).toHaveLength(3)
      expect(await other.handles.use('parent')).toBe(false)
    })

    it('ends a whole tree of handles, and makes no child of one that ended', async () => {
      const { one, other } = await open()
      const nowMs = one.clock.nowMs()
      await one.handles.insert(handle('root', null, nowMs, null))
      await one.handles.insertChild(handle('leaf', 'root', nowMs, null), nowMs)
      const [, made] = await Promise.all([
        one.handles.revoke('root', nowMs),
        other.handles.insertChild(handle('late', 'leaf', nowMs, null), nowMs),
      ])
      const active = await other.handles.active('coder', nowMs, 10)
      expect(active).toEqual([])
      expect((await one.handles.find('late')) === null).toBe(!made)
      expect(await other.handles.insertChild(handle('later', 'root', nowMs, null), nowMs)).toBe(false)
    })

    it('remembers of two that change a fact only one that knew what it changed', async () => {
      const { one, other } = await open()
      await one.facts.set('configuration proposal', 'a')
      const views = [await one.view(['configuration proposal']), await other.view(['configuration proposal'])]
      const swapped = await Promise.all(views.map(async (view, index) => view.swap('configuration proposal', 'a', `b${index}`)))
      expect(swapped.filter(Boolean)).toHaveLength(1)
      expect(await views[0]?.swap('new', null, 'x')).toBe(true)
      expect(await views[1]?.swap('new', null, 'y')).toBe(false)
    })

    it('enrols the first person once', async () => {
      const { one, other } = await open()
      const nowMs = one.clock.nowMs()
      const link = (tokenSha256: string): Parameters<Store['people']['links']['create']>[0] => ({
        tokenSha256,
        invitedBy: null,
        createdAtMs: nowMs,
        expiresAtMs: nowMs + 60_000,
        usedAtMs: null,
        confirmation: null,
        withdrawnAtMs: null,
      })
      await one.people.links.create(link('one'))
      await one.people.links.create(link('two'))
      const results = await Promise.all([
        one.people.people.enrol(newcomer('ada'), 'one', nowMs, null),
        other.people.people.enrol(newcomer('bob'), 'two', nowMs, null),
      ])
      expect(results.toSorted()).toEqual(['enrolled', 'not_first'])
      expect(await other.people.people.list()).toHaveLength(1)
    })

    it('counts a one-time code once, and so many wrong ones, at whichever it comes', async () => {
      const { one, other } = await open()
      const nowMs = one.clock.nowMs()
      const link = { tokenSha256: 'one', invitedBy: null, createdAtMs: nowMs, expiresAtMs: nowMs + 60_000, usedAtMs: null }
      await one.people.links.create({ ...link, confirmation: null, withdrawnAtMs: null })
      await one.people.people.enrol(newcomer('ada'), 'one', nowMs, null)
      const [here, there] = [one.people.people, other.people.people]
      const app = { id: 'app', sealed: 's', addedAtMs: nowMs, lastStep: 10 }
      expect(await here.addCodeApp('Ada', app)).toBe(true)
      expect(await there.addCodeApp('ada', { ...app, id: 'another' })).toBe(false)
      const tries = await Promise.all(Array.from({ length: 6 }, (_, at) => (at % 2 ? here : there).tryCode('ada', 'app')))
      expect(tries.filter((taken) => taken)).toHaveLength(5)
      expect((await there.list())[0]?.codeApp?.isLocked).toBe(true)
      const used = await Promise.all([here.useCode('ada', 'app', 12), there.useCode('ada', 'app', 12)])
      expect(used.filter((taken) => taken)).toHaveLength(1)
      expect(await here.useCode('ada', 'app', 11)).toBe(false)
      expect(await there.removeCodeApp('ada', 'another')).toBe(false)
      expect(await there.removeCodeApp('ada', 'app')).toBe(true)
      expect([await here.useCode('ada', 'app', 13), await here.tryCode('ada', 'app')]).toEqual([false, false])
    })

    it('lets what was given for a time stand at both, until it is ended at either', async () => {
      const { one, other } = await open()
      await one.requests.open(request('r1'))
      const [here, there] = [one.standing('p'), other.standing('p')]
      expect(there.of('coder', 'ada', 'orders-db').scopes).toEqual([])
      const nowMs = one.clock.nowMs()
      const given = {
        request: 'r1',
        agent: 'coder',
        owner: 'ada',
        upstream: 'orders-db',
        scopes: [],
        reason: '',
        approvers: ['bob'],
      }
      expect(await here.add({ ...given, policyHash: 'p', fromMs: nowMs, expiresAtMs: nowMs + 600_000 })).toBe(true)
      there.forget()
      await expect.poll(() => there.of('coder', 'ada', 'orders-db').endsMs).toBe(nowMs + 600_000)
      expect(other.standing('q').list()).toEqual([])
      expect(await there.hasStood('r1')).toBe(true)
      expect((await there.end('r1'))?.agent).toBe('coder')
      here.forget()
      await expect.poll(() => here.of('coder', 'ada', 'orders-db').endsMs).toBeNull()
      expect(await here.end('r1')).toBeNull()
    })

    it('remembers kills, and voids what was asked and approved under them', async () => {
      const { one, other } = await open()
      await one.requests.open(request('r1'))
      await one.requests.open(request('r2', 'd2'))
      await one.requests.approve('r2', 5, { ...grant('g2', 'r2'), digest: 'd2' })
      const kill = await one.kills.add({ kind: 'owner', name: 'ada', reason: 'enough\0', by: 'operator', atMs: 1 })
      expect(await other.kills.cancelRequests('owner', 'bob')).toBe(0)
      expect(await other.kills.cancelRequests('owner', 'ada')).toBe(1)
      expect(await other.kills.voidGrants('owner', 'ada')).toBe(1)
      await expect.poll(() => other.kills.inForce().map(({ id }) => id)).toEqual([kill.id])
      expect(await other.kills.release('owner', 'ada', 2, kill.id - 1)).toBe(0)
      expect(await other.kills.release('owner', 'ada', 2, kill.id)).toBe(1)
      await expect.poll(() => one.kills.inForce()).toEqual([])
    })
  })
}

function handle(id: string, parent: string | null, nowMs: number, limits: { usesMax: number } | null): Handle {
  const narrowing: Narrowing | null = limits === null ? null : { scopes: [], act: [], ...limits }
  return {
    id,
    agent: 'coder',
    owner: 'ada',
    parent,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + 60_000,
    revokedAtMs: null,
    scram: { salt: 's', iterations: 1, storedKey: 'k', serverKey: 'k' },
    secretSha256: id,
    narrowing,
  }
}

function newcomer(name: string): Parameters<Store['people']['people']['enrol']>[0] {
  const passkey = {
    credentialId: name,
    publicKey: 'p',
    counter: 0,
    name: '',
    transports: [],
    synced: false,
    aaguid: '',
    addedAtMs: 1,
  }
  return { name, userHandle: name, passkeys: [passkey], enrolledAtMs: 1 }
}
