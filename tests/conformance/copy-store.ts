import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  extendProven,
  keepWhole,
  listNames,
  putMissing,
  readWholeVersion,
  type CopyStore,
  type Staged,
} from '../../packages/vault/src/copy-store.ts'
import { VaultFailure } from '../../packages/vault/src/failure.ts'

/** What a CopyStore must be started with to be tried. */
export interface CopyStoreUnderTest {
  readonly store: CopyStore
  /** The same place, as another process finds it. */
  again(): Promise<CopyStore>
  /** Changes or adds bytes under a name as somebody would who goes around the vault. */
  scribble(name: string, bytes: Uint8Array): Promise<void>
  stop(): Promise<void>
}

const bytesMax = 1 << 20
const hourMs = 3_600_000

/** What every store must do, whatever it keeps copies on. */
export function describeCopyStore(name: string, start: () => Promise<CopyStoreUnderTest>): void {
  describe(`copy store contract: ${name}`, () => {
    let under: CopyStoreUnderTest
    let store: CopyStore
    const staging = mkdtempSync(join(tmpdir(), 'spv-staging-'))
    const retainUntilMs = Date.now() + 24 * hourMs
    beforeAll(async () => {
      under = await start()
      store = under.store
      await store.prepare()
    })
    afterAll(async () => {
      rmSync(staging, { recursive: true, force: true })
      await under.stop()
    })

    const stage = (bytes: Uint8Array): Staged => {
      const address = hashOf(bytes)
      const path = join(staging, randomBytes(8).toString('hex'))
      writeFileSync(path, bytes, { mode: 0o400 })
      return { name: `chunks/${address.slice(0, 2)}/${address}`, path, durable: false }
    }
    const isWhole =
      ({ name: wanted }: Staged) =>
      (bytes: Buffer): boolean =>
        wanted.endsWith(hashOf(bytes))
    const keep = (staged: Staged, untilMs = retainUntilMs): Promise<Buffer> =>
      keepWhole(store, staged, untilMs, bytesMax, isWhole(staged))

    it('gives back what was put, and says until when it keeps it', async () => {
      const bytes = randomBytes(100_000)
      const staged = stage(bytes)
      await store.put([staged], retainUntilMs)
      const versions = await store.versions(staged.name)
      expect(versions).toMatchObject([{ name: staged.name, bytes: bytes.length }])
      const [version] = versions
      if (!version) throw new Error('no version')
      const held = await store.get(version, bytesMax)
      expect(held?.bytes.equals(bytes)).toBe(true)
      expect(held?.retainUntilMs).toBeGreaterThanOrEqual(retainUntilMs)
      expect(held?.retainUntilMs).toBeLessThan(retainUntilMs + 1_000)
      expect(await store.head(version)).toBe(held?.retainUntilMs)
      await expect(store.get(version, 10)).rejects.toMatchObject({ code: 'damaged' })
    })

    it('has nothing under a name that nobody put', async () => {
      const nobody = `chunks/00/${'0'.repeat(64)}`
      expect(await store.versions(nobody)).toEqual([])
      expect(await readWholeVersion([store], nobody, bytesMax, () => true)).toBeNull()
    })

    it('makes retention longer, and never shorter', async () => {
      const staged = stage(randomBytes(100))
      await keep(staged)
      const [version] = await store.versions(staged.name)
      if (!version) throw new Error('no version')
      await extendProven(store, version, retainUntilMs + hourMs)
      expect(await store.head(version)).toBeGreaterThanOrEqual(retainUntilMs + hourMs)
      await store.extend(version, retainUntilMs).catch(() => undefined)
      expect(await store.head(version)).toBeGreaterThanOrEqual(retainUntilMs + hourMs)
    })

    it('keeps what is there already, and only makes its retention long enough', async () => {
      const staged = stage(randomBytes(100))
      await keep(staged)
      await putMissing(store, [staged], retainUntilMs + 2 * hourMs)
      await keep(staged, retainUntilMs + 2 * hourMs)
      const versions = await store.versions(staged.name)
      expect(versions.length).toBe(1)
      for (const version of versions) expect(await store.head(version)).toBeGreaterThanOrEqual(retainUntilMs + 2 * hourMs)
    })

    it('removes nothing whose retention has not ended, whatever the caller’s clock says', async () => {
      const staged = stage(randomBytes(100))
      await keep(staged)
      const [version] = await store.versions(staged.name)
      if (!version) throw new Error('no version')
      await expect(store.remove(version, Date.now())).rejects.toMatchObject({ code: 'retention_in_force' })
      if (store.locks) await expect(store.remove(version, retainUntilMs + 10 * hourMs)).rejects.toThrow('AccessDenied')
      expect((await store.get(version, bytesMax))?.bytes.length).toBe(100)
    })

    it('puts again what somebody else changed, and reads what was sealed', async () => {
      const staged = stage(randomBytes(200))
      const whole = await keep(staged)
      await under.scribble(staged.name, Buffer.from('not what was sealed'))
      store = await under.again()
      await store.prepare()
      expect((await keep(stageAgain(staged, whole))).equals(whole)).toBe(true)
      const read = await readWholeVersion([store], staged.name, bytesMax, isWhole(staged))
      expect(read?.equals(whole)).toBe(true)
    })

    it('reads from the next store what one has lost', async () => {
      const staged = stage(randomBytes(50))
      await keep(staged)
      const [empty] = [emptyStore(store)]
      expect((await readWholeVersion([empty, store], staged.name, bytesMax, isWhole(staged)))?.length).toBe(50)
      const broken: CopyStore = { ...empty, versions: () => Promise.reject(new VaultFailure('storage_failed', 'unplugged')) }
      expect((await readWholeVersion([broken, store], staged.name, bytesMax, isWhole(staged)))?.length).toBe(50)
      await expect(readWholeVersion([broken, empty], staged.name, bytesMax, isWhole(staged))).rejects.toThrow('unplugged')
    })

    it('believes no retention that was not read back', async () => {
      const staged = stage(randomBytes(60))
      await keep(staged)
      const forgetful: CopyStore = { ...bound(store), extend: async () => {} }
      await expect(keepWhole(forgetful, staged, retainUntilMs + 9 * hourMs, bytesMax, isWhole(staged))).rejects.toMatchObject({
        code: 'read_back_failed',
      })
    })

    it('lists everything after a new start, in pieces if it is much', async () => {
      const before = new Set(await listNames([store], 'chunks/'))
      const many = Array.from({ length: 30 }, () => stage(randomBytes(40)))
      await store.put(many, retainUntilMs)
      store = await under.again()
      await store.prepare()
      const names = await listNames([store], 'chunks/')
      for (const { name: each } of many) expect(names).toContain(each)
      for (const each of before) expect(names).toContain(each)
      expect(await listNames([store], 'manifests/')).toEqual([])
    })

    const stageAgain = (staged: Staged, bytes: Buffer): Staged => ({ ...stage(bytes), name: staged.name })
  })
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A class's methods are not its own properties, so a copy of it would lack them. */
function bound(store: CopyStore): CopyStore {
  return {
    place: store.place,
    worth: store.worth,
    locks: store.locks,
    fastens: store.fastens,
    prepare: () => store.prepare(),
    put: (staged, untilMs) => store.put(staged, untilMs),
    fasten: (names) => store.fasten(names),
    versions: (name) => store.versions(name),
    get: (version, bytesMax) => store.get(version, bytesMax),
    head: (version) => store.head(version),
    extend: (version, untilMs) => store.extend(version, untilMs),
    list: (prefix) => store.list(prefix),
    describe: (version) => store.describe(version),
    hidden: () => store.hidden(),
    inspect: () => store.inspect(),
    setup: () => store.setup(),
    remove: (version, nowMs) => store.remove(version, nowMs),
  }
}

function emptyStore(like: CopyStore): CopyStore {
  return { ...bound(like), versions: () => Promise.resolve([]) }
}
