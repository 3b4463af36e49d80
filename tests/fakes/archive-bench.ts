import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import {
  canonicalJson,
  type Event,
  noteSigner,
  readReceipt,
  SallyportError,
  signatureTypes,
  type SnapshotContent,
  type Vault,
} from '@sallyport/core'
import { type FileLog, openLog } from '../../packages/gateway/src/log/file-log.ts'
import { LogArchive, type ArchivePorts, type ArchiveSettings } from '../../packages/gateway/src/log/log-archive.ts'
import { FailingDisk } from './failing-disk.ts'
import { MemorySeal } from './memory-seal.ts'
import { MemoryWitness } from './memory-witness.ts'

const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
const cosigner = noteSigner('vault.example/witness', Buffer.alloc(32, 8), signatureTypes.cosignature)
const directory = '/log'
export const dayMs = 86_400_000
const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => {} }
const settings = { afterMs: 0, forMs: 10 * dayMs, drop: true }
/** Small segments, so that a few hundred entries are several of them, none of which ends with a bundle. */
const segmentBytesMax = 20_000

/** A vault in memory that signs what it sealed. `tamper` changes what it gives back. */
export class SigningVault implements Pick<Vault, 'seal' | 'open'> {
  readonly #pair = generateKeyPairSync('ed25519')
  readonly publicKey = Buffer.from(this.#pair.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex')
  readonly sealed = new Map<string, { readonly seal: MemorySeal; readonly receipt: Buffer; readonly content: SnapshotContent }>()
  tamper: (bytes: Buffer) => Buffer = (bytes) => bytes
  forge: (line: string) => string = (line) => line

  async seal(about: Parameters<Vault['seal']>[0], fill: Parameters<Vault['seal']>[1]): ReturnType<Vault['seal']> {
    const seal = new MemorySeal()
    const content = await fill(seal)
    const { upstream, upstreamIdentity, digest, retainMs } = about
    const times = { madeAtMs: clock.nowMs(), retainUntilMs: clock.nowMs() + retainMs }
    const line = this.forge(canonicalJson({ vault: this.publicKey, upstream, upstreamIdentity, digest, ...times }))
    const signature = sign(null, Buffer.from(`sallyport vault manifest v1\n${line}`), this.#pair.privateKey).toString('base64')
    const receipt = Buffer.from(`${line}\n${signature}\n`)
    const id = createHash('sha256').update(receipt).digest('hex')
    this.sealed.set(id, { seal, receipt, content })
    return { id, ...content, upstream, upstreamIdentity, digest, ...times }
  }

  async open(id: string): ReturnType<Vault['open']> {
    const found = this.sealed.get(id)
    if (found === undefined) throw new SallyportError('copy_failed', 'There is no such snapshot.', '', '')
    const { seal, content, receipt } = found
    seal.tamper = (_, bytes) => this.tamper(bytes)
    const { first, next, origin, ...range } = readReceipt(receipt)
    const snapshot = { ...content, ...range, id, upstream: '', upstreamIdentity: origin, digest: `${first}-${next}` }
    return { ...seal.reader(content), snapshot }
  }

  async receipt(id: string): Promise<Buffer> {
    return this.sealed.get(id)?.receipt ?? Buffer.alloc(0)
  }
}

export const event = (place: number): Event => ({
  type: 'statement',
  atMs: 1_600_000_000_000,
  data: { place, note: 'x'.repeat(60) },
})
export const count = 900

/** A log on a disk that can fail, a witness, and a vault for its old entries. */
export class ArchiveBench {
  readonly directory = directory
  readonly signer = signer
  readonly vault = new SigningVault()
  readonly witness = new MemoryWitness(cosigner, signer.key)
  disk = new FailingDisk()

  readonly #opened: FileLog[] = []

  async open(disk = this.disk, archive: SigningVault | null = this.vault): Promise<FileLog> {
    this.disk = disk
    const options = { directory, signer, clock, witness: this.witness, archive, segmentBytesMax }
    const log = await openLog({ ...options, system: disk.system, scanBytesMax: 0 })
    this.#opened.push(log)
    return log
  }

  async filled(): Promise<FileLog> {
    const log = await this.open()
    for (let place = 0; place < count; place += 60)
      await Promise.all(Array.from({ length: 60 }, (_, more) => log.append(event(place + more))))
    await log.publish()
    return log
  }

  archiveOf(log: FileLog, more: Partial<ArchivePorts> = {}, changed: Partial<ArchiveSettings> = {}): LogArchive {
    const ports = { log, vault: this.vault, system: this.disk.system, directory, origin: signer.key.name, clock }
    return new LogArchive({ ...ports, ...more }, { ...settings, ...changed })
  }

  async close(): Promise<void> {
    for (const log of this.#opened.splice(0)) await log.close().catch(() => undefined)
  }
}

/** Where its first segment begins. */
export const firstOf = (log: FileLog): number => log.segments()[0]?.first ?? NaN

export async function places(log: FileLog): Promise<readonly unknown[]> {
  return (await log.read(0, 10_000)).flatMap(({ event: { type, data } }) => (type === 'statement' ? [data['place']] : []))
}
export const all = Array.from({ length: count }, (_, place) => place)
