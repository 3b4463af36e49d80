import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { roundsOf } from '../breadth.ts'
import { readAttacks } from './attack.ts'
import { startSiege, type Siege } from './siege.ts'

/**
 * Attacks of cases/sql-attacks.jsonl on a real server through a real gate, by an agent that may only read and by one that may write rows; afterwards
 * the server is what it was before. Each agent tries a twelfth of them here, a fifth in around.prove.test.ts, and all of them in `npm run prove:around`.
 */
const share = roundsOf(5, 20)
let siege: Siege

beforeAll(async () => {
  siege = await startSiege()
})
afterAll(() => siege?.stop())

describe('no way around', () => {
  const attacks = readAttacks()

  test('there are many, each is its own, and most would change something', () => {
    expect(attacks.length).toBeGreaterThanOrEqual(500)
    expect(new Set(attacks.map(({ id }) => id)).size).toBe(attacks.length)
    expect(new Set(attacks.map(({ script, startup }) => JSON.stringify([script, startup]))).size).toBe(attacks.length)
    expect(attacks.filter(({ bites }) => bites).length).toBeGreaterThanOrEqual(300)
  })

  test.each(['reader', 'rows'] as const)('no attack by the agent “%s” changes anything', async (agent) => {
    const own = attacks.filter(({ as }) => as.includes(agent))
    const tried = own.filter((_, index) => index % share === (agent === 'reader' ? 0 : 1))
    expect(tried.length).toBeGreaterThan(roundsOf(90, 20))
    expect(await siege.run(agent, tried)).toEqual([])
  })

  test('what the second agent may write was only added to, and nothing was left in the WAL but rows', async () => {
    const [row] = await siege.target.server.query('SELECT count(*)::int AS first FROM notes WHERE id = 1 AND what = $1', [
      'first',
    ])
    expect(row).toEqual({ first: 1 })
    expect(await siege.witness.readMarks()).toEqual([])
  })

  test('who may read reads, and who may write rows writes them, all the while', async () => {
    const read = await siege.ask('reader', [
      'SELECT count(*) FROM orders',
      'SELECT * FROM summary',
      'SELECT honest(1), ~~~~ 1',
      "SELECT 'good'::mood, '[1,2]'::span",
    ])
    expect(read.filter((line) => line.startsWith('E'))).toEqual([])
    expect(await siege.ask('rows', ["INSERT INTO notes (what) VALUES ('more')"])).toContain('C INSERT 0 1')
  })
})
