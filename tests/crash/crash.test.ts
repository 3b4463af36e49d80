import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { crashAtEveryStep, type Crashed } from './crashed-gate.ts'

let postgres: PostgresServer
let crashed: Crashed
beforeAll(async () => {
  postgres = await startPostgres(['max_connections=500'])
  crashed = await crashAtEveryStep(postgres)
}, 120_000)
afterAll(async () => {
  await crashed?.gate.stop()
  await postgres?.stop()
})
test('x', () => {
  console.log(crashed.passages.map((p) => `${p.agent} ${p.halt} ${crashed.executionsAtCrash.get(p.agent)}`).join('\n'))
  expect(1).toBe(1)
})
