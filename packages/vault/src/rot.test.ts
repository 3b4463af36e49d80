import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hourMs, VaultBench } from '../../../tests/fakes/vault-bench.ts'

let bench: VaultBench
beforeAll(async () => {
  bench = new VaultBench()
  const vault = await bench.start()
  const bytes = Buffer.from(Array.from({ length: 9_000 }, (_, id) => `${id}\t${randomBytes(3).toString('hex')}\n`).join(''))
  await vault.seal(randomBytes(500), 0)
  const first = await vault.seal(bytes, hourMs)
  // Told by the first.
  const second = await vault.seal(
    Buffer.concat([bytes.subarray(0, 70_000), Buffer.from('changed'), bytes.subarray(70_100)]),
    hourMs,
  )
  await vault.extend(first, bench.time.wall + 5 * hourMs)
  await vault.catalogue.hold(second, 'a case', bench.time.wall)
  bench.pass(1_000)
  await vault.look()
})
afterAll(() => bench.remove())

function filesOf(kind: string): readonly string[] {
  const entries = readdirSync(join(bench.folder, kind), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

function replace(path: string, bytes: Uint8Array): void {
  rmSync(path)
  writeFileSync(path, bytes, { mode: 0o400 })
}

describe('rot', () => {
  it('there is one file of each kind at least', async () => {
    for (const kind of ['chunks', 'manifests', 'retention', 'holds', 'expired'])
      expect(filesOf(kind).length, kind).toBeGreaterThan(0)
    expect(await bench.verify()).toMatchObject({ ok: true, snapshots: 2, expired: 1 })
  })

  for (const kind of ['chunks', 'manifests', 'retention', 'holds', 'expired']) {
    it(`is found in ${kind}, wherever a bit flips, a byte is missing or one is too many`, async () => {
      for (const file of filesOf(kind)) {
        const bytes = readFileSync(file)
        const places = [0, 9, 45, Math.floor(bytes.length / 2), bytes.length - 20, bytes.length - 1]
        const rotted = places.map((place) => {
          const copy = Buffer.from(bytes)
          copy.writeUInt8(copy.readUInt8(place) ^ 0x10, place)
          return copy
        })
        for (const one of [...rotted, bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(10)]), Buffer.alloc(0)]) {
          replace(file, one)
          const { ok, damage } = await bench.verify()
          expect(ok, file).toBe(false)
          expect(
            damage.some((found) => found.file.includes(file.split('/').at(-1) ?? '')),
            file,
          ).toBe(true)
        }
        replace(file, bytes)
      }
      expect((await bench.verify()).ok).toBe(true)
    })
  }

  it('in a chunk is told with the bytes of the part that it takes away', async () => {
    const sizes = filesOf('chunks').map((file) => ({ file, bytes: readFileSync(file) }))
    const [largest] = sizes.toSorted((left, right) => right.bytes.length - left.bytes.length)
    if (!largest) throw new Error('no chunk')
    replace(largest.file, Buffer.from(largest.bytes).fill(0, 100, 101))
    const { damage, lost } = await bench.verify()
    expect(lost.length).toBeGreaterThan(0)
    expect(damage.every(({ range }) => range !== undefined && range.bytes > 0)).toBe(true)
    replace(largest.file, largest.bytes)
  })
})
