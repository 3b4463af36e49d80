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
