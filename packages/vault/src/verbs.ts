import { randomBytes } from 'node:crypto'
import type { Json, Snapshot } from '@sallyport/core'
import { z } from 'zod'
import { readJson, readPieces, readText } from './body.ts'
import type { Catalogue } from './catalogue.ts'
import { document, noSuchVerb, type Answer, type Call } from './answer.ts'
import { VaultFailure } from './failure.ts'
import { contentSchema } from './manifest.ts'
import type { OpenSeals } from './open-seals.ts'
import { retainMsMax } from './retention.ts'
import type { Store } from './store.ts'
import type { TraceBook } from './trace-book.ts'
import type { TrustedClock } from './trusted-clock.ts'
import type { WalStreams } from './wal-streams.ts'
import { answerStreams } from './wal-verbs.ts'
import type { Witness } from './witness.ts'

export interface VaultParts {
  readonly store: Store
  readonly catalogue: Catalogue
  readonly seals: OpenSeals
  readonly clock: TrustedClock
  readonly witness: Witness
  readonly streams: WalStreams
  readonly traces: TraceBook
  readonly health: () => Promise<Json>
}

/** What a vault can still answer while it cannot reach the places where copies lie. */
export interface AsleepParts extends Pick<VaultParts, 'witness' | 'clock' | 'health'> {
  /** One sentence. */
  readonly reason: string
}

const smallBodyBytesMax = 64 << 10
/** The connector's own manifest is in it: DDL and column lists. */
const contentBytesMax = 32 << 20
const bodyTimeoutMs = 10_000
const pageMax = 1000

const beginSchema = z.strictObject({
  upstream: z.string().min(1).max(256),
  upstreamIdentity: z.string().max(1024),
  digest: z.string().max(256),
  retainMs: z.int().min(0).max(retainMsMax),
})
const extendSchema = z.strictObject({ retainUntilMs: z.int().min(0) })
const holdSchema = z.strictObject({ reason: z.string().min(1).max(512) })
const afterSchema = z.coerce.number().int().min(0)
const pageSchema = z.object({ limit: z.coerce.number().int().min(1).max(pageMax), before: z.coerce.number().int().min(1) })

/** Everything that can be asked of the vault. There is no verb that deletes, overwrites or shortens, for anybody. */
export async function answer(parts: VaultParts, call: Call): Promise<Answer> {
  const [version, noun, id, rest, ...more] = call.path
  if (version !== 'v1' || more.length > 0) throw noSuchVerb()
  if (noun === 'health' && call.method === 'GET' && id === undefined) return document(await parts.health())
  if (noun === 'seals') return await answerSeals(parts, call, id, rest)
  if (noun === 'snapshots') return await answerSnapshots(parts, call, id, rest)
  if (noun === 'streams') return await answerStreams(parts.streams, call, id, rest)
  if (noun === 'newest' && call.method === 'GET' && id === undefined) return newest(parts, call)
  if (noun === 'expiries' && call.method === 'GET' && id === undefined) return expiries(parts, call)
  if (noun === 'traces' && call.method === 'GET' && id === undefined) return traces(parts, call)
  if (noun === 'witness' && rest === undefined) return await answerWitness(parts, call, id)
  throw noSuchVerb()
}

/** Says how it is and witnesses the log, which needs its folder alone. Nothing is sealed or read. */
export async function answerAsleep(asleep: AsleepParts, call: Call): Promise<Answer> {
  const [version, noun, id, rest] = call.path
  if (version === 'v1' && noun === 'health' && call.method === 'GET' && id === undefined) return document(await asleep.health())
  if (version === 'v1' && noun === 'witness' && rest === undefined) return await answerWitness(asleep, call, id)
  const what = `${asleep.reason} Nothing was sealed or read. The vault tries again by itself.`
  throw new VaultFailure('store_unreachable', what)
}

async function answerSeals(parts: VaultParts, call: Call, id: string | undefined, rest: string | undefined): Promise<Answer> {
  if (id === undefined) {
    if (call.method !== 'POST') throw noSuchVerb()
    const { retainMs, ...about } = await readJson(call.request, beginSchema, smallBodyBytesMax, bodyTimeoutMs)
    const seal = randomBytes(16).toString('hex')
    await parts.seals.begin({ seal, sealedBy: call.credential, ...about }, retainMs)
    return document({ seal }, 201)
  }
  if (rest === 'part' && call.method === 'PUT') {
    const taken = await parts.seals.put(id, nameOf(call), readPieces(call.request))
    return document({ ...taken }, 201)
  }
  if (rest === 'part' && call.method === 'GET') return { kind: 'bytes', bytes: parts.seals.read(id, nameOf(call)) }
  if (rest === 'finish' && call.method === 'POST') {
    const content = await readJson(call.request, contentSchema, contentBytesMax, bodyTimeoutMs)
    return document(snapshotJson(await parts.seals.finish(id, content)), 201)
  }
  if (rest === 'give-up' && call.method === 'POST') {
    await parts.seals.giveUp(id)
    return document({})
  }
  throw noSuchVerb()
}

async function answerSnapshots(parts: VaultParts, call: Call, id: string | undefined, rest: string | undefined): Promise<Answer> {
  if (id === undefined) {
    if (call.method !== 'GET') throw noSuchVerb()
    const page = pageSchema.safeParse({
      limit: call.query.get('limit') ?? pageMax,
      before: call.query.get('before') ?? Number.MAX_SAFE_INTEGER,
    })
    if (!page.success) throw new VaultFailure('bad_request', '`limit` or `before` is not a number this verb takes.')
    const { snapshots, next } = parts.catalogue.list(page.data.limit, page.data.before)
    return document({ snapshots: snapshots.map(snapshotJson), next })
  }
  if (rest === undefined && call.method === 'GET') {
    const { manifest, snapshot } = await parts.catalogue.open(id)
    const named = manifest.parts.map(({ name, sha256, bytes }) => ({ name, sha256, bytes }))
    return document({ snapshot: snapshotJson(snapshot), manifest: manifest.inside.manifest, parts: named })
  }
  if (rest === 'part' && call.method === 'GET') {
    const { manifest } = await parts.catalogue.open(id)
    const name = nameOf(call)
    const part = manifest.parts.find((candidate) => candidate.name === name)
    if (!part) throw new VaultFailure('not_found', 'This snapshot has no part of this name.')
    return { kind: 'bytes', bytes: parts.store.readPart(part) }
  }
  if (rest === 'receipt' && call.method === 'GET') return { kind: 'bytes', bytes: once(await parts.catalogue.receipt(id)) }
  if (rest === 'retention' && call.method === 'POST') {
    const { retainUntilMs } = await readJson(call.request, extendSchema, smallBodyBytesMax, bodyTimeoutMs)
    return document(snapshotJson(await parts.catalogue.extend(id, retainUntilMs, parts.clock)))
  }
  if (rest === 'hold' && call.method === 'POST') {
    const { reason } = await readJson(call.request, holdSchema, smallBodyBytesMax, bodyTimeoutMs)
    return document(snapshotJson(await parts.catalogue.hold(id, reason, parts.clock.nowMs())))
  }
  throw noSuchVerb()
}

async function answerWitness(parts: Pick<VaultParts, 'witness' | 'clock'>, call: Call, id: string | undefined): Promise<Answer> {
  if (id === undefined && call.method === 'GET') return document(parts.witness.state())
  if (call.method !== 'POST') throw noSuchVerb()
  const text = await readText(call.request, smallBodyBytesMax, bodyTimeoutMs)
  if (id === 'log') return document(await parts.witness.pin(text))
  if (id === 'rotate') return document(await parts.witness.rotate(text))
  if (id === 'add-checkpoint') return { kind: 'text', status: 200, text: await parts.witness.add(text, parts.clock.nowMs()) }
  throw noSuchVerb()
}

function newest(parts: VaultParts, call: Call): Answer {
  const snapshot = parts.catalogue.newest(call.query.get('upstream') ?? '')
  return document({ snapshot: snapshot ? snapshotJson(snapshot) : null })
}

/** What was let go after a time by the vault's clock, oldest first. */
function expiries(parts: VaultParts, call: Call): Answer {
  const after = afterSchema.safeParse(call.query.get('after') ?? 0)
  if (!after.success) throw new VaultFailure('bad_request', '`after` is not a time.')
  const later = parts.catalogue.expiries.filter(({ atMs }) => atMs > after.data).slice(0, pageMax)
  return document({ expiries: later.map((expiry) => ({ ...expiry })) })
}

/** Tries to lose, change or hide copies: those that came, or came again, after this number. */
function traces(parts: VaultParts, call: Call): Answer {
  const after = afterSchema.safeParse(call.query.get('after') ?? 0)
  if (!after.success) throw new VaultFailure('bad_request', '`after` is not a number.')
  const changed = parts.traces.after(after.data, pageMax)
  return document({ last: parts.traces.last, traces: changed.map((trace) => ({ ...trace })) })
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield bytes
}

function nameOf(call: Call): string {
  const [name, ...more] = call.query.getAll('name')
  if (name === undefined || more.length > 0) throw new VaultFailure('bad_request', 'This verb takes exactly one `name`.')
  return name
}

function snapshotJson(snapshot: Snapshot): Json {
  return { ...snapshot, checksums: { ...snapshot.checksums } }
}
