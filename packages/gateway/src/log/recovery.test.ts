import { decodeSegment, SallyportError } from '@sallyport/core'
import { afterEach, describe, expect, it } from 'vitest'
import { roundsOf } from '../../../../tests/breadth.ts'
import { type DiskOperation, FailingDisk } from '../../../../tests/fakes/failing-disk.ts'
import { clock, directory, event, refusal, signer, OpenedLogs } from '../../../../tests/fakes/opened-logs.ts'
import { openLog } from './file-log.ts'

const logs = new OpenedLogs()
const open: OpenedLogs['open'] = (disk, settings) => logs.open(disk, settings)
afterEach(() => logs.close())

describe('recovery', () => {
  it('loses nothing acknowledged in random power cuts, keeps the order, and reports what it cut off', async () => {
    let seed = 12_345
    const chance = (): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
      return seed / 2 ** 32
    }
    let torn = 0
    for (let turn = 0; turn < roundsOf(400, 40); turn += 1) {
      let disk = new FailingDisk()
      const acknowledged: number[] = []
      let started = 0
      for (let life = 0; life < 3; life += 1) {
        const log = await openLog({
          directory,
          signer,
          clock,
          witness: null,
          system: disk.system,
          segmentBytesMax: 6000,
          checkpointEveryMs: 1,
        })
        if (log.health().torn) torn += 1
        expect(log.size()).toBeGreaterThanOrEqual(acknowledged.length)
        const places = (await log.read(0, 10_000)).map(({ event: { data } }) => Number(data['place']))
        expect(places.slice(0, acknowledged.length)).toEqual(acknowledged)
        acknowledged.splice(0, acknowledged.length, ...places)
        const stopAt = Math.floor(chance() * 120)
        const writers = Array.from({ length: 1 + Math.floor(chance() * 12) }, async () => {
          while (started < stopAt + 40 * life) {
            const place = started
            started += 1
            const index = await log.append(event(place, Math.floor(chance() * 1500)))
            acknowledged[index] = place
          }
        })
        // The cut comes in the middle of it: after so many turns of the event loop.
        for (let wait = Math.floor(chance() * 25); wait > 0; wait -= 1) await new Promise(setImmediate)
        const cut = disk.powerCut(chance)
        const known = acknowledged.slice()
        await Promise.all(writers)
        await log.close()
        acknowledged.splice(0, acknowledged.length, ...known)
        disk = cut
      }
    }
    expect(torn).toBeGreaterThan(roundsOf(10, 1))
  })

  it('takes zeros that were written ahead for what they are; a log that was closed, and a segment that is full, have none', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { segmentBytesMax: 4000 })
    for (let place = 0; place < 20; place += 1) await log.append(event(place, 400))
    expect(disk.counts.reserve).toBeGreaterThan(1)
    const [first, ...others] = disk.paths().filter((path) => path.startsWith('/log/entries/'))
    const last = others.at(-1) ?? ''
    expect(decodeSegment(disk.bytes(first ?? '')).end).toBe(disk.bytes(first ?? '').length)
    expect(decodeSegment(disk.bytes(last)).end).toBeLessThan(disk.bytes(last).length)
    const after = disk.powerCut(() => 0.9)
    const again = await open(after)
    expect(again.health()).toMatchObject({ size: 20, torn: null })
    expect(await again.append(event(20))).toBe(20)
    await again.close()
    expect(decodeSegment(after.bytes(last)).end).toBe(after.bytes(last).length)
    // Zeros over what was durable once are not taken for that.
    const whole = after.bytes(last)
    after.overwrite(last, Buffer.concat([whole.subarray(0, 100), Buffer.alloc(whole.length - 100)]))
    await expect(open(after)).rejects.toMatchObject({ code: 'log_unavailable' })
  })

  it('a disk that cannot be reserved ahead fails the log like one that cannot be written', async () => {
    const disk = new FailingDisk()
    disk.fail({ operation: 'reserve', call: 1, path: 'entries', how: 'fail' })
    const log = await open(disk)
    await log.append(event(0))
    await expect(log.append(event(1))).rejects.toMatchObject({ code: 'log_unavailable' })
    expect(log.health().state).toBe('failed')
    await log.close()
    expect((await open(disk)).size()).toBe(1)
  })

  it('cuts off a torn tail, keeps its bytes aside, and goes on', async () => {
    const disk = new FailingDisk()
    const log = await open(disk)
    await log.append(event(0))
    await log.close()
    const path = '/log/entries/0000000000000000.log'
    const whole = disk.bytes(path)
    for (let cut = 1; cut < 40; cut += 1) {
      const torn = disk.copy()
      torn.overwrite(path, Buffer.concat([whole, whole.subarray(24, 24 + cut)]))
      const again = await open(torn)
      // A zero alone, with which a group begins, is nothing.
      if (cut === 1) expect(again.health().torn).toBeNull()
      else {
        expect(again.health().torn?.bytes).toBe(cut)
        expect(torn.bytes(again.health().torn?.keptAs ?? '')).toEqual(whole.subarray(24, 24 + cut))
      }
      expect(await again.append(event(1))).toBe(1)
      await again.close()
      const third = await open(torn)
      expect(third.health().torn).toBeNull()
      expect(third.size()).toBe(2)
    }
  })

  it('takes a segment that was begun and never used for nothing, whatever the crash left of its header', async () => {
    for (const header of [Buffer.alloc(0), Buffer.alloc(10, 1), Buffer.alloc(24)]) {
      const disk = new FailingDisk()
      const log = await open(disk)
      await log.append(event(0))
      await log.close()
      disk.overwrite('/log/entries/0000000000000001.log', header)
      const again = await open(disk, { scanBytesMax: 1 })
      expect(again.health().torn?.bytes).toBe(header.length)
      expect(await again.append(event(1))).toBe(1)
      await again.close()
      expect((await open(disk)).size()).toBe(2)
    }
  })

  it('refuses a changed byte anywhere in what was signed', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { segmentBytesMax: 700 })
    for (let place = 0; place < 12; place += 1) await log.append(event(place))
    await log.close()
    for (const path of disk.paths().filter((name) => name.startsWith('/log/entries/'))) {
      const whole = disk.bytes(path)
      for (let place = 0; place < whole.length; place += 7) {
        const changed = Buffer.from(whole)
        changed[place] = (changed[place] ?? 0) ^ 1
        const other = disk.copy()
        other.overwrite(path, changed)
        expect((await refusal(open(other))).code).toBe('log_unavailable')
      }
    }
  })

  it.each([
    [
      'a missing segment',
      (disk: FailingDisk) => disk.delete(disk.paths().filter((path) => path.startsWith('/log/entries/'))[1] ?? ''),
    ],
    [
      'a missing end',
      (disk: FailingDisk) => disk.delete(disk.paths().findLast((path) => path.startsWith('/log/entries/')) ?? ''),
    ],
    ['a missing checkpoint', (disk: FailingDisk) => disk.delete('/log/checkpoint')],
    [
      'a checkpoint by another key',
      (disk: FailingDisk) =>
        disk.overwrite('/log/checkpoint', Buffer.from(disk.bytes('/log/checkpoint').toString().replace('gate.', 'gait.'))),
    ],
    ['an empty checkpoint', (disk: FailingDisk) => disk.overwrite('/log/checkpoint', Buffer.alloc(0))],
    [
      'no entries at all',
      (disk: FailingDisk) =>
        disk
          .paths()
          .filter((path) => path.startsWith('/log/entries/'))
          .forEach((path) => disk.delete(path)),
    ],
  ])('refuses %s, and leaves everything as it was', async (_, change) => {
    const disk = new FailingDisk()
    const log = await open(disk, { segmentBytesMax: 700 })
    for (let place = 0; place < 12; place += 1) await log.append(event(place))
    await log.close()
    change(disk)
    const before = disk.paths().map((path) => `${path} ${disk.bytes(path).toString('hex')}`)
    expect((await refusal(open(disk))).code).toBe('log_unavailable')
    expect(disk.paths().map((path) => `${path} ${disk.bytes(path).toString('hex')}`)).toEqual(before)
  })

  it('reads only what lies behind the last checkpoint when the log is large, and notices missing tiles and a changed tail', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { segmentBytesMax: 40_000 })
    await Promise.all(Array.from({ length: 2000 }, (_, place) => log.append(event(place))))
    await log.close()
    const again = await open(disk, { scanBytesMax: 1 })
    expect(again.health().scannedAll).toBe(false)
    expect(await again.append(event(2000))).toBe(2000)
    expect((await again.read(1990, 20)).map(({ index }) => index)).toEqual(Array.from({ length: 11 }, (_, place) => 1990 + place))
    await again.close()
    const full = await open(disk.copy())
    expect(full.health().scannedAll).toBe(true)
    expect(full.checkpoint()).toBe(again.checkpoint())
    const untiled = disk.copy()
    for (const path of untiled.paths().filter((name) => name.startsWith('/log/tile/'))) untiled.delete(path)
    const rebuilt = await open(untiled, { scanBytesMax: 1 })
    expect(rebuilt.health().scannedAll).toBe(true)
    await rebuilt.close()
    expect(untiled.paths().filter((name) => name.startsWith('/log/tile/0/'))).toEqual(
      disk.paths().filter((name) => name.startsWith('/log/tile/0/') && !name.includes('.p/208')),
    )
    const shorter = disk.copy()
    shorter.delete(shorter.paths().findLast((path) => path.startsWith('/log/entries/')) ?? '')
    expect((await refusal(open(shorter, { scanBytesMax: 1 }))).code).toBe('log_unavailable')
  })

  it('lets no second process at an open log', async () => {
    const disk = new FailingDisk()
    const log = await open(disk)
    expect((await refusal(open(disk))).message).toMatch(/open in another process/)
    await log.close()
    // Process 1 runs always; a lock that names it but not when it began cannot be told from a real one.
    disk.overwrite('/log/lock', Buffer.from('1 unknown\n'))
    expect((await refusal(open(disk))).message).toMatch(/process \(1\)/)
    disk.overwrite('/log/lock', Buffer.from('1 12\n'))
    await (await open(disk)).close()
  })
})

const operations: readonly DiskOperation[] = ['write', 'datasync', 'create', 'rename', 'syncDirectory']
it('acknowledges nothing that a failure at any one operation loses', async () => {
  for (const operation of operations) {
    for (let call = 1; call <= 24; call += 1) {
      const disk = new FailingDisk()
      disk.fail({ operation, call, how: 'fail' })
      const acknowledged: number[] = []
      try {
        const log = await openLog({
          directory,
          signer,
          clock,
          witness: null,
          system: disk.system,
          segmentBytesMax: 500,
          checkpointEveryMs: 0,
        })
        for (let place = 0; place < 6; place += 1) acknowledged.push(await log.append(event(place, 100)))
        await log.close()
      } catch (error) {
        if (!(error instanceof SallyportError) && !(error instanceof Error && error.message.includes('EIO'))) throw error
      }
      const again = await open(disk.powerCut(() => 0.9))
      expect(again.size()).toBeGreaterThanOrEqual(acknowledged.length)
      await again.close()
    }
  }
})
