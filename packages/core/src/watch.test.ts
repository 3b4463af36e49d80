import { describe, expect, it } from 'vitest'
import type { Event } from './event.ts'
import { Watch, type Spotted } from './watch.ts'

function see(watch: Watch, count: number, make: (at: number) => Event): readonly Spotted[] {
  return Array.from({ length: count }, (_, at) => watch.see(at, make(at))).filter((one) => one !== null)
}

const refused = (agent: string, atMs: number): Event => ({
  type: 'decision',
  atMs,
  agent,
  session: 's',
  data: { outcome: 'deny' },
})
const intent = (kind: string, atMs: number): Event => ({
  type: 'intent',
  atMs,
  agent: 'coder',
  data: { operations: [{ kind: 'write' }, { kind }] },
})

describe('what single events do not show', () => {
  it('is an agent that tries what it may not do, again and again', () => {
    const watch = new Watch()
    expect(see(watch, 9, (at) => refused('coder', at * 1_000))).toEqual([])
    expect(watch.see(9, refused('other', 9_000))).toBeNull()
    expect(watch.see(10, refused('coder', 9_500))).toEqual({
      kind: 'probing',
      who: 'coder',
      session: 's',
      events: [0, 1, 2, 3, 4, 5, 6, 7, 8, 10],
      why: 'coder was refused 10 times within 60 s: it tries what it may not do',
    })
    // Counting begins anew: not an alarm for each one more.
    expect(watch.see(11, refused('coder', 9_600))).toBeNull()
  })

  it('is a burst of destructions, and not of writes', () => {
    expect(see(new Watch(), 100, (at) => intent('write', at))).toEqual([])
    expect(see(new Watch(), 60, (at) => intent('destroy', at))).toMatchObject([{ kind: 'burst' }, { kind: 'burst' }])
  })

  it('is somebody who knocks at the door, whatever port it comes from', () => {
    const knock = (at: number): Event => ({
      type: 'door.refused',
      atMs: at,
      data: { peer: `10.0.0.7:${40_000 + at}`, why: 'no' },
    })
    expect(see(new Watch(), 25, knock)).toMatchObject([{ kind: 'knocking', who: '10.0.0.7' }])
  })

  it('is not what happens over a longer time, nor permits, nor what names nobody', () => {
    expect(see(new Watch(), 100, (at) => refused('coder', at * 10_000))).toEqual([])
    expect(see(new Watch(), 100, (at) => ({ ...refused('coder', at), data: { outcome: 'permit' } }))).toEqual([])
    expect(see(new Watch(), 100, (at) => refused('', at))).toEqual([])
    expect(see(new Watch(), 100, (at) => ({ type: 'door.refused', atMs: at, data: {} }))).toEqual([])
  })

  it('keeps no more than it may, whoever makes up names', () => {
    const watch = new Watch()
    see(watch, 9, (at) => refused('coder', at))
    see(watch, 5_000, (at) => refused(`made up ${at}`, 10))
    // Forgotten, as the one counted longest ago: the flood itself is told by other means.
    expect(watch.see(1, refused('coder', 20))).toBeNull()
  })
})
