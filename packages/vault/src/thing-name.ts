import { listNames, type CopyStore } from './copy-store.ts'
import type { ChunkReference } from './manifest.ts'

/** A manifest file's name: its place in the sequence and its id. */
export interface ManifestName {
  readonly sequence: number
  readonly id: string
}

/** Everything that must be there for these chunks to be read, each once. */
export function addressesOf(chunks: readonly ChunkReference[]): readonly string[] {
  return [...new Set(chunks.flatMap(({ address, bases = [] }) => [address, ...bases]))]
}

/** Where a chunk lies in every store. */
export function chunkName(address: string): string {
  return `chunks/${address.slice(0, 2)}/${address}`
}

export function manifestName(name: ManifestName): string {
  return `manifests/${String(name.sequence).padStart(12, '0')}-${name.id}`
}

/** Null for what is not a manifest's name. */
export function parseManifestName(path: string): ManifestName | null {
  const [, sequence, id] = /^manifests\/(\d{12})-([0-9a-f]{64})$/.exec(path) ?? []
  return sequence === undefined || id === undefined ? null : { sequence: Number(sequence), id }
}

export async function listManifests(stores: readonly CopyStore[]): Promise<readonly ManifestName[]> {
  return (await listNames(stores, 'manifests/')).map(parseManifestName).filter((name) => name !== null)
}

const namePatterns = [
  /^chunks\/([0-9a-f]{2})\/\1[0-9a-f]{62}$/,
  /^manifests\/\d{12}-[0-9a-f]{64}$/,
  /^(retention|holds)\/[0-9a-f]{64}-\d{16}$/,
  /^expired\/\d{12}-[0-9a-f]{64}$/,
  /^wal\/[0-9a-f]{32}-\d{12}-[0-9a-f]{16}-\d{7}-[0-9a-f]{64}$/,
  /^wal-expired\/[0-9a-f-]{32,200}$/,
]

/** Whether the vault gives such names at all. */
export function isThingName(name: string): boolean {
  return namePatterns.some((pattern) => pattern.test(name))
}

/** What a name says of the bytes under it: their SHA-256, or null where only a signature inside them tells. */
export function hashInName(name: string): string | null {
  return /^(?:chunks\/[0-9a-f]{2}\/|manifests\/\d{12}-)([0-9a-f]{64})$/.exec(name)?.[1] ?? null
}
