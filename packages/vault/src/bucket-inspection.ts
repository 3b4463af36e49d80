import type { ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3'
import { addressOf } from './chunk.ts'
import { getUnlessDamaged, type CopyStore, type Version } from './copy-store.ts'
import { hashInName, isThingName } from './thing-name.ts'
import type { Finding } from './trace-book.ts'

/** What the store knows of what it did itself. */
export interface OwnPuts {
  /** Version ids of every name, oldest first. */
  readonly index: ReadonlyMap<string, readonly Version[]>
  /** Names that are being put right now: what lies there may be ours. */
  readonly putting: ReadonlyMap<string, number>
  /** Takes a version for ours when it has the bytes of a put that came to an end without an answer, or was sent twice. */
  adopt(version: Version, etag: string): boolean
}

interface Listed extends Version {
  readonly etag: string
}
type Found = Omit<Finding, 'place'>

/** What is put is a chunk or a manifest: see `manifestBytesMax`. */
const thingBytesMax = 128 << 20

/** Compares a whole bucket with what one process found when it opened it, and has put since. */
export class BucketInspection {
  readonly #store: Pick<CopyStore, 'get'>
  readonly #own: OwnPuts
  /** Versions that were not put by us since the start, but are what their name says. */
  readonly #harmless = new Set<string>()
  readonly #foreign = new Map<string, Found>()

  constructor(store: Pick<CopyStore, 'get'>, own: OwnPuts) {
    this.#store = store
    this.#own = own
  }

  /** `nameOf` takes the prefix off a key. */
  async *inspect(
    pages: AsyncIterable<ListObjectVersionsCommandOutput>,
    nameOf: (key: string) => string,
  ): AsyncGenerator<Found, void, undefined> {
    const before = new Map([...this.#own.index].map(([name, versions]) => [name, versions]))
    const listed = new Map<string, Listed[]>()
    for await (const { Versions = [], DeleteMarkers = [] } of pages) {
      for (const { Key, VersionId, Size, ETag } of Versions) {
        if (Key === undefined || VersionId === undefined) continue
        const name = nameOf(Key)
        listed.set(name, [{ name, version: VersionId, bytes: Size ?? 0, etag: ETag ?? '' }, ...(listed.get(name) ?? [])])
      }
      for (const { Key, VersionId } of DeleteMarkers) {
        const what = 'A delete marker hides this. What was sealed is still there, and is read by its version.'
        if (Key !== undefined) yield { kind: 'hidden', name: nameOf(Key), mark: VersionId ?? '', what }
      }
    }
    for (const [name, versions] of listed) yield* this.#judge(name, versions)
    yield* this.#missing(before, listed)
  }

  async *#judge(name: string, versions: readonly Listed[]): AsyncGenerator<Found, void, undefined> {
    const known = new Set((this.#own.index.get(name) ?? []).map(({ version }) => version))
    const several = new Set(versions.map(({ etag }) => etag)).size > 1
    for (const one of versions) {
      const key = `${name} ${one.version}`
      const told = this.#foreign.get(key)
      if (told) yield told
      if (told || this.#harmless.has(key)) continue
      if (isThingName(name) && known.has(one.version) && !several) continue
      const found = await this.#judgeVersion(one, versions, known.has(one.version))
      if (found === null) continue
      this.#foreign.set(key, found)
      yield found
    }
  }

  async #judgeVersion(one: Listed, versions: readonly Listed[], isKnown: boolean): Promise<Found | null> {
    const { name, version } = one
    const mark = version
    if (!isThingName(name)) return { kind: 'foreign_object', name, mark, what: 'The vault gives nothing such a name.' }
    if (isKnown) {
      const isWhole = await this.#isWhole(one, versions)
      if (isWhole) this.#harmless.add(`${name} ${version}`)
      const what = 'Other bytes lie under this name beside what was sealed, and are not read.'
      return isWhole ? null : { kind: 'foreign_version', name, mark, what }
    }
    if (this.#own.putting.has(name) || this.#own.adopt(one, one.etag)) return null
    const isAlone = versions.length === 1
    const what = isAlone
      ? 'The vault did not put this here.'
      : 'Somebody put this under the name of what was sealed. What was sealed is still there, and is read by its version.'
    return { kind: isAlone ? 'foreign_object' : 'foreign_version', name, mark, what }
  }

  /** Of several that lay there at the start: those whose bytes have the hash in the name; elsewhere those that are as the oldest. */
  async #isWhole(one: Listed, versions: readonly Listed[]): Promise<boolean> {
    const hash = hashInName(one.name)
    if (hash === null) return versions[0]?.etag === one.etag
    const held = await getUnlessDamaged(this.#store, one, thingBytesMax)
    return held !== null && addressOf(held.bytes) === hash
  }

  *#missing(before: OwnPuts['index'], listed: ReadonlyMap<string, readonly Listed[]>): Generator<Found, void, undefined> {
    for (const [name, versions] of before) {
      const there = new Set((listed.get(name) ?? []).map(({ version }) => version))
      const kept = new Set((this.#own.index.get(name) ?? []).map(({ version }) => version))
      const what = 'This was here, and is gone before the vault let it go: only whoever runs the storage can do that.'
      for (const { version } of versions)
        if (!there.has(version) && kept.has(version)) yield { kind: 'gone', name, mark: version, what }
    }
  }
}
