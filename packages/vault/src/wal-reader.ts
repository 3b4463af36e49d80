import { showLsn, type WalStream } from '@sallyport/core'
import { z } from 'zod'
import { readWholeVersion, type CopyStore } from './copy-store.ts'
import { toFailure, VaultFailure } from './failure.ts'
import type { ReadKey } from './key.ts'
import { hex64 } from './manifest.ts'
import { readRecords, type RecordKind, type ReportDamage } from './signed-record.ts'
import {
  aboutOf,
  describeWal,
  openWalPiece,
  parseWalName,
  readWalPiece,
  walEnd,
  walFileBytesMax,
  walName,
  type WalName,
  type WalPiece,
} from './wal-piece.ts'

const expirySchema = z.strictObject({
  v: z.literal(1),
  stream: z.string().regex(/^[0-9a-f]{32}$/),
  /** The last piece that was let go, and all before it with it. */
  sequence: z.int().min(1),
  id: hex64,
  atMs: z.int().min(0),
  agedMs: z.int().min(0),
})
export type WalExpiry = z.infer<typeof expirySchema>
/** The beginning of a stream was let go. Written before anything is removed. */
export const walExpiryRecord: RecordKind<WalExpiry> = {
  domain: 'wal-expired',
  prefix: 'wal-expired/',
  schema: expirySchema,
  nameOf: ({ stream, sequence }) => `${stream}-${String(sequence).padStart(12, '0')}`,
}

/** Names of a stream's pieces, in order, and what is wrong with that order. */
export interface WalChain {
  readonly stream: string
  readonly names: WalName[]
  storedBytes: number
  damage: string | null
}

/** The last expiry of each stream. */
export async function readWalExpiries(
  stores: readonly CopyStore[],
  publicKey: string,
  report: ReportDamage,
): Promise<ReadonlyMap<string, WalExpiry>> {
  const latest = new Map<string, WalExpiry>()
  for await (const expiry of readRecords(stores, publicKey, walExpiryRecord, report)) latest.set(expiry.stream, expiry)
  return latest
}

/** What lies in the stores, by stream, from names alone: what they say is proven when a piece is read. */
export async function listChains(
  stores: readonly CopyStore[],
  expiries: ReadonlyMap<string, WalExpiry>,
): Promise<{ readonly chains: ReadonlyMap<string, WalChain>; readonly leftover: readonly WalName[] }> {
  const sizes = new Map<string, number>()
  for (const store of stores) for await (const { name, bytes } of store.list('wal/')) sizes.set(name, bytes)
  const chains = new Map<string, WalChain>()
  const leftover: WalName[] = []
  for (const text of [...sizes.keys()].sort()) {
    const name = parseWalName(text)
    if (name === null) continue
    const gone = expiries.get(name.stream)?.sequence ?? 0
    if (name.sequence <= gone) {
      leftover.push(name)
      continue
    }
    const chain = chains.get(name.stream) ?? { stream: name.stream, names: [], storedBytes: 0, damage: null }
    chains.set(name.stream, chain)
    chain.damage ??= findBreak(chain.names.at(-1) ?? null, name, gone)
    chain.names.push(name)
    chain.storedBytes += sizes.get(text) ?? 0
  }
  return { chains, leftover }
}

function findBreak(before: WalName | null, name: WalName, gone: number): string | null {
  if (before === null)
    return name.sequence === gone + 1 ? null : `The first piece is ${describeWal(name)}; the ones before it are not there.`
  if (name.sequence === before.sequence + 1 && name.from === walEnd(before)) return null
  return `${describeWal(name)}, does not follow ${describeWal(before)}.`
}

/** @throws VaultFailure `damaged` when no store has it whole */
export async function readPiece(stores: readonly CopyStore[], publicKey: string, name: WalName): Promise<WalPiece> {
  const text = walName(name)
  const found: WalPiece[] = []
  let refusal: VaultFailure | null = null
  await readWholeVersion(stores, text, walFileBytesMax, (bytes) => {
    try {
      found.push(readWalPiece(publicKey, bytes, text))
    } catch (error) {
      refusal = toFailure(error)
    }
    return found.length > 0
  })
  const [piece] = found
  if (piece) return piece
  throw refusal ?? new VaultFailure('damaged', `WAL ${describeWal(name)}, is missing.`)
}

/** A stream in the vault's words, by its first and its last piece. */
export async function describeChain(stores: readonly CopyStore[], publicKey: string, chain: WalChain): Promise<WalStream | null> {
  const [first, last] = [chain.names[0], chain.names.at(-1)]
  if (first === undefined || last === undefined) return null
  const end = await readPiece(stores, publicKey, last)
  const begin = first === last ? end : await readPiece(stores, publicKey, first).catch(() => null)
  const { upstream, upstreamIdentity, timeline, segmentBytes } = end.head
  return {
    id: chain.stream,
    upstream,
    upstreamIdentity,
    timeline,
    segmentBytes,
    fromLsn: showLsn(first.from),
    toLsn: showLsn(walEnd(last)),
    pieces: chain.names.length,
    firstAtMs: begin?.head.madeAtMs ?? end.head.madeAtMs,
    lastAtMs: end.head.madeAtMs,
    storedBytes: chain.storedBytes,
    damage: chain.damage ?? (begin === null ? `${describeWal(first)}, cannot be read.` : null),
  }
}

/**
 * WAL from a position to the end of its stream, or through the first piece that was sealed at `untilMs` or later. Every piece is proven to be the vault's, to follow the one before, and to hold what was sealed.
 * @throws VaultFailure `not_found` for a position that the stream does not hold; `damaged` at the first byte that cannot be had
 */
export async function* readWal(
  stores: readonly CopyStore[],
  key: ReadKey,
  chain: WalChain,
  from: bigint,
  untilMs: number | null = null,
): AsyncGenerator<Buffer, void, undefined> {
  const start = chain.names.findIndex((name) => name.from <= from && from < walEnd(name))
  const last = chain.names.at(-1)
  if (start === -1 && last !== undefined && from === walEnd(last)) return
  if (start === -1) throw new VaultFailure('not_found', `The stream does not hold ${showLsn(from)}.`)
  let before: WalPiece | null = null
  for (const name of chain.names.slice(start)) {
    const piece = await readPiece(stores, key.publicKey, name)
    if (before !== null) checkFollows(before, piece)
    const plain = await openWalPiece(key, piece)
    yield before === null ? plain.subarray(Number(from - name.from)) : plain
    before = piece
    if (untilMs !== null && piece.head.madeAtMs >= untilMs) return
  }
}

/** @throws VaultFailure `damaged` */
export function checkFollows(before: WalPiece, piece: WalPiece): void {
  const fits =
    piece.name.sequence === before.name.sequence + 1 &&
    piece.head.previous === before.name.id &&
    piece.name.from === walEnd(before.name) &&
    aboutOf(piece.head) === aboutOf(before.head)
  if (!fits) throw new VaultFailure('damaged', `${describeWal(piece.name)}, does not follow ${describeWal(before.name)}.`)
}
