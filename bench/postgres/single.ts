import { spawn } from 'node:child_process'
import { RawClient } from '../../tests/fakes/postgres-client.ts'
import { ScramSecret } from '../../packages/gateway/src/upstreams/postgres/scram-client.ts'
import { queryMessage } from '../../packages/gateway/src/protocols/postgres/wire.ts'
import { environmentOf, forgetPeak, memoryMib, type Path } from './path.ts'

/** How long the gate gets between two clients to make the next connection ahead; direct gets the same. */
const pauseMs = 60

/**
 * From connecting to the first answer, milliseconds each. The client's own keys are derived once, before: what is timed is what the other side
 * takes.
 */
export async function timeFirstAnswers(path: Path, times: number): Promise<readonly number[]> {
  const secret = new ScramSecret(path.password)
  const took: number[] = []
  for (let time = 0; time <= times; time += 1) {
    const startedMs = performance.now()
    const client = await RawClient.open(path.port, path.user, secret, path.database)
    client.send(queryMessage('SELECT 1'))
    await client.untilReady()
    // The first one finds nothing ready.
    if (time > 0) took.push(performance.now() - startedMs)
    client.close()
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  return took
}

export interface Copied {
  readonly seconds: number
  readonly bytes: number
  /** By how much the process in between grew at most, MiB; null where there is none. */
  readonly grownMib: number | null
}

/** COPY of the wide table to nowhere, by psql. */
export async function timeCopyOut(path: Path): Promise<Copied> {
  if (path.pid !== null) forgetPeak(path.pid)
  const before = path.pid === null ? 0 : memoryMib(path.pid).now
  const startedMs = performance.now()
  const psql = spawn('psql', ['-qc', 'COPY wide TO STDOUT'], { env: environmentOf(path), stdio: ['ignore', 'pipe', 'inherit'] })
  let bytes = 0
  psql.stdout.on('data', (chunk: Buffer) => (bytes += chunk.length))
  const code = await new Promise<number | null>((resolve) => psql.once('close', resolve))
  if (code !== 0) throw new Error(`psql ended with ${code}`)
  const seconds = (performance.now() - startedMs) / 1_000
  return { seconds, bytes, grownMib: path.pid === null ? null : memoryMib(path.pid).peak - before }
}
