import { beforeEach, describe, expect, test } from 'vitest'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { FakeClock, MemoryLog } from '../../../../tests/fakes/ports.ts'
import { openDatabase } from '../store/database.ts'
import { openHandles, type HandleStore } from '../store/handles.ts'
import { openHandleDesk, type ConfiguredAgent, type HandleDesk } from './handles.ts'
import { makeScramVerifier, scramIterations } from './scram.ts'

const hourMs = 3_600_000

let clock: FakeClock
let log: MemoryLog
let store: HandleStore
let agents: Map<string, ConfiguredAgent>
const readOrders = { kinds: ['read'] as const, action: null, upstream: 'orders-db' }
const writeOrders = { kinds: ['read', 'write'] as const, action: null, upstream: 'orders-db' }
let desk: HandleDesk

beforeEach(() => {
  clock = new FakeClock()
  log = new MemoryLog()
  store = openHandles(openDatabase(':memory:'))
  agents = new Map([['coder', { owner: 'ada', handleMs: hourMs, scopes: [readOrders, writeOrders] }]])
  desk = openHandleDesk(store, log, clock, Buffer.alloc(32, 7), () => agents)
})

describe('issuing', () => {
  test('gives the secret once; store and log have only what verifies it', async () => {
    const { handle, secret } = await desk.issue('coder', null, 'operator')
    expect(secret).toMatch(/^sp_[A-Za-z0-9_-]{43}$/)
    expect(handle).toMatchObject({
      agent: 'coder',
      owner: 'ada',
      expiresAtMs: clock.nowMs() + hourMs,
      secretSha256: createHash('sha256').update(secret).digest('hex'),
    })
    expect(JSON.stringify([store.find(handle.id), log.events])).not.toContain(secret.slice(3))
    expect(log.types()).toEqual(['handle.issued'])
  })

  test('never for longer than the configuration says, however long is asked', async () => {
    expect((await desk.issue('coder', 10 * hourMs, 'operator')).handle.expiresAtMs).toBe(clock.nowMs() + hourMs)
    expect((await desk.issue('coder', 5_000, 'operator')).handle.expiresAtMs).toBe(clock.nowMs() + 5_000)
  })

  test('not for an agent that nobody configured, nor for a name from the prototype of an object', async () => {
    for (const name of ['stranger', 'toString', ''])
      await expect(desk.issue(name, null, 'operator')).rejects.toMatchObject({ code: 'not_in_scope' })
    expect(log.events).toEqual([])
  })

  test('not before it is on the log: with no log there is no handle', async () => {
    log.failing = true
    await expect(desk.issue('coder', null, 'operator')).rejects.toMatchObject({ code: 'log_unavailable' })
    expect(store.active('coder', clock.nowMs(), 10)).toEqual([])
  })

  test('not more than can be tried at the door, until some have ended', async () => {
    const issued = []
    for (let number = 0; number < 64; number += 1) issued.push(await desk.issue('coder', null, 'operator'))
    await expect(desk.issue('coder', null, 'operator')).rejects.toMatchObject({ code: 'limit_exceeded' })
    await desk.revoke(issued[0]?.handle.id ?? '', 'operator')
    expect((await desk.issue('coder', null, 'operator')).handle.agent).toBe('coder')
  })
})

describe('the door', () => {
  test('knows a handle until its time is over', async () => {
    const { handle } = await desk.issue('coder', 5_000, 'operator')
    clock.advance(4_999)
    expect((await desk.candidates('coder')).map(({ id }) => id)).toEqual([handle.id])
    clock.advance(1)
    expect(await desk.candidates('coder')).toEqual([])
  })

  test('does not know the handle of an agent that left the configuration', async () => {
    await desk.issue('coder', null, 'operator')
    agents.delete('coder')
    expect(await desk.candidates('coder')).toEqual([])
  })

  test('asks the same of known and unknown names, and of each name always the same', async () => {
    const known = desk.scramParameters('coder')
    const unknown = desk.scramParameters('nobody')
    expect(desk.scramParameters('coder')).toEqual(known)
    expect(desk.scramParameters('nobody')).toEqual(unknown)
    expect(unknown.salt).not.toBe(known.salt)
    expect([known, unknown].map(({ salt, iterations }) => [Buffer.from(salt, 'base64').length, iterations])).toEqual([
      [16, scramIterations],
      [16, scramIterations],
    ])
    expect((await desk.issue('coder', null, 'operator')).handle.scram).toMatchObject(known)
  })

  test('a salt cannot be foretold without the key of this gate', () => {
    const other = openHandleDesk(store, log, clock, Buffer.alloc(32, 8), () => agents)
    expect(other.scramParameters('coder').salt).not.toBe(desk.scramParameters('coder').salt)
  })
})

describe('revoking', () => {
  test('ends the handle and all that were narrowed from it, and says so on the log', async () => {
    const { handle } = await desk.issue('coder', null, 'operator')
    store.insert({ ...handle, id: 'child', parent: handle.id, secretSha256: 'b' })
    store.insert({ ...handle, id: 'grandchild', parent: 'child', secretSha256: 'c' })
    const other = (await desk.issue('coder', null, 'operator')).handle.id
    expect((await desk.revoke(handle.id, 'operator')).toSorted()).toEqual([handle.id, 'child', 'grandchild'].toSorted())
    expect((await desk.candidates('coder')).map(({ id }) => id)).toEqual([other])
    expect(log.types().filter((type) => type === 'handle.revoked')).toHaveLength(3)
  })

  test('twice, or of nothing, ends nothing more', async () => {
    const { handle } = await desk.issue('coder', null, 'operator')
    await desk.revoke(handle.id, 'operator')
    expect(await desk.revoke(handle.id, 'operator')).toEqual([])
    expect(await desk.revoke('nothing', 'operator')).toEqual([])
  })

  test('holds even when the log cannot say so', async () => {
    const { handle } = await desk.issue('coder', null, 'operator')
    log.failing = true
    await expect(desk.revoke(handle.id, 'operator')).rejects.toMatchObject({ code: 'log_unavailable' })
    expect(await desk.candidates('coder')).toEqual([])
  })
})

test('a SCRAM verifier is that of RFC 5802, and another secret makes another', () => {
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
  const { storedKey, serverKey } = makeScramVerifier('pencil', salt)
  const salted = pbkdf2Sync('pencil', salt, 4096, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  expect(storedKey).toBe(createHash('sha256').update(clientKey).digest('base64'))
  // RFC 7677 §3: the server's signature of its example, made with this key.
  const message =
    'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
  expect(createHmac('sha256', Buffer.from(serverKey, 'base64')).update(message).digest('base64')).toBe(
    '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  )
  expect(makeScramVerifier('pencils', salt).storedKey).not.toBe(storedKey)
})

describe('narrowing', () => {
  const wanted = { scopes: [readOrders], actor: 'part', ttlMs: null, usesMax: null }

  test('a child ends when its parent does, however it is asked for, and an ended parent makes none', async () => {
    const { handle } = await desk.issue('coder', null, 'operator')
    clock.advance(hourMs - 1_000)
    const { handle: child } = await desk.narrow(handle, wanted)
    expect(child).toMatchObject({ parent: handle.id, expiresAtMs: handle.expiresAtMs, agent: 'coder', owner: 'ada' })
    await expect(desk.narrow(handle, { ...wanted, ttlMs: 1_001 })).rejects.toMatchObject({ code: 'not_in_scope' })
    expect((await desk.candidates('coder')).map(({ id }) => id)).toEqual([child.id, handle.id])
    clock.advance(1_000)
    expect(await desk.candidates('coder')).toEqual([])
    for (const parent of [handle, child])
      await expect(desk.narrow(parent, wanted)).rejects.toMatchObject({ notDone: 'No handle was made.' })
    expect(store.active('coder', 0, 10)).toHaveLength(2)
  })

  test('a parent that is revoked while its child becomes durable has no child', async () => {
    const { handle } = await desk.issue('coder', null, 'operator')
    const narrowing = desk.narrow(handle, wanted)
    store.revoke(handle.id, clock.nowMs())
    await expect(narrowing).rejects.toMatchObject({ code: 'authentication_failed' })
    expect(await desk.candidates('coder')).toEqual([])
  })

  test('not before it is on the log, and not for an agent that is configured no longer', async () => {
    const { handle } = await desk.issue('coder', null, 'operator')
    log.failing = true
    await expect(desk.narrow(handle, wanted)).rejects.toMatchObject({ code: 'log_unavailable' })
    log.failing = false
    agents.clear()
    await expect(desk.narrow(handle, wanted)).rejects.toMatchObject({ code: 'not_in_scope' })
    expect(store.active('coder', clock.nowMs(), 10)).toHaveLength(1)
  })

  test('what the configuration takes from an agent, its handles cannot give on', async () => {
    const { handle } = await desk.issue('coder', null, 'operator')
    agents.set('coder', { owner: 'ada', handleMs: hourMs, scopes: [readOrders] })
    await expect(desk.narrow(handle, { ...wanted, scopes: [writeOrders] })).rejects.toMatchObject({ code: 'not_in_scope' })
  })
})
