import { createHash, randomBytes } from 'node:crypto'
import { SallyportError, type Seal, type SnapshotContent, type Vault } from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** What a Vault must be started with to be tried. */
export interface VaultUnderTest {
  readonly vault: Vault
  /** Ends the vault and starts it again on the same store. */
  restart(): Promise<Vault>
  stop(): Promise<void>
}

const day = 86_400_000
const about = { upstream: 'orders-db', upstreamIdentity: 'system:1/database:2', digest: 'a'.repeat(64), retainMs: 7 * day }

async function* pieces(...all: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const piece of all) yield typeof piece === 'string' ? Buffer.from(piece) : piece
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of source) all.push(piece)
  return Buffer.concat(all)
}

function content(more: Partial<SnapshotContent> = {}): SnapshotContent {
  return {
    kind: 'tables',
    rows: 2,
    bytes: 10,
    checksums: { 'public.orders': 'b'.repeat(64) },
    manifest: { ddl: ['create table "öäü"()'] },
    ...more,
  }
}

function putOne(name: string, ...all: readonly (Uint8Array | string)[]): (seal: Seal) => Promise<SnapshotContent> {
  return async (seal) => {
    await seal.put({ name, bytes: pieces(...all) })
    return content()
  }
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return error.code
    throw error
  }
  return 'no error'
}

/** What every Vault must do, whatever it keeps its copies on. */
export function describeVault(name: string, start: () => Promise<VaultUnderTest>): void {
  describe(`vault contract: ${name}`, () => {
    let under: VaultUnderTest
    let vault: Vault
    beforeAll(async () => {
      under = await start()
      vault = under.vault
    })
    afterAll(async () => await under.stop())

    it('seals parts, gives them back unchanged and says what it has', async () => {
      const big = randomBytes(3 * 1024 * 1024 + 17)
      let sum = ''
      const snapshot = await vault.seal(about, async (seal) => {
        const taken = await seal.put({ name: 'tables/public.orders/data', bytes: pieces(big.subarray(0, 5), big.subarray(5)) })
        sum = taken.sha256
        expect(taken.bytes).toBe(big.length)
        await seal.put({ name: 'tables/public.orders/ddl', bytes: pieces('create table orders()') })
        await seal.put({ name: 'empty', bytes: pieces() })
        expect(big.equals(await collect(seal.read('tables/public.orders/data')))).toBe(true)
        expect(await collect(seal.read('empty'))).toEqual(Buffer.alloc(0))
        return content({ kind: 'rows', rows: 7 })
      })
      expect(sum).toBe(createHash('sha256').update(big).digest('hex'))
      expect(snapshot).toMatchObject({
        kind: 'rows',
        rows: 7,
        bytes: 10,
        upstream: about.upstream,
        digest: about.digest,
        checksums: content().checksums,
      })
      expect(snapshot.id).toMatch(/^[0-9a-f]{64}$/)
      expect(snapshot.retainUntilMs - snapshot.madeAtMs).toBe(about.retainMs)
      const opened = await vault.open(snapshot.id)
      expect(opened.snapshot).toEqual(snapshot)
      expect(opened.manifest).toEqual(content().manifest)
      expect(opened.checksums).toEqual(content().checksums)
      expect(big.equals(await collect(opened.read('tables/public.orders/data')))).toBe(true)
      expect(await collect(opened.read('empty'))).toEqual(Buffer.alloc(0))
    })

    it('keeps names apart that differ only by case, by Unicode form or by a dot', async () => {
      const names = [
        'tables/Orders/data',
        'tables/orders/data',
        'tables/o\u0308',
        'tables/\u00f6',
        'tables/.hidden',
        'tables/...',
      ]
      const snapshot = await vault.seal(about, async (seal) => {
        for (const [index, name] of names.entries()) await seal.put({ name, bytes: pieces(`part ${index}`) })
        return content()
      })
      const opened = await vault.open(snapshot.id)
      for (const [index, name] of names.entries()) expect((await collect(opened.read(name))).toString()).toBe(`part ${index}`)
    })

    it('takes a part once', async () => {
      const before = await vault.list()
      const twice = vault.seal(about, async (seal) => {
        await seal.put({ name: 'data', bytes: pieces('first') })
        await expect(seal.put({ name: 'data', bytes: pieces('second') })).rejects.toMatchObject({ code: 'copy_failed' })
        expect((await collect(seal.read('data'))).toString()).toBe('first')
        return content()
      })
      await twice
      expect((await vault.list()).length).toBe(before.length + 1)
    })

    it('takes nothing more once a seal is finished', async () => {
      let kept: Seal | undefined
      const snapshot = await vault.seal(about, async (seal) => {
        kept = seal
        await seal.put({ name: 'data', bytes: pieces('first') })
        return content()
      })
      expect(await codeOf(kept?.put({ name: 'late', bytes: pieces('late') }) ?? Promise.resolve())).toBe('copy_failed')
      expect(await codeOf(kept?.put({ name: 'data', bytes: pieces('over') }) ?? Promise.resolve())).toBe('copy_failed')
      const opened = await vault.open(snapshot.id)
      expect((await collect(opened.read('data'))).toString()).toBe('first')
      expect(await codeOf((async () => await collect(opened.read('late')))())).toBe('copy_failed')
    })

    it('makes no snapshot when the connector gives up', async () => {
      const before = await vault.list()
      const given = new SallyportError('target_changed', 'The table changed.', 'Nothing was copied.', 'Ask again.')
      const work = vault.seal(about, async (seal) => {
        await seal.put({ name: 'data', bytes: pieces('half') })
        throw given
      })
      await expect(work).rejects.toBe(given)
      expect(await vault.list()).toEqual(before)
    })

    it('makes no snapshot when a part breaks off, even if the connector looks away; the part can be tried again', async () => {
      const before = await vault.list()
      const broken = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
        yield randomBytes(2_000_000)
        throw new SallyportError('upstream_failed', 'The server went away.', 'Nothing was copied.', 'Ask again.')
      }
      const ignored = vault.seal(about, async (seal) => {
        await seal.put({ name: 'data', bytes: broken() }).catch(() => undefined)
        return content()
      })
      expect(await codeOf(ignored)).toBe('copy_failed')
      expect(await vault.list()).toEqual(before)
      const again = await vault.seal(about, async (seal) => {
        await expect(seal.put({ name: 'data', bytes: broken() })).rejects.toMatchObject({ code: 'upstream_failed' })
        await seal.put({ name: 'data', bytes: pieces('whole') })
        return content()
      })
      expect((await collect((await vault.open(again.id)).read('data'))).toString()).toBe('whole')
    })

    it('refuses part names that could leave a folder, fool a terminal or be too much', async () => {
      const long = ['x'.repeat(256), 'ö'.repeat(128), 'a/'.repeat(600), 'a/b/c/d/e/f/g/h/i']
      const hostile = [
        '',
        '/etc/passwd',
        '../up',
        '..',
        'a/../b',
        'a//b',
        'a/',
        './a',
        'a\\b',
        'a\0b',
        'a\nb',
        'a\u202eb',
        'a\u2028b',
        'a\ud800b',
      ]
      for (const partName of [...hostile, ...long]) {
        expect(await codeOf(vault.seal(about, putOne(partName, 'x'))), JSON.stringify(partName)).toBe('copy_failed')
      }
    })

    it('lists newest first, and names the newest copy of an upstream', async () => {
      const upstream = `upstream-${randomBytes(4).toString('hex')}`
      expect(await vault.newest(upstream)).toBeNull()
      const first = await vault.seal({ ...about, upstream }, putOne('data', 'same'))
      const second = await vault.seal({ ...about, upstream }, putOne('data', 'same'))
      expect(first.id).not.toBe(second.id)
      expect(await vault.newest(upstream)).toEqual(second)
      expect((await vault.list()).filter((one) => one.upstream === upstream)).toEqual([second, first])
    })

    it('keeps seals that are filled at the same time apart', async () => {
      const texts = Array.from({ length: 8 }, (_, index) => `seal ${index} `.repeat(50_000))
      const snapshots = await Promise.all(texts.map((text) => vault.seal(about, putOne('data', text))))
      for (const [index, snapshot] of snapshots.entries()) {
        expect((await collect((await vault.open(snapshot.id)).read('data'))).toString()).toBe(texts[index])
      }
    })

    it('refuses what it does not have, in the words of the gate', async () => {
      expect(await codeOf(vault.open('0'.repeat(64)))).toBe('copy_failed')
      expect(await codeOf(vault.open('../../key'))).toBe('copy_failed')
    })

    it('has everything still after a restart', async () => {
      const before = await vault.list()
      vault = await under.restart()
      expect(await vault.list()).toEqual(before)
      const [newest] = before
      expect(await vault.newest(newest?.upstream ?? '')).toEqual(newest)
    })
  })
}
