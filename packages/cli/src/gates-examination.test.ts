import { expect, it } from 'vitest'
import type { ControlClient } from './control-client.ts'
import type { Finding } from './finding.ts'
import { examineGates } from './gates-examination.ts'

const gate = { gate: 'a', isOwn: true, isLive: true, seenMsAgo: 80, skewMs: 0, warnings: [], sessions: 2 }

function examine(gates: readonly object[] | null | undefined): Promise<readonly Finding[]> {
  const answer = { gates: gates && { schema: 4, leaseMs: 4_000, gates } }
  const get: ControlClient['get'] = async (_path, shape) => shape.parse(answer)
  return examineGates(async () => ({ get }))
}

it('says nothing of a gate alone, or of one that cannot be asked', async () => {
  expect(await examine(null)).toEqual([])
  expect(await examine(undefined)).toEqual([])
  expect(await examineGates(() => Promise.reject(new Error('no gate')))).toEqual([])
})

it('names the gates that live, and what runs at each', async () => {
  const [first, ...more] = await examine([gate, { ...gate, gate: 'b', isOwn: false, sessions: 0 }])
  expect(first).toMatchObject({
    verdict: 'good',
    what: expect.stringMatching(/2 gates live.*schema: 4; a lease: 4\.0 s.*a \(this one\): 2 open; b: 0 open/),
  })
  expect(more).toEqual([])
})

it('tells of one that is silent, whose clock is off, or which warns', async () => {
  const others = [
    { ...gate, gate: 'b', isOwn: false, isLive: false, seenMsAgo: 400_000 },
    { ...gate, gate: 'c', isOwn: false, skewMs: -300_000, warnings: ['Solo mode'] },
  ]
  const said = (await examine([gate, ...others])).map(({ verdict, what }) => `${verdict} ${what}`)
  expect(said[1]).toMatch(/^note Gate b was last heard 7 min ago/)
  expect(said[2]).toMatch(/^note The clock of c’s machine is 5 min behind/)
  expect(said[3]).toBe('note Gate c says: Solo mode')
})

it('is bad news when this very gate has no lease', async () => {
  expect((await examine([{ ...gate, isLive: false }]))[0]).toMatchObject({
    verdict: 'bad',
    what: expect.stringContaining('lets nothing through'),
  })
})
