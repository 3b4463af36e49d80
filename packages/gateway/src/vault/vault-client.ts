import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import {
  type KeyRotation,
  parseVerifierKey,
  receiptBytesMax,
  SallyportError,
  snapshotKinds,
  type Seal,
  type SealPart,
  type Snapshot,
  type SnapshotContent,
  type Vault,
  type VerifierKey,
  type WalVault,
  type Witness,
} from '@sallyport/core'
import { z } from 'zod'
import { VaultConnection } from './vault-connection.ts'
import { notDone, toCopyError, toSallyportError } from './vault-refusal.ts'
import { walAt } from './vault-wal.ts'
import { witnessAt } from './vault-witness.ts'

export interface VaultSettings {
  readonly socketPath: string
  /** The gate's credential, written by the vault at its first start. */
  readonly tokenFile: string
  /** Public key the vault must have, hex. Null: take what answers; the caller keeps `publicKey` and gives it the next time. */
  readonly publicKey?: string | null
  readonly answerMs?: number
  readonly idleMs?: number
}

/** The gate's way into the vault. */
export interface VaultClient extends Vault {
  /** Name of the vault: its Ed25519 public key, hex. */
  readonly publicKey: string
  /** Only ever longer. */
  extend(id: string, retainUntilMs: number): Promise<Snapshot>
  /** The vault's signed manifest of a snapshot, as it lies there: shows to others, with no vault at hand, what was sealed. */
  receipt(id: string): Promise<Uint8Array>
  readonly wal: WalVault
  health(): Promise<VaultHealth>
  /** What the vault let go after this time of its clock, because its retention had ended; oldest first. */
  expiries(afterMs: number): Promise<readonly VaultExpiry[]>
  /** Tries to lose, change or hide copies that came, or came again, after this number. */
  traces(after: number): Promise<z.infer<typeof tracesSchema>>
  /** The vault as a witness of this log. The first log's key is pinned; for another one this throws `log_unavailable`. */
  witness(logKey: VerifierKey, rotations?: readonly KeyRotation[]): Promise<Witness>
  close(): void
}

const hex64 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().min(0)
const snapshotSchema = z.object({
  id: hex64,
  kind: z.enum(snapshotKinds),
  upstream: z.string(),
  upstreamIdentity: z.string(),
  digest: z.string(),
  madeAtMs: count,
  rows: count,
  bytes: count,
  checksums: z.record(z.string(), z.string()),
  retainUntilMs: count,
})
const begunSchema = z.object({ seal: z.string().regex(/^[0-9a-f]{32}$/) })
const takenSchema = z.object({ sha256: hex64, bytes: count })
const pageSchema = z.object({ snapshots: z.array(snapshotSchema), next: z.int().nullable() })
const newestSchema = z.object({ snapshot: snapshotSchema.nullable() })
const openedSchema = z.object({
  snapshot: snapshotSchema,
  manifest: z.json(),
  parts: z.array(z.object({ name: z.string(), sha256: hex64, bytes: count })),
})
const healthSchema = z.object({
  vault: hex64,
  snapshots: count,
  newest: hex64.nullable(),
  openSeals: count,
  damaged: z.array(z.object({ file: z.string(), what: z.string() })),
  refusals: count,
  freeBytes: z.number(),
  clock: z.object({ nowMs: count, jump: z.string().nullable() }),
  witness: z.object({
    key: z.string(),
    log: z.string().nullable(),
    size: count.nullable(),
    checkpoint: z.string().nullable(),
    frozen: z.string().nullable(),
  }),
  osUser: z.number().nullable(),
  immutable: z.boolean(),
  worth: z.string(),
  expiry: z.string(),
  storage: z
    .object({ bytes: count, addedBytesPerDay: z.number(), bytesIn30Days: z.number(), quotaBytes: count.nullable() })
    .nullable()
    .default(null),
  wal: z
    .object({ storedBytes: count, addedBytesPerDay: z.number().default(0), bytesIn30Days: z.number().default(0) })
    .nullable()
    .default(null),
  held: z.array(z.object({ id: hex64, reason: z.string() })).default([]),
  /** Why it can neither seal nor read now; null: it can. */
  unready: z.string().nullable().default(null),
})
/** What the vault says of itself: how many copies, how much room, what its isolation is worth. */
export type VaultHealth = z.infer<typeof healthSchema>

const expirySchema = z.object({
  snapshot: hex64,
  sequence: z.int().min(1),
  upstream: z.string(),
  madeAtMs: count,
  retainUntilMs: count,
  atMs: count,
})
const traceSchema = z.object({
  number: z.int().min(1),
  atMs: count,
  times: z.int().min(1),
  kind: z.string(),
  place: z.string(),
  name: z.string(),
  what: z.string(),
})
const tracesSchema = z.object({ last: count, traces: z.array(traceSchema) })
/** A try to lose, change or hide a copy, as the vault saw it. Its number grows each time it is made again. */
export type VaultTrace = z.infer<typeof traceSchema>

const expiriesSchema = z.object({ expiries: z.array(expirySchema) })
export type VaultExpiry = z.infer<typeof expirySchema>

type Sum = z.infer<typeof takenSchema>
type About = Parameters<Vault['seal']>[0]

/** Slowest pace at which the vault may read a seal back, and what it may take besides. */
const readBackBytesPerMs = 10_000
const finishMs = 60_000

/** @throws SallyportError `vault_unavailable` when it cannot be reached, does not take the credential, or is another vault than expected */
export async function openVault(settings: VaultSettings): Promise<VaultClient> {
  const token = await readToken(settings.tokenFile)
  const connection = new VaultConnection({
    socketPath: settings.socketPath,
    token,
    answerMs: settings.answerMs ?? 10_000,
    idleMs: settings.idleMs ?? 120_000,
  })
  const health = (): Promise<VaultHealth> => known(connection.ask({ method: 'GET', path: '/v1/health' }, healthSchema))
  try {
    const { vault: publicKey, witness } = await health()
    if (settings.publicKey && settings.publicKey !== publicKey) {
      throw unavailable(
        'Another vault answers than the one this gate knows.',
        'Find out why before you let the gate know the new one.',
      )
    }
    return makeClient(connection, publicKey, parseVerifierKey(witness.key), health)
  } catch (error) {
    connection.close()
    throw toSallyportError(error)
  }
}

function makeClient(
  connection: VaultConnection,
  publicKey: string,
  witnessKey: VerifierKey,
  health: VaultClient['health'],
): VaultClient {
  return {
    publicKey,
    health,
    seal: (about, fill) => known(seal(connection, about, fill)),
    open: (id) => known(openSnapshot(connection, id)),
    list: () => known(listSnapshots(connection)),
    newest: async (upstream) =>
      (await known(connection.ask({ method: 'GET', path: `/v1/newest?upstream=${encodeURIComponent(upstream)}` }, newestSchema)))
        .snapshot,
    extend: (id, retainUntilMs) =>
      known(
        connection.ask(
          { method: 'POST', path: `/v1/snapshots/${checkId(id)}/retention`, body: { retainUntilMs } },
          snapshotSchema,
        ),
      ),
    expiries: async (afterMs) =>
      (await known(connection.ask({ method: 'GET', path: `/v1/expiries?after=${afterMs}` }, expiriesSchema))).expiries,
    traces: (after) => known(connection.ask({ method: 'GET', path: `/v1/traces?after=${after}` }, tracesSchema)),
    receipt: (id) => known(receive(connection, `/v1/snapshots/${checkId(id)}/receipt`)),
    wal: walAt(connection),
    witness: (logKey, rotations = []) => witnessAt(connection, witnessKey, logKey, rotations),
    close: () => connection.close(),
  }
}

async function seal(connection: VaultConnection, about: About, fill: Parameters<Vault['seal']>[1]): Promise<Snapshot> {
  const { upstream, upstreamIdentity, digest, retainMs } = about
  const begun = await connection.ask(
    { method: 'POST', path: '/v1/seals', body: { upstream, upstreamIdentity, digest, retainMs } },
    begunSchema,
  )
  const path = `/v1/seals/${begun.seal}`
  try {
    return await fillAndFinish(connection, path, about, fill)
  } catch (error) {
    // Frees the room of what was put; when this fails too, the vault does so by itself later.
    await connection.ask({ method: 'POST', path: `${path}/give-up` }, z.object({})).catch(() => undefined)
    throw error
  }
}

async function fillAndFinish(
  connection: VaultConnection,
  path: string,
  about: About,
  fill: Parameters<Vault['seal']>[1],
): Promise<Snapshot> {
  const sums = new Map<string, Sum | 'failed'>()
  const { kind, rows, bytes, checksums, manifest } = await filled(fill(sealAt(connection, path, sums)))
  const failed = [...sums].filter(([, sum]) => sum === 'failed').map(([name]) => name)
  if (failed.length > 0) throw copyFailed(`A part of the copy was not taken: ${failed.join(', ').slice(0, 200)}.`)
  const putBytes = [...sums.values()].reduce((sum, one) => sum + (one === 'failed' ? 0 : one.bytes), 0)
  const body = { kind, rows, bytes, checksums: { ...checksums }, manifest }
  const timeoutMs = finishMs + putBytes / readBackBytesPerMs
  const snapshot = await connection.ask({ method: 'POST', path: `${path}/finish`, body, timeoutMs }, snapshotSchema)
  const sameTarget = snapshot.upstream === about.upstream && snapshot.upstreamIdentity === about.upstreamIdentity
  const sameContent = snapshot.digest === about.digest && snapshot.kind === kind && snapshot.rows === rows
  if (!sameTarget || !sameContent) throw copyFailed('The vault sealed something else than what it was given.')
  return snapshot
}

async function filled(content: Promise<SnapshotContent>): Promise<SnapshotContent> {
  try {
    return await content
  } catch (error) {
    throw toCopyError(error)
  }
}

/** The way in that a connector gets. What the gate sent and what the vault says it has are compared part by part. */
function sealAt(connection: VaultConnection, path: string, sums: Map<string, Sum | 'failed'>): Seal {
  return {
    put: async (part: SealPart): Promise<Sum> => {
      // A URL can't carry a lone surrogate; replacing it would give two names one meaning.
      if (!part.name.isWellFormed()) throw copyFailed('The name of a part is not well-formed Unicode.')
      if (!sums.has(part.name)) sums.set(part.name, 'failed')
      const sent = sumUp(part.bytes)
      const taken = await known(connection.send(partPath(path, part.name), sent.bytes, takenSchema))
      const sum = sent.sum()
      if (taken.sha256 !== sum.sha256 || taken.bytes !== sum.bytes)
        throw copyFailed('The vault took other bytes than the gate sent.')
      sums.set(part.name, taken)
      return taken
    },
    read: (name) => {
      const sum = sums.get(name)
      if (sum === undefined || sum === 'failed') throw copyFailed('This seal has no whole part of this name.')
      return readCompared(connection, partPath(path, name), sum)
    },
  }
}

async function openSnapshot(connection: VaultConnection, id: string): ReturnType<Vault['open']> {
  const path = `/v1/snapshots/${checkId(id)}`
  const { snapshot, manifest, parts } = await connection.ask({ method: 'GET', path }, openedSchema)
  if (snapshot.id !== id) throw copyFailed('The vault opened another snapshot than was asked for.')
  const sums = new Map(parts.map((part) => [part.name, part]))
  return {
    snapshot,
    manifest,
    checksums: snapshot.checksums,
    read: (name) => {
      const sum = sums.get(name)
      if (!sum) throw copyFailed('This snapshot has no part of this name.')
      return readCompared(connection, partPath(path, name), sum)
    },
  }
}

async function listSnapshots(connection: VaultConnection): Promise<readonly Snapshot[]> {
  const snapshots: Snapshot[] = []
  for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null;) {
    const page: z.infer<typeof pageSchema> = await connection.ask(
      { method: 'GET', path: `/v1/snapshots?limit=1000&before=${before}` },
      pageSchema,
    )
    snapshots.push(...page.snapshots)
    before = page.next
  }
  return snapshots
}

/** A part as the vault gives it, with an error at the end when it is not the one that was sealed. */
async function* readCompared(
  connection: VaultConnection,
  path: string,
  expected: Sum,
): AsyncGenerator<Uint8Array, void, undefined> {
  const received = sumUp(connection.receive(path))
  try {
    yield* received.bytes
  } catch (error) {
    throw toSallyportError(error)
  }
  const { sha256, bytes } = received.sum()
  if (sha256 !== expected.sha256 || bytes !== expected.bytes)
    throw copyFailed('A part read back from the vault is not the one that was put there.')
}

async function receive(connection: VaultConnection, path: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of connection.receive(path)) {
    bytes += piece.length
    if (bytes > receiptBytesMax) throw copyFailed('The vault gave more than a receipt can be.')
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function sumUp(source: AsyncIterable<Uint8Array>): { readonly bytes: AsyncIterable<Uint8Array>; sum(): Sum } {
  const hash = createHash('sha256')
  let bytes = 0
  const pass = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source) {
      hash.update(piece)
      bytes += piece.length
      yield piece
    }
  }
  return { bytes: pass(), sum: () => ({ sha256: hash.digest('hex'), bytes }) }
}

async function readToken(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r')
    const { mode, size } = await file.stat()
    if ((mode & 0o077) !== 0)
      throw unavailable("Others can read the gate's credential for the vault.", 'chmod 0600 the file and make a new credential.')
    const text = size > 4096 ? '' : (await file.readFile('utf8')).trim()
    if (/^[0-9a-f]{64}$/.test(text)) return text
    throw unavailable(
      "The file of the gate's credential for the vault holds something else.",
      'Start the vault once with --new-credential.',
    )
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw unavailable(
      "The gate's credential for the vault cannot be read.",
      'Start the vault: it writes the file at its first start.',
      error,
    )
  }
}

async function known<Result>(result: Promise<Result>): Promise<Result> {
  try {
    return await result
  } catch (error) {
    throw toSallyportError(error)
  }
}

function partPath(path: string, name: string): string {
  return `${path}/part?name=${encodeURIComponent(name)}`
}

function checkId(id: string): string {
  if (/^[0-9a-f]{64}$/.test(id)) return id
  throw new SallyportError('copy_failed', 'This is not the id of a snapshot.', 'Nothing was read.', 'See `sallyport vault list`.')
}

function copyFailed(what: string): SallyportError {
  return new SallyportError(
    'copy_failed',
    what,
    'No copy counts; what needs one did not run.',
    'Send the request again; if it repeats, run `sallyport vault verify`.',
  )
}

function unavailable(what: string, next: string, cause?: unknown): SallyportError {
  return new SallyportError('vault_unavailable', what, notDone, next, { cause })
}
