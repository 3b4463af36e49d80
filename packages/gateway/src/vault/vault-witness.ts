import {
  formatVerifierKey,
  type KeyRotation,
  openCheckpoint,
  SallyportError,
  type VerifierKey,
  type Witness,
  WitnessRefusal,
  type WitnessRequest,
} from '@sallyport/core'
import { z } from 'zod'
import { toSallyportError, VaultRefusal } from './vault-refusal.ts'
import type { VaultConnection } from './vault-connection.ts'

const stateSchema = z.object({ log: z.string().nullable(), checkpoint: z.string().nullable() })

/** The vault as the witness of one log (C2SP tlog-witness over the vault's socket). The log's key is pinned by the first that asks. */
export async function witnessAt(
  connection: VaultConnection,
  witnessKey: VerifierKey,
  logKey: VerifierKey,
  rotations: readonly KeyRotation[],
): Promise<Witness> {
  try {
    await tellRotations(connection, rotations)
    await connection.ask({ method: 'POST', path: '/v1/witness/log', text: formatVerifierKey(logKey) }, stateSchema)
  } catch (error) {
    throw asRefusedLog(error)
  }
  return {
    key: witnessKey,
    cosign: (request, signal) => cosign(connection, request, signal),
    latest: (origin, signal) => latest(connection, logKey, origin, signal),
  }
}

/** What the vault has not heard of yet, from the key that it knows on. */
async function tellRotations(connection: VaultConnection, rotations: readonly KeyRotation[]): Promise<void> {
  if (rotations.length === 0) return
  let { log } = await connection.ask({ method: 'GET', path: '/v1/witness' }, stateSchema)
  for (const { from, note } of rotations) {
    if (log !== formatVerifierKey(from)) continue
    log = (await connection.ask({ method: 'POST', path: '/v1/witness/rotate', text: note }, stateSchema)).log
  }
}

async function cosign(connection: VaultConnection, request: WitnessRequest, signal: AbortSignal): Promise<string> {
  const text = `old ${request.oldSize}\n${request.proof.map((hash) => `${hash}\n`).join('')}\n${request.checkpoint}`
  try {
    return await connection.askText({ method: 'POST', path: '/v1/witness/add-checkpoint', text, signal })
  } catch (error) {
    throw asWitnessRefusal(error)
  }
}

async function latest(
  connection: VaultConnection,
  logKey: VerifierKey,
  origin: string,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    const { checkpoint } = await connection.ask({ method: 'GET', path: '/v1/witness', signal }, stateSchema)
    if (checkpoint === null || openCheckpoint(checkpoint, [logKey]).checkpoint.origin !== origin) return null
    return checkpoint
  } catch (error) {
    throw toSallyportError(error)
  }
}

/** A log that is behind is `stale` like one that only remembers less: the size tells the gate which. */
function asWitnessRefusal(error: unknown): Error {
  if (!(error instanceof VaultRefusal)) return toSallyportError(error)
  const size = /^size (\d{1,16})$/.exec(error.message)?.[1]
  if (error.code === 'witness_behind')
    return new WitnessRefusal('stale', Number(size ?? 0), 'The vault has cosigned another size than the gate thinks.')
  if (error.code === 'log_rolled_back')
    return new WitnessRefusal(
      'stale',
      Number(size ?? 0),
      'The vault has cosigned more of this log than there is: the log was rolled back.',
    )
  if (error.code === 'log_forked') return new WitnessRefusal('inconsistent', null, error.message)
  return toSallyportError(error)
}

function asRefusedLog(error: unknown): SallyportError {
  if (!(error instanceof VaultRefusal) || error.code !== 'log_pinned') return toSallyportError(error)
  return new SallyportError(
    'log_unavailable',
    'The vault witnesses another log than this one.',
    'Nothing was cosigned, and nothing runs on a log without its witness.',
    'Put the old log and its key back, or give this gate a vault of its own.',
    { cause: error },
  )
}
