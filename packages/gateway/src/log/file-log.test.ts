import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Event, openCheckpoint, SallyportError } from '@sallyport/core'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { FailingDisk } from '../../../../tests/fakes/failing-disk.ts'
import { clock, event, refusal, signer, OpenedLogs } from '../../../../tests/fakes/opened-logs.ts'
import { type FileLog, openLog } from './file-log.ts'

const logs = new OpenedLogs()
const open: OpenedLogs['open'] = (disk, settings) => logs.open(disk, settings)
afterEach(() => logs.close())

describe('append', () => {
  it('gives indexes in the order of the calls, durable before they resolve, with one fdatasync for many', async () => {
    const disk = new FailingDisk()
    const log = await open(disk)
    await log.append(event(-1))
    const before = disk.counts.datasync
    const indexes = await Promise.all(Array.from({ length: 500 }, (_, place) => log.append(event(place))))
    expect(indexes).toEqual(Array.from({ length: 500 }, (_, place) => place + 1))
    expect(disk.counts.datasync - before).toBeLessThanOrEqual(2)
    const after = await open(disk.powerCut(() => 0.9))
    expect(after.size()).toBe(501)
    expect((await after.read(1, 500)).map(({ event: { data } }) => data['place'])).toEqual(indexes.map((index) => index - 1))
  })

  it('lets an outcome go with what comes right after it, and writes it by itself when nothing does', async () => {
    const disk = new FailingDisk()
    const log = await open(disk)
    const outcome: Event = { ...event(0), type: 'outcome' }
    await log.append(event(0))
    const before = disk.counts.datasync
    const first = log.append(outcome)
    const second = log.append(event(1))
    expect(await Promise.all([first, second])).toEqual([1, 2])
    expect(disk.counts.datasync - before).toBe(1)
    expect(await log.append(outcome)).toBe(3)
    const last = log.append(outcome)
    await log.close()
    expect(await last).toBe(4)
    expect((await open(disk.powerCut(() => 0.9))).size()).toBe(5)
  })

  it('keeps events apart from what follows them over many segments', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { segmentBytesMax: 2000 })
    for (let place = 0; place < 60; place += 1) await log.append(event(place, 100))
    expect(disk.paths().filter((path) => path.startsWith('/log/entries/')).length).toBeGreaterThan(3)
    await log.close()
    const again = await open(disk)
    expect((await again.read(0, 100)).map(({ event: { data } }) => data['place'])).toEqual(
      Array.from({ length: 60 }, (_, place) => place),
    )
    expect((await again.read(37, 3)).map(({ index }) => index)).toEqual([37, 38, 39])
    expect(await again.read(60, 3)).toEqual([])
    expect(await again.append(event(60))).toBe(60)
  })

  it('refuses one event that is too large or not exact, and goes on', async () => {
    const log = await open(new FailingDisk())
    expect((await refusal(log.append(event(0, 70_000)))).code).toBe('too_large')
    expect((await refusal(log.append({ type: 'alarm', atMs: 1, data: { text: '\ud800' } }))).code).toBe('too_large')
    expect(await log.append(event(0))).toBe(0)
  })

  it('tells listeners in order, only of what is durable, whatever a listener does', async () => {
    const disk = new FailingDisk()
    const problems: string[] = []
    const log = await open(disk, { report: (problem) => problems.push(problem) })
    const heard: number[] = []
    log.subscribe(() => {
      throw new Error('a bad listener')
    })
    const stop = log.subscribe((events) => heard.push(...events.map(({ index }) => index)))
    disk.fail({ operation: 'datasync', call: 1, path: 'entries', how: 'stall' })
    const first = log.append(event(0))
    while (disk.stalled === 0) await new Promise(setImmediate)
    expect(heard).toEqual([])
    disk.release()
    await first
    await log.append(event(1))
    stop()
    await log.append(event(2))
    expect(heard).toEqual([0, 1])
    expect(problems.some((problem) => problem.includes('a bad listener'))).toBe(true)
  })

  it('finishes what was appended when it is closed, and takes nothing after', async () => {
    const disk = new FailingDisk()
    const log = await open(disk)
    const pending = log.append(event(0))
    log.appendRead('s1', 'a1', 'select 1')
    await log.close()
    // What was there before the first counted read comes before it.
    expect(await pending).toBe(0)
    expect((await refusal(log.append(event(1)))).code).toBe('log_unavailable')
    expect(() => log.appendRead('s1', 'a1', 'select 1')).toThrow(SallyportError)
    const again = await open(disk)
    expect((await again.read(0, 9)).map(({ event: { type } }) => type).sort()).toEqual(['reads', 'statement'])
  })
})

describe('a failing disk', () => {
  it.each([
    ['a write', 'write', 'fail'],
    ['an fdatasync', 'datasync', 'fail'],
  ] as const)('fails the log for good at the first failed %s, even when the disk works again', async (_, operation, how) => {
    const disk = new FailingDisk()
    const log = await open(disk)
    await log.append(event(0))
    disk.fail({ operation, call: 1, path: 'entries', how })
    const all = await Promise.all([1, 2, 3].map((place) => refusal(log.append(event(place)))))
    expect(all.map(({ code }) => code)).toEqual(['log_unavailable', 'log_unavailable', 'log_unavailable'])
    expect((await refusal(log.append(event(4)))).code).toBe('log_unavailable')
    expect(() => log.appendRead('s1', 'a1', 'k')).toThrow(SallyportError)
    expect(log.health().state).toBe('failed')
    expect(log.size()).toBe(1)
  })

  it('writes the rest of a write that the disk took only in part', async () => {
    const disk = new FailingDisk()
    const log = await open(disk)
    disk.fail({ operation: 'write', call: 2, path: 'entries', how: 'short' })
    await log.append(event(0, 1000))
    const again = await open(disk.powerCut(() => 0.9))
    expect((await again.read(0, 1)).length).toBe(1)
  })

  it('that cannot make a new segment fails the log', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { segmentBytesMax: 100 })
    await log.append(event(0, 200))
    disk.fail({ operation: 'create', call: 1, path: 'entries', how: 'fail' })
    expect((await refusal(log.append(event(1)))).code).toBe('log_unavailable')
    expect(log.health().state).toBe('failed')
  })

  it('that cannot write a tile or a checkpoint is reported and tried again', async () => {
    const disk = new FailingDisk()
    const problems: string[] = []
    const log = await open(disk, { checkpointEveryMs: 1, report: (problem) => problems.push(problem) })
    disk.fail({ operation: 'rename', call: 1, path: 'checkpoint', how: 'fail' })
    const signed = new Promise<string>((resolve) => log.onCheckpoint(resolve))
    await log.append(event(0))
    expect(openCheckpoint(await signed, [signer.key]).checkpoint.size).toBe(1)
    expect(problems.length).toBe(1)
  })
})

describe('counted reads', () => {
  const readsShape = z.array(z.object({ session: z.string(), count: z.number() }))
  const readsOf = async (log: FileLog): Promise<z.infer<typeof readsShape>> =>
    (await log.read(0, 1000)).flatMap(({ event: { type, data } }) => (type === 'reads' ? readsShape.parse(data['reads']) : []))

  it('become one event with counts, durable by themselves', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { monotonicMs: () => 0 })
    const durable = new Promise<void>((resolve) => log.subscribe(() => resolve()))
    for (let turn = 0; turn < 50; turn += 1) {
      log.appendRead('s1', 'a1', 'select 1')
      log.appendRead('s2', 'a1', 'select 1')
    }
    log.appendRead('s1', 'a1', 'select 2')
    await durable
    const after = await open(disk.powerCut(() => 0.9))
    expect(after.size()).toBe(1)
    expect((await readsOf(after)).map(({ session, count }) => [session, count])).toEqual([
      ['s1', 50],
      ['s2', 50],
      ['s1', 1],
    ])
  })

  it('stop when the oldest is not durable after 10 ms, and go on when the disk has caught up', async () => {
    const disk = new FailingDisk()
    let nowMs = 0
    const log = await open(disk, { monotonicMs: () => nowMs })
    disk.fail({ operation: 'datasync', call: 2, path: 'entries', how: 'stall' })
    log.appendRead('s1', 'a1', 'k')
    nowMs = 4
    while (disk.stalled === 0) await new Promise(setImmediate)
    nowMs = 10
    log.appendRead('s1', 'a1', 'k')
    expect(log.health().state).toBe('ok')
    nowMs = 10.1
    expect(() => log.appendRead('s1', 'a1', 'k')).toThrow(/not durable/)
    expect(log.health().state).toBe('behind')
    // Who would rather wait than be refused awaits an append of its own, or that the log has caught up.
    const waited = log.append(event(0))
    const caughtUp = log.catchUp()
    disk.release()
    await Promise.all([waited, caughtUp])
    log.appendRead('s1', 'a1', 'k')
    expect(log.health().state).toBe('ok')
    await log.catchUp()
  })

  it('are waited for in vain when the disk fails instead of catching up, and ever after', async () => {
    const disk = new FailingDisk()
    let nowMs = 0
    const log = await open(disk, { monotonicMs: () => nowMs })
    await log.append(event(0))
    disk.fail({ operation: 'write', call: 1, path: 'entries', how: 'stall' })
    log.appendRead('s1', 'a1', 'k')
    nowMs = 20
    while (disk.stalled === 0) await new Promise(setImmediate)
    const caughtUp = log.catchUp()
    disk.fail({ operation: 'datasync', call: 1, path: 'entries', how: 'fail' })
    disk.release()
    await expect(caughtUp).rejects.toMatchObject({ code: 'log_unavailable' })
    await expect(log.catchUp()).rejects.toMatchObject({ code: 'log_unavailable' })
  })

  it('are gathered while the disk is quick, and go at once when it has been slow', async () => {
    const disk = new FailingDisk()
    let nowMs = 0
    let stepMs = 0
    const monotonicMs = (): number => (nowMs += stepMs)
    const log = await open(disk, { monotonicMs, readsFlushAfterMs: 1_000_000, readsDurableWithinMs: 1_000_000 })
    log.appendRead('s1', 'a1', 'k')
    expect(await log.append(event(0))).toBe(0)
    // From now on each look at the clock finds it that much later, and so each group takes that long.
    stepMs = 1_000_000
    for (let turn = 1; turn <= 6; turn += 1) await log.append(event(turn))
    await expect.poll(() => log.size()).toBe(8)
    log.appendRead('s1', 'a1', 'k')
    await expect.poll(() => log.size()).toBe(9)
  })

  it('are taken or not without an error where whoever asks can wait', async () => {
    const disk = new FailingDisk()
    let nowMs = 0
    const log = await open(disk, { monotonicMs: () => nowMs })
    expect(log.takeRead?.('s1', 'a1', 'k')).toBe(true)
    nowMs = 20
    expect(log.takeRead?.('s1', 'a1', 'k')).toBe(false)
    await log.catchUp()
    expect(log.takeRead?.('s1', 'a1', 'k')).toBe(true)
    await log.close()
    expect(log.takeRead?.('s1', 'a1', 'k')).toBe(false)
    const counts = (await readsOf(await open(disk))).map(({ count }) => count)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2)
  })

  it('of many keys, or of names of any kind, are split into events that fit', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { monotonicMs: () => 0 })
    for (let key = 0; key < 1000; key += 1)
      log.appendRead(`"\\\u0001\ud800${'x'.repeat(5000)}`, 'a"1'.repeat(100), `select ${key}`)
    await log.close()
    const again = await open(disk)
    expect((await readsOf(again)).length).toBe(1000)
  })
})

it('lies on a real disk for its user alone', async () => {
  const real = join(await mkdtemp(join(tmpdir(), 'log-')), 'deep', 'log')
  try {
    const log = await openLog({ directory: real, signer, clock, witness: null })
    await log.append(event(0))
    await log.close()
    expect((await stat(real)).mode & 0o777).toBe(0o700)
    for (const name of ['entries/0000000000000000.log', 'checkpoint', 'keys', 'tile/0/000.p/1', 'tile/entries/000.p/1']) {
      expect((await stat(join(real, name))).mode & 0o777).toBe(0o600)
    }
    expect(await readFile(join(real, 'keys'), 'utf8')).toMatch(/^gate\.example\/log\+[0-9a-f]{8}\+/)
  } finally {
    await rm(join(real, '..', '..'), { recursive: true })
  }
})
