import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { hourMs, VaultBench } from '../../../tests/fakes/vault-bench.ts'
import type { CopyStore } from './copy-store.ts'
import { FolderStore } from './folder-store.ts'

const benches: VaultBench[] = []
afterEach(() => {
  for (const bench of benches.splice(0)) bench.remove()
})

/** Counts down with every call of a store; at zero the disk is full, and stays so. */
interface Countdown {
  left: number
}

/** A store whose disk is full from some call on. `isAfter`: the call is done, but nobody is told. */
function fillUp(store: CopyStore, countdown: Countdown, isAfter: boolean): CopyStore {
  const full = (): never => {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  }
  const counted = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    countdown.left--
    if (countdown.left > 0) return await call()
    if (isAfter && countdown.left === 0) await call()
    return full()
  }
  return {
    place: store.place,
    worth: store.worth,
    locks: store.locks,
    fastens: store.fastens,
    prepare: () => store.prepare(),
    put: (staged, untilMs) => counted(() => store.put(staged, untilMs)),
    fasten: (names) => counted(() => store.fasten(names)),
    versions: (name) => counted(() => store.versions(name)),
    get: (version, bytesMax) => counted(() => store.get(version, bytesMax)),
    head: (version) => counted(() => store.head(version)),
    extend: (version, untilMs) => counted(() => store.extend(version, untilMs)),
    list: (prefix) => store.list(prefix),
    describe: (version) => store.describe(version),
    hidden: () => store.hidden(),
    inspect: () => store.inspect(),
    setup: () => store.setup(),
    remove: (version, nowMs) => counted(() => store.remove(version, nowMs)),
  }
}

describe('a store that fails at any of its calls, and a new start after it', () => {
  for (const isAfter of [false, true]) {
    it(`loses nothing that was acknowledged and takes nothing partial for whole (${isAfter ? 'done, not told' : 'not done'})`, async () => {
      const countdown: Countdown = { left: Number.POSITIVE_INFINITY }
      const bench = new VaultBench({}, (folder) => [fillUp(new FolderStore(folder), countdown, isAfter)])
      benches.push(bench)
      const first = randomBytes(200_000)
      const acknowledged = new Map<string, Buffer>()
      let vault = await bench.start()
      acknowledged.set(await vault.seal(first, hourMs), first)
      let [failures, points] = [0, 0]
      for (let point = 1; ; point++) {
        points = point
        // Like the first, and longer kept: chunks to be extended, to be told by others, and new ones.
        const bytes = Buffer.concat([first.subarray(0, 150_000), randomBytes(90_000)])
        countdown.left = point
        const id = await vault.seal(bytes, 2 * hourMs).catch(() => null)
        countdown.left = Number.POSITIVE_INFINITY
        vault = await bench.start()
        if (id !== null) acknowledged.set(id, bytes)
        for (const [sealed, was] of acknowledged) expect((await vault.read(sealed)).equals(was), `point ${point}`).toBe(true)
        expect(vault.loaded.damaged).toEqual([])
        expect(readdirSync(join(bench.folder, 'staging'))).toEqual([])
        if (id !== null) break
        failures++
      }
      expect(failures).toBeGreaterThan(8)
      expect(points).toBe(failures + 1)
      const report = await bench.verify()
      expect(report).toMatchObject({ ok: true, damage: [], lost: [] })
      // A manifest that came to lie there although nobody was told of it is whole too.
      expect(report.snapshots).toBeGreaterThanOrEqual(acknowledged.size)
      // What unfinished seals left is let go like everything else, in its time.
      const left = report.unreferenced
      expect(left).toBeGreaterThan(0)
      bench.pass(3 * hourMs)
      vault = await bench.start(3 * hourMs)
      await vault.look()
      expect(bench.chunkFiles()).toBe(0)
    })
  }
})
