import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { casesOf } from '../../breadth.ts'
import { runProgram } from './clients.ts'
import { findDifferences, isRefused } from './compare.ts'
import { useNodePostgres, usePostgresJs } from './node-clients.ts'
import { startPair, type Pair, type Place } from './pair.ts'
import { psqlScripts } from './psql-scripts.ts'
import { refusedByGate } from './refused.ts'
import { scenarios } from './scenarios.ts'
import { askForEncryption, startSo, startUps } from './start-up.ts'

/** A few of each table, and what is refused; `npm run prove:faithful` plays all of them, in two environments. */
const few = new Set(casesOf(scenarios, 16))
const share = scenarios.filter((scenario) => few.has(scenario) || refusedByGate.has(scenario.name))

let pair: Pair
beforeAll(async () => {
  pair = await startPair()
})
afterAll(() => pair.stop())

const pgbenchRows = `insert into pgbench_branches values (1, 0);
insert into pgbench_tellers select g, 1, 0 from generate_series(1, 10) g;
insert into pgbench_accounts select g, 1, 0 from generate_series(1, 1000) g;
`
const pgbenchSums = `select sum(bbalance) from pgbench_branches;
select sum(tbalance) from pgbench_tellers;
select count(*), sum(delta) from pgbench_history;
`

/** The same, done straight and through the gate, one after the other. */
async function both<Result>(
  work: (place: Place) => Promise<Result>,
): Promise<{ readonly direct: Result; readonly gated: Result }> {
  return { direct: await work(pair.directPlace), gated: await work(pair.gatedPlace) }
}

test('what a server answers, the gate before it answers, byte by byte', async () => {
  expect(scenarios.length).toBeGreaterThanOrEqual(600)
  const differences = await findDifferences(pair, share)
  expect(differences.filter(({ scenario }) => !refusedByGate.has(scenario))).toEqual([])
  // What is refused says so, and nothing of it is mistaken for an answer of the server's.
  const refused = differences.filter(isRefused).map(({ scenario }) => scenario)
  expect(refused.toSorted()).toEqual([...refusedByGate.keys()].toSorted())
})

test('and both databases are the same after it', async () => {
  for (const table of ['items', 'changed', 'loud', 'parent', 'child', 'copied']) {
    const rows = (database: string): Promise<readonly object[]> => pair.postgres.query(`table ${table} order by 1`, [], database)
    expect(await rows('gated'), table).toEqual(await rows('straight'))
  }
})

describe('start-up', () => {
  test.each(casesOf(startUps, 3))('%s', async (_, parameters) => {
    const { direct, gated } = await both((place) => startSo(place, parameters))
    expect(direct.at(-1)).toBe('Z I')
    // The count of settings says that the encoding is one more.
    expect(gated.filter((line) => !line.startsWith('C SELECT'))).toEqual(direct.filter((line) => !line.startsWith('C SELECT')))
  })

  test('encryption is declined where it is not offered; by Kerberos the gate offers none, whatever the server does', async () => {
    const { direct, gated } = await both((place) => askForEncryption(place, 'tls'))
    expect([direct, gated]).toEqual(['N', 'N'])
    expect(await askForEncryption(pair.gatedPlace, 'gss')).toBe('N')
  })
})

describe('psql', () => {
  test.each(casesOf(psqlScripts, 2))('$name', async ({ script, flags = [] }) => {
    const { direct, gated } = await both((place) => runProgram('psql', ['-X', ...flags, '-f', '-'], place, script))
    expect(direct.out + direct.said).not.toBe('')
    expect(gated).toEqual(direct)
  })

  test('Ctrl-C ends a statement, and the next one runs', async () => {
    const { direct, gated } = await both((place) =>
      runProgram('psql', ['-X', '-c', 'select pg_sleep(60)', '-c', 'select 1 as after'], place, '', (interrupt) => {
        void untilActive("query = 'select pg_sleep(60)'").then(interrupt)
      }),
    )
    expect(direct.said).toContain('canceling statement due to user request')
    expect(gated).toEqual(direct)
  })

  test('Ctrl-C ends \\watch', async () => {
    const { direct, gated } = await both((place) =>
      runProgram('psql', ['-X', '-f', '-'], place, 'select pg_sleep(50) \\watch 0.01\nselect 1 as after;\n', (interrupt) => {
        void untilActive("query like 'select pg_sleep(50)%'").then(interrupt)
      }),
    )
    expect(direct.said).toContain('canceling statement due to user request')
    expect(gated).toEqual(direct)
  })
})

/** Waits until such a statement runs. */
async function untilActive(condition: string): Promise<void> {
  while ((await pair.postgres.query(`select 1 from pg_stat_activity where state = 'active' and ${condition}`)).length === 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
}

test('pgbench in its protocols', async () => {
  const protocols = casesOf(['prepared', 'extended', 'simple'], 1)
  const { direct, gated } = await both(async (place) => {
    const tables = await runProgram('pgbench', ['-i', '-q', '-I', 'dtp'], place)
    const filled = await runProgram('psql', ['-X', '-f', '-'], place, pgbenchRows)
    const processed: unknown[] = []
    for (const protocol of protocols) {
      const ran = await runProgram('pgbench', ['-n', '-M', protocol, '-c', '2', '-t', '10', '--random-seed=1'], place)
      processed.push(/processed: (\S+)/.exec(ran.out)?.[1], /failed transactions: (\S+)/.exec(ran.out)?.[1])
    }
    return { tables: tables.code, filled, processed, sums: await runProgram('psql', ['-X', '-f', '-'], place, pgbenchSums) }
  })
  expect(direct.processed).toEqual(protocols.flatMap(() => ['20/20', '0']))
  expect(gated).toEqual(direct)
})

test('node-postgres', async () => {
  const { direct, gated } = await both(useNodePostgres)
  expect(gated).toEqual(direct)
})

test.each(casesOf([true, false], 1))('postgres.js, prepared statements %s', async (prepare) => {
  const { direct, gated } = await both((place) => usePostgresJs(place, prepare))
  expect(gated).toEqual(direct)
})
