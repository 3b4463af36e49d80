import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadCatalogue, type Catalogue, type Loaded } from '../../packages/vault/src/catalogue.ts'
import type { CopyStore } from '../../packages/vault/src/copy-store.ts'
import { ExpiryKeeper } from '../../packages/vault/src/expiry.ts'
import { FolderStore } from '../../packages/vault/src/folder-store.ts'
import { signIdentity } from '../../packages/vault/src/identity.ts'
import { makeKeyFile, readKeyFile } from '../../packages/vault/src/key.ts'
import { OpenSeals, type SealLimits } from '../../packages/vault/src/open-seals.ts'
import { Store } from '../../packages/vault/src/store.ts'
import { TrustedClock } from '../../packages/vault/src/trusted-clock.ts'
import { VaultAge } from '../../packages/vault/src/vault-age.ts'
import { openFolder } from '../../packages/vault/src/vault-folder.ts'
import type { Report } from '../../packages/vault/src/verify-report.ts'
import { verifyFolder } from '../../packages/vault/src/verify.ts'
import { WalStreams } from '../../packages/vault/src/wal-streams.ts'

export const hourMs = 3_600_000

/** What a start makes of a folder. */
export interface Started {
  readonly streams: WalStreams
  readonly loaded: Loaded
  readonly catalogue: Catalogue
  readonly seals: OpenSeals
  readonly seal: (bytes: Buffer, retainMs: number) => Promise<string>
  readonly read: (id: string) => Promise<Buffer>
  readonly extend: (id: string, retainUntilMs: number) => Promise<unknown>
  readonly look: ExpiryKeeper['look']
}

/** A vault in this process, without its door: its time and its stores are in our hands, and a start costs no process. */
export class VaultBench {
  readonly folder: string
  readonly key = readKeyFile(makeKeyFile(randomBytes))
  readonly time = { wall: Date.now(), monotonic: 0 }
  readonly #limits: SealLimits
  readonly #makeStores: (folder: string) => readonly CopyStore[]
  #seals = 0

  constructor(
    limits: Partial<SealLimits> = {},
    makeStores: (folder: string) => readonly CopyStore[] = (folder) => [new FolderStore(folder)],
    folder = mkdtempSync(join(tmpdir(), 'spv-')),
  ) {
    this.folder = folder
    this.#limits = { openMax: 10, sealBytesMax: 1 << 30, storedBytesMax: null, idleMs: hourMs, ...limits }
    this.#makeStores = makeStores
    writeFileSync(join(this.folder, 'identity'), signIdentity(this.key))
  }

  /** `agedMs` was kept from before. */
  async start(agedMs = 0): Promise<Started> {
    const source = { wallMs: () => this.time.wall, monotonicMs: () => this.time.monotonic, boot: () => null }
    const store = new Store(this.folder, this.key.chunkKeys, this.#makeStores(this.folder))
    await store.prepare()
    const loaded = await loadCatalogue(store, this.key, null)
    const { catalogue } = loaded
    const clock = new TrustedClock(source, loaded.newestMs)
    const age = new VaultAge(source, { agedMs, boot: null })
    const seals = new OpenSeals(store, this.key, catalogue, clock, age, this.#limits, () => this.time.monotonic)
    const streams = new WalStreams(store, this.key, clock, age, () => true)
    await streams.load()
    const keeper = new ExpiryKeeper(store, catalogue, streams, clock, age)
    const seal = async (bytes: Buffer, retainMs: number): Promise<string> => {
      const id = String(this.#seals++).padStart(32, '0')
      await seals.begin({ seal: id, sealedBy: 'a'.repeat(16), upstream: 'db', upstreamIdentity: 'x', digest: 'd' }, retainMs)
      await seals.put(id, 'rows', piecesOf(bytes))
      const snapshot = await seals.finish(id, { kind: 'rows', rows: 1, bytes: bytes.length, checksums: {}, manifest: {} })
      return snapshot.id
    }
    const read = async (id: string): Promise<Buffer> => {
      const pieces: Buffer[] = []
      const { manifest } = await catalogue.open(id)
      for (const part of manifest.parts) for await (const piece of store.readPart(part)) pieces.push(piece)
      return Buffer.concat(pieces)
    }
    const extend = (id: string, retainUntilMs: number): Promise<unknown> => catalogue.extend(id, retainUntilMs, clock)
    return { loaded, catalogue, streams, seal, seals, read, extend, look: () => keeper.look() }
  }

  /** Time as it passes where nobody touches a clock. */
  pass(ms: number): void {
    this.time.wall += ms
    this.time.monotonic += ms
  }

  chunkFiles(): number {
    const entries = readdirSync(join(this.folder, 'chunks'), { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).length
  }

  async verify(): Promise<Report> {
    return await verifyFolder(await openFolder(this.folder, null))
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

async function* piecesOf(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}
