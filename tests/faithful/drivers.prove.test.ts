import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { driverPrograms, prepareMachine } from '../../tools/machine.ts'
import { pairServerSettings, startPair, type Pair } from '../conformance/postgres-wire/pair.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { askers, drivers, runDriver, type Driver, type Encryption } from './driver-run.ts'

/**
 * Debian's drivers of seven languages, each by a script that does what applications do: once at the server itself, then through the gate. What the two
 * see is the same, line by line; and what they see of a statement that waits for people, is refused, and runs when it was approved, can be acted on.
 */
let postgres: PostgresServer
let pair: Pair
let folder: string
const encryptions = ['disable', 'prefer', 'require', 'verify-full'] as const

beforeAll(async () => {
  const preparation = await prepareMachine((line) => console.log(line), driverPrograms)
  if (!preparation.ready) throw new Error(preparation.sentence)
  folder = mkdtempSync(join(tmpdir(), 'sp-drivers-'))
  postgres = await startPostgres(pairServerSettings)
  pair = await startPair({ postgres, tls: { name: 'localhost' } })
})
afterAll(async () => {
  await pair?.stop()
  await postgres?.stop()
  rmSync(folder, { recursive: true, force: true })
})

function encryptionOf(mode: Encryption['mode']): Encryption {
  return mode === 'verify-full' ? { mode, authorities: join(pair.gate.directory, 'authority', 'ca.pem') } : { mode }
}

/** Each driver by one way of encryption; all four are among them. */
const turns = drivers.map((driver, index): readonly [string, Driver, Encryption['mode']] => {
  const modes = driver.modes ?? encryptions
  return [driver.name, driver, modes[index % modes.length] ?? 'disable']
})

describe('what an application sees is what it would see without the gate', () => {
  let lines = 0
  test.each(turns)('%s', async (_, driver, mode) => {
    const direct = await runDriver(driver, pair.directPlace, { mode: 'disable' }, folder)
    expect(direct.at(-1), direct.slice(-12).join('\n')).toBe('ended with 0')
    expect(direct.length).toBeGreaterThan(14)
    expect(await runDriver(driver, pair.gatedPlace, encryptionOf(mode), folder)).toEqual(direct)
    lines += direct.length
  })
  test('all of them said something, by every way of encryption', () => {
    console.log(`figure: ${drivers.length} drivers, ${lines} lines, each the same straight and through the gate`)
    expect(new Set(turns.map(([, , mode]) => mode))).toEqual(new Set(encryptions))
    expect(lines).toBeGreaterThan(400)
  })
})

test('and both databases are the same after it: nothing was left', async () => {
  const rows = (database: string): Promise<readonly object[]> =>
    postgres.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1", [], database)
  expect(await rows('gated')).toEqual(await rows('straight'))
})

test.each(askers)(
  '$name: a statement that waits is refused in words that say where people decide, and runs when it was approved',
  async (asker) => {
    const [server, environment] = [await startPostgres(pairServerSettings), 'production'] as const
    const asked = await startPair({ postgres: server, environment, wait: '300ms' })
    try {
      await server.query(
        'SET ROLE app_use; CREATE TABLE precious (id int PRIMARY KEY); INSERT INTO precious VALUES (1)',
        [],
        'gated',
      )
      await asked.gate.person('ada')
      const [grace, linus] = [await asked.gate.person('grace'), await asked.gate.person('linus')]
      const seen = (await runDriver(asker, asked.gatedPlace, { mode: 'disable' }, folder)).join('\n')
      expect(seen).toContain('SP001')
      expect(seen).toMatch(/waiting for approval|approv/i)
      const request = await asked.gate.pendingRequest('robot')
      expect(seen).toContain(request)
      expect(seen).toContain(`http`)
      await grace.approve(request)
      // What destroys takes two.
      await linus.give(request, 'approve')
      const after = (await runDriver(asker, asked.gatedPlace, { mode: 'disable' }, folder)).join('\n')
      expect(after).toContain('done')
      expect(await server.query("SELECT to_regclass('precious') AS it", [], 'gated')).toEqual([{ it: null }])
    } finally {
      await asked.stop()
      await server.stop()
    }
  },
)
