import { writeFileSync } from 'node:fs'
import { RawClient } from '../fakes/postgres-client.ts'
import { attacksPath, play, readAttacks, type Attack } from './attack.ts'
import { differences, openWitness } from './server-state.ts'
import { chooseServer } from '../servers/server-version.ts'
import { startSiege, type Siege } from './siege.ts'

/**
 * `npm run prove:around`: every attack by both agents through the gate, after which nothing may be changed; then each on the server itself, in a database
 * of its own, where most change something. `--gate`: only the first, `--direct`: only the second; `--write` notes in the cases which do; `--server 18`: on
 * the PostgreSQL that npm brings.
 */
const attacks = readAttacks()
const version = chooseServer()
console.log(`PostgreSQL ${version.name}`)
const siege = await startSiege(version.binaries)
let failed = false
const found = { tried: 0, changed: 0 }
try {
  if (!process.argv.includes('--direct')) await tryAll(siege)
  if (!process.argv.includes('--gate')) await biteAll(siege)
} finally {
  await siege.stop()
  version.remove()
}
console.log(`figure: ${found.tried} attacks by two agents through the gate, ${found.changed} changed something`)
process.exit(failed ? 1 : 0)

async function tryAll(whole: Siege): Promise<void> {
  for (const agent of ['reader', 'rows'] as const) {
    const own = attacks.filter(({ as }) => as.includes(agent))
    const changed = await whole.run(agent, own)
    console.log(`${agent}: ${own.length} attacks, ${changed.length === 0 ? 'nothing changed' : changed.join('\n')}`)
    if (changed.length > 0) failed = true
    found.tried += own.length
    found.changed += changed.length
  }
  const marks = await whole.witness.readMarks()
  console.log(`marks in the WAL that no read writes: ${marks.length}`)
  if (marks.length > 0) failed = true
}

async function biteAll({ target }: Siege): Promise<void> {
  const { server } = target
  await server.query('CREATE DATABASE prey')
  await target.fill('prey')
  const biting = new Map<string, readonly string[]>()
  for (const attack of attacks) {
    biting.set(attack.id, await bite(siege, attack))
    if (biting.size % 50 === 0) console.log(`${biting.size} of ${attacks.length} on the server itself`)
  }
  const count = [...biting.values()].filter((changed) => changed.length > 0).length
  console.log(`on the server itself: ${count} of ${attacks.length} attacks changed something`)
  if (!process.argv.includes('--write')) {
    const wrong = attacks.filter(({ id, bites }) => bites && biting.get(id)?.length === 0)
    console.log(`that should have and did not: ${wrong.map(({ id }) => id).join(', ') || 'none'}`)
    return
  }
  const noted = attacks.map(({ startup, as, ...attack }) => ({
    ...attack,
    ...(as.length === 1 ? { as } : {}),
    ...(startup === undefined ? {} : { startup }),
    bites: (biting.get(attack.id)?.length ?? 0) > 0,
  }))
  writeFileSync(attacksPath, `${noted.map((attack) => JSON.stringify(attack)).join('\n')}\n`)
}

/** What the attack changes when nothing stands between. */
async function bite({ target }: Siege, attack: Attack): Promise<readonly string[]> {
  const { server } = target
  await mend(siege)
  const database = attack.id.replace('-', '_')
  await server.query(`CREATE DATABASE ${database} TEMPLATE prey STRATEGY file_copy`)
  await server.query(`ALTER SERVER back OPTIONS (SET dbname '${database}')`, [], database)
  const witness = await openWitness(server, database, target.loot)
  try {
    const before = await witness.look()
    const { user, password } = server.superuser
    const client = await RawClient.open(server.port, user, password, database, Object.entries(attack.startup ?? {})).catch(
      () => null,
    )
    if (client === null) return []
    const late = setTimeout(() => client.close(), 5_000)
    await play(attack, client, await target.placeholders(database, witness))
    clearTimeout(late)
    client.close()
    return differences(before, await witness.look())
  } catch {
    // The server or the witness's own sessions went down with it.
    return ['server']
  } finally {
    await witness.close().catch(() => undefined)
    // One that was left with a parked transaction stays: it goes with the server.
    await server.query(`DROP DATABASE IF EXISTS ${database} (FORCE)`).catch(() => undefined)
  }
}

/** Gives back what an earlier attack took from the whole server, and ends what it left parked: a slot waits for every transaction that is open. */
async function mend({ target: { server } }: Siege): Promise<void> {
  for (const { gid, database } of await server.query('SELECT gid, database::text FROM pg_prepared_xacts'))
    await server.query(`ROLLBACK PREPARED '${String(gid)}'`, [], String(database))
  const bounded = "SET statement_timeout = '5s'"
  await server.query(`${bounded}; SELECT pg_create_logical_replication_slot('keep', 'test_decoding')`).catch(() => undefined)
  await server.query(`${bounded}; SELECT pg_replication_origin_create('mirror')`).catch(() => undefined)
}
