import { describe, expect, test } from 'vitest'
import { judgeIsolation, type IsolationFacts } from './isolation.ts'

const apart: IsolationFacts = { ourUid: 1000, gateUid: 998, groups: ['ada'], canBecomeRoot: false, readable: [] }

describe('judgeIsolation', () => {
  test('another user who cannot become the gate’s: level 2, nothing to mend', () => {
    expect(judgeIsolation(apart)).toMatchObject({ level: 2, waysAround: [], mend: [] })
  })

  test.each<[string, Partial<IsolationFacts>, string]>([
    ['the same user', { gateUid: 1000 }, 'this very user'],
    ['root', { ourUid: 0 }, 'root'],
    ['a system without user ids', { ourUid: null }, 'no user ids'],
    ['a gate that cannot be seen', { gateUid: null }, 'cannot be seen'],
    ['the sudo group', { groups: ['ada', 'sudo'] }, 'sudo'],
    ['the docker group', { groups: ['docker'] }, 'docker'],
    ['sudo without a password', { canBecomeRoot: true }, 'sudo without a password'],
    ['a readable operator token', { readable: ['/srv/state/operator.token'] }, '/srv/state/operator.token'],
  ])('%s: level 0, a way around and how to mend it', (_, facts, named) => {
    const isolation = judgeIsolation({ ...apart, ...facts })
    expect(isolation.level).toBe(0)
    expect(isolation.waysAround.join('\n')).toContain(named)
    expect(isolation.mend.length).toBeGreaterThan(0)
  })
})
