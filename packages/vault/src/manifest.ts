import { canonicalJson, snapshotKinds, type Json, type Snapshot } from '@sallyport/core'
import { z } from 'zod'
import { addressOf, basesMax, chunkBytesMax, decryptBox, encryptBox } from './chunk.ts'
import { VaultFailure } from './failure.ts'
import type { ReadKey, VaultKey } from './key.ts'
import { checkPartName } from './part-name.ts'
import { readSignedLine, writeSignedLine } from './signed-line.ts'

/** Bytes of a manifest file, at most. */
export const manifestBytesMax = 128 << 20
/** The content key for several recipients. */
const recoveryTextMax = 64 << 10
/** Parts in one snapshot, at most. */
export const partsMax = 20_000

export const hex64 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().min(0)

const chunkReference = z.strictObject({
  /** SHA-256 of the stored file. */
  address: hex64,
  /** Plaintext bytes. */
  bytes: z.int().min(1).max(chunkBytesMax),
  /** Bytes of the stored file. */
  stored: z.int().min(1),
  /** Addresses of the chunks that this one is told by: without them it cannot be read. */
  bases: z.array(hex64).min(1).max(basesMax).exactOptional(),
})
export type ChunkReference = z.infer<typeof chunkReference>

const outsideFields = {
  vault: hex64,
  /** 1, 2, 3 …: a gap is a manifest that was taken away. */
  sequence: z.int().min(1),
  /** Id of the snapshot before. */
  previous: hex64.nullable(),
  seal: z.string().regex(/^[0-9a-f]{32}$/),
  /** Which credential sealed it: a hash, not the credential. */
  sealedBy: z.string().regex(/^[0-9a-f]{16}$/),
  upstream: z.string().min(1).max(256),
  upstreamIdentity: z.string().max(1024),
  digest: z.string().max(256),
  madeAtMs: count,
  retainUntilMs: count,
  /** Plaintext bytes of all parts. */
  bytes: count,
  parts: z.array(z.strictObject({ bytes: count, chunks: z.array(chunkReference) })).max(partsMax),
  inside: z.base64(),
}

/** What anyone may read of a snapshot: enough to prove that every byte is there, nothing of what was copied. */
const outsideSchema = z.discriminatedUnion('v', [
  z.strictObject({ v: z.literal(1), ...outsideFields }),
  z.strictObject({
    v: z.literal(2),
    ...outsideFields,
    /** The vault's age when it was sealed: time in which it is known to have passed, whatever clocks say. */
    agedMs: count,
    /** The content key, encrypted to the recovery recipients (age); null when there were none. */
    recovery: z.base64().max(recoveryTextMax).nullable(),
  }),
])
export type Outside = z.infer<typeof outsideSchema>

/** What the gate says of a copy when it finishes it: the connector's SnapshotContent. */
export const contentSchema = z.strictObject({
  kind: z.enum(snapshotKinds),
  rows: count,
  bytes: count,
  checksums: z.record(z.string().min(1).max(1024), z.string().max(256)),
  manifest: z.json(),
})
export type Content = z.infer<typeof contentSchema>

/** What only the vault's key opens. `parts` are those of the outside, in the same order. */
const insideSchema = z.discriminatedUnion('v', [
  contentSchema.extend({
    v: z.literal(1),
    parts: z.array(z.strictObject({ name: z.string(), sha256: hex64 })).max(partsMax),
  }),
  contentSchema.extend({
    v: z.literal(2),
    /** `marks`: for each chunk, by what a later copy finds it again (see `markOf`). */
    parts: z.array(z.strictObject({ name: z.string(), sha256: hex64, marks: z.base64() })).max(partsMax),
  }),
])
export type Inside = z.infer<typeof insideSchema>

/** One part of a snapshot: where its chunks are and what they must add up to. */
export interface Part {
  readonly name: string
  readonly bytes: number
  /** SHA-256 of the plaintext. */
  readonly sha256: string
  readonly chunks: readonly ChunkReference[]
  /** One for each chunk, one after the other; empty where they were not kept. */
  readonly marks: Buffer
}

/** A manifest once opened. */
export interface Manifest {
  readonly id: string
  readonly outside: Outside
  readonly inside: Inside
  readonly parts: readonly Part[]
}

export type About = Pick<Outside, 'seal' | 'sealedBy' | 'upstream' | 'upstreamIdentity' | 'digest'>
export interface Place {
  readonly sequence: number
  readonly previous: string | null
  readonly madeAtMs: number
  readonly agedMs: number
  readonly retainUntilMs: number
  readonly recovery: string | null
}

/** The encrypted half of a manifest. Made before the vault's turn in line is taken, since only the outside depends on the sequence. */
export async function encryptInside(key: VaultKey, content: Content, parts: readonly Part[]): Promise<string> {
  const named = parts.map(({ name, sha256, marks }) => ({ name, sha256, marks: marks.toString('base64') }))
  const inside: Json = { v: 2, ...content, parts: named }
  return (await encryptBox(key.chunkKeys, 'inside', Buffer.from(canonicalJson(inside)))).toString('base64')
}

function chunkJson({ address, bytes, stored, bases }: ChunkReference): Json {
  return { address, bytes, stored, ...(bases === undefined ? {} : { bases: [...bases] }) }
}

/** The bytes of a signed manifest file and the id they give. */
export function signManifest(
  key: VaultKey,
  about: About,
  place: Place,
  parts: readonly Part[],
  inside: string,
): { readonly id: string; readonly bytes: Buffer } {
  const outside: Json = {
    v: 2,
    vault: key.publicKey,
    ...about,
    ...place,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    parts: parts.map((part) => ({ bytes: part.bytes, chunks: part.chunks.map(chunkJson) })),
    inside,
  }
  const bytes = writeSignedLine(key, 'manifest', outside)
  if (bytes.length > manifestBytesMax) throw new VaultFailure('too_large', 'The manifest of this snapshot would be too large.')
  return { id: addressOf(bytes), bytes }
}

/** Checks a manifest without the vault's secret: signature, form, sizes. @throws VaultFailure `damaged` */
export function readOutside(publicKey: string, bytes: Uint8Array): Outside {
  const parsed = outsideSchema.safeParse(readSignedLine(publicKey, 'manifest', bytes))
  if (!parsed.success) throw new VaultFailure('damaged', 'A signed manifest has another form than this version knows.')
  const outside = parsed.data
  if (outside.vault !== publicKey) throw new VaultFailure('damaged', 'A manifest is of another vault.')
  const wrong = outside.parts.some((part) => part.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0) !== part.bytes)
  if (wrong) throw new VaultFailure('damaged', 'The sizes in a manifest do not add up.')
  return outside
}

/** Which vault a manifest says it is of: worth something only once `readOutside` proved that this vault signed it. @throws VaultFailure */
export function claimedVault(bytes: Uint8Array): string {
  const [line = ''] = Buffer.from(bytes).toString('utf8').split('\n')
  try {
    return z.object({ vault: hex64 }).parse(JSON.parse(line)).vault
  } catch (error) {
    throw new VaultFailure('damaged', 'A manifest names no vault.', { cause: error })
  }
}

/** Checks and opens a manifest. @throws VaultFailure `damaged` */
export async function openManifest(key: ReadKey, bytes: Uint8Array): Promise<Manifest> {
  const outside = readOutside(key.publicKey, bytes)
  const text = (await decryptBox(key.chunkKeys, 'inside', Buffer.from(outside.inside, 'base64'))).toString('utf8')
  const parsed = insideSchema.safeParse(JSON.parse(text))
  if (!parsed.success || parsed.data.parts.length !== outside.parts.length) {
    throw new VaultFailure('damaged', 'The inside of a manifest does not fit its outside.')
  }
  const inside = parsed.data
  const parts = outside.parts.map((part, index): Part => {
    const named = inside.parts[index]
    if (!named) throw new VaultFailure('damaged', 'The inside of a manifest does not fit its outside.')
    const marks = Buffer.from('marks' in named ? named.marks : '', 'base64')
    return { name: checkPartName(named.name), sha256: named.sha256, bytes: part.bytes, chunks: part.chunks, marks }
  })
  return { id: addressOf(bytes), outside, inside, parts }
}

/** A manifest in the words the gate uses. `retainUntilMs` may have been extended since it was sealed. */
export function toSnapshot(manifest: Manifest, retainUntilMs: number): Snapshot {
  const { outside, inside, id } = manifest
  return {
    id,
    kind: inside.kind,
    upstream: outside.upstream,
    upstreamIdentity: outside.upstreamIdentity,
    digest: outside.digest,
    madeAtMs: outside.madeAtMs,
    rows: inside.rows,
    bytes: inside.bytes,
    checksums: inside.checksums,
    retainUntilMs: Math.max(outside.retainUntilMs, retainUntilMs),
  }
}
