import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { challengeIn } from '../../packages/cli/src/drill/person.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { inDepth } from '../breadth.ts'

let postgres: PostgresServer
let gate: TestGate
const mays = { owner: 'ada', may: ['read orders-db'] }

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({ postgres, agents: { coder: mays, other: mays } })
})
afterAll(async () => {
  await gate.stop()
  await postgres.stop()
})

const parts = ['store.db', 'store.db-wal', 'store.db-shm']

function copyStore(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const part of parts) {
    rmSync(join(to, part), { force: true })
    if (existsSync(join(from, part))) cpSync(join(from, part), join(to, part))
  }
}

const killed = z.looseObject({ acknowledgedMs: z.number() })
const issued = z.object({ id: z.string(), handle: z.string() })
const kills = z.object({
  kills: z.array(z.object({ scope: z.object({ kind: z.string(), id: z.string() }), reason: z.string(), by: z.string() })),
})

/** The fold beside a name on the People page. */
async function remove(by: HttpPerson, name: string): Promise<void> {
  await by.signIn()
  const entry = (await by.read('/people')).split('<li>').find((part) => part.includes(`<b>${name}</b>`)) ?? ''
  const path = /data-finish="([^"]+)"/.exec(entry)?.[1] ?? ''
  const asked = await by.post(`${path}/options`, {})
  expect((await by.post(path, { response: by.sign(challengeIn(asked)) })).status).toBe(200)
}

test('a store from earlier in the same run brings back no agent that was stopped, no handle that was ended and no person who was removed', async () => {
  const image = join(gate.directory, 'image-1')
  const [ada, bob] = [await gate.person('ada'), await gate.person('bob')]
  const { id, handle } = await gate.post('/api/v1/handles', { agent: 'other' }, issued)
  copyStore(gate.directory, image)
  await gate.post('/api/v1/kill', { kind: 'agent', id: 'coder', reason: 'enough' }, killed)
  await gate.post(`/api/v1/handles/${id}/revoke`, {}, z.unknown())
  await remove(ada, 'bob')
  await gate.crash()
  copyStore(image, gate.directory)
  await gate.start()
  await expect(gate.connect('coder')).rejects.toThrow(/kill switch/)
  await expect(gate.connect('other', { handle })).rejects.toThrow(/authentication failed/)
  await ada.signIn()
  await expect(bob.signIn()).rejects.toThrow(/403|not enrolled/)
  expect(await ada.read('/people')).toContain('bob was removed by ada')
  const agent = await gate.connect('other')
  expect((await agent.run('SELECT 1 AS one')).sqlState).toBe('00000')
  await agent.close()
})

test.each(inDepth('ordinary restarts and crashes stop nothing'))('%s', async () => {
  const before = await gate.get('/api/v1/kills', kills)
  await gate.halt()
  await gate.start()
  await gate.crash()
  await gate.start()
  expect(await gate.get('/api/v1/kills', kills)).toEqual(before)
  expect(gate.events().filter(({ type }) => type === 'alarm')).toEqual([])
})

test('a store from before an earlier run stops everything until a person looks', async () => {
  const image = join(gate.directory, 'image-2')
  const handle = await gate.issue('other')
  await gate.halt()
  copyStore(gate.directory, image)
  await gate.start()
  await gate.halt()
  copyStore(image, gate.directory)
  await gate.start()
  const { kills: inForce } = await gate.get('/api/v1/kills', kills)
  expect(inForce).toContainEqual({
    scope: { kind: 'all', id: '*' },
    reason: expect.stringContaining('older than the log'),
    by: 'the gate',
  })
  await expect(gate.connect('other', { handle })).rejects.toThrow(/authentication failed/)
  await expect(gate.connect('other')).rejects.toThrow(/kill switch/)
  expect(gate.events().filter(({ type, data }) => type === 'alarm' && data['kind'] === 'old_store')).toHaveLength(1)
})

test.each(inDepth('so does a store that was thrown away'))('%s', async () => {
  await gate.halt()
  for (const part of parts) rmSync(join(gate.directory, part), { force: true })
  await gate.start()
  await expect(gate.connect('other')).rejects.toThrow(/kill switch/)
})
