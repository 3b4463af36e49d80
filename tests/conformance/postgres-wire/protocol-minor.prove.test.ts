import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { int32, protocol30, zeroTerminated } from '../../../packages/gateway/src/protocols/postgres/wire.ts'
import { startPostgresGate, type PostgresGate } from '../../fakes/postgres-gate.ts'
import { startPostgres, type PostgresServer } from '../../servers/postgres.ts'
import { embeddedServer } from '../../servers/server-version.ts'

/** PostgreSQL 18 is the first that speaks protocol 3.2: what it answers to each version and option that a client may ask for, the gate answers. */
const version = embeddedServer('18')
let server: PostgresServer
let gate: PostgresGate

beforeAll(async () => {
  server = await startPostgres([], version.binaries)
  gate = await startPostgresGate({}, {}, server)
}, 120_000)
afterAll(async () => {
  await gate.stop()
  await server.stop()
  version.remove()
})

/** The messages up to the one that asks for a password; of that, only its kind. */
async function greet(port: number, database: string, minor: number, options: readonly string[]): Promise<string> {
  const pairs = ['user', 'postgres', 'database', database, ...options.flatMap((option) => [option, 'on'])]
  const body = Buffer.concat([int32(protocol30 + minor), ...pairs.map(zeroTerminated), Buffer.from([0])])
  const socket = connect(port, '127.0.0.1')
  socket.write(Buffer.concat([int32(body.length + 4), body]))
  let come = Buffer.alloc(0)
  const told = await new Promise<string>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => resolve(`closed after ${come.toString('hex')}`))
    socket.on('data', (chunk: Buffer) => {
      come = Buffer.concat([come, chunk])
      const at = come[0] === 0x76 && come.length >= 5 ? 1 + come.readInt32BE(1) : 0
      if (come.length >= at + 9 && come[at] === 0x52) resolve(`${come.toString('hex', 0, at)} R${come.readInt32BE(at + 5)}`)
    })
  })
  socket.destroy()
  return told
}

test.each([
  [0, []],
  [2, []],
  [3, []],
  [9_999, []],
  [0, ['_pq_.one']],
  [2, ['_pq_.one', '_pq_.two']],
  [5, ['_pq_.one']],
] as const)('protocol 3.%i with options %j', async (minor, options) => {
  const direct = await greet(server.port, 'postgres', minor, options)
  expect(direct).toMatch(/R10$/)
  expect(await greet(gate.port, 'orders', minor, options)).toBe(direct)
})
