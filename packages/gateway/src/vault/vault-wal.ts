import { createHash } from 'node:crypto'
import { SallyportError, walStreamId, walStreamShape, type WalStream, type WalVault } from '@sallyport/core'
import { z } from 'zod'
import type { VaultConnection } from './vault-connection.ts'
import { notDone, toSallyportError } from './vault-refusal.ts'

/** A piece is at most 1 MiB; a bucket may be slow to take it. */
const pieceTimeoutMs = 60_000

const begunShape = z.object({ stream: walStreamId })
const takenShape = z.object({ stream: walStreamShape, sha256: z.string() })
const listedShape = z.object({ streams: z.array(walStreamShape) })

/** The vault's verbs for WAL. Whatever goes wrong is a SallyportError; then nothing may be confirmed to the server. */
export function walAt(connection: VaultConnection): WalVault {
  return {
    begin: (about) =>
      known(async () => (await connection.ask({ method: 'POST', path: '/v1/streams', body: about }, begunShape)).stream),
    append: (stream, piece) => known(() => append(connection, stream, piece)),
    list: (upstream) =>
      known(async () => {
        const path = `/v1/streams?upstream=${encodeURIComponent(upstream)}`
        return (await connection.ask({ method: 'GET', path }, listedShape)).streams
      }),
    read: (stream, fromLsn) => read(connection, stream, fromLsn),
  }
}

async function append(
  connection: VaultConnection,
  stream: string,
  { fromLsn, bytes, retainMs }: Parameters<WalVault['append']>[1],
): Promise<WalStream> {
  const path = `/v1/streams/${walStreamId.parse(stream)}/piece?from=${encodeURIComponent(fromLsn)}&retain=${retainMs}`
  const taken = await connection.ask({ method: 'PUT', path, bytes, timeoutMs: pieceTimeoutMs }, takenShape)
  if (taken.sha256 !== createHash('sha256').update(bytes).digest('hex'))
    throw new SallyportError(
      'copy_failed',
      'The vault took other WAL than the gate sent.',
      notDone,
      'Run `sallyport vault verify`.',
    )
  return taken.stream
}

async function* read(connection: VaultConnection, stream: string, fromLsn: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* connection.receive(`/v1/streams/${walStreamId.parse(stream)}/wal?from=${encodeURIComponent(fromLsn)}`)
  } catch (error) {
    throw toSallyportError(error)
  }
}

async function known<Result>(job: () => Promise<Result>): Promise<Result> {
  try {
    return await job()
  } catch (error) {
    throw toSallyportError(error)
  }
}
