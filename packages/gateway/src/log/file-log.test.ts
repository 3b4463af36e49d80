import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  addSignatures,
  type Checkpoint,
  cosignNote,
  decodeBase64,
  type Event,
  type Hash,
  isCosigned,
  isSignedByLog,
  noteSigner,
  openCheckpoint,
  SallyportError,
  signatureTypes,
  verifyConsistency,
  type Witness,
  WitnessRefusal,
} from '@sallyport/core'
import { afterEach, describe, expect, it } from 'vitest'
import { type DiskOperation, FailingDisk } from '../../../../tests/fakes/failing-disk.ts'
import { type FileLog, type LogSettings, openLog } from './file-log.ts'

const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
const cosigner = noteSigner('vault.example/witness', Buffer.alloc(32, 8), signatureTypes.cosignature)
const directory = '/log'
const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => {} }

function event(place: number, bytes = 0): Event {
  return { type: 'statement', atMs: 1_700_000_000_000, session: 's1', agent: 'a1', data: { place, padding: 'x'.repeat(bytes) } }
}

const opened: FileLog[] = []
function open(disk: FailingDisk, settings: Partial<LogSettings> = {}): Promise<FileLog> {
  return openLog({ directory, signer, clock, witness: null, system: disk.system, ...settings }).then((log) => {
    opened.push(log)
    return log
  })
}

afterEach(async () => {
  for (const log of opened.splice(0)) await log.close()
})

/** A witness as C2SP tlog-witness wants it, in memory. */
class MemoryWitness implements Witness {
  readonly key = cosigner.key
  held: { checkpoint: Checkpoint; text: string } | null = null
  lastProof: readonly string[] = []
  unreachable = false
  loseAnswer = false
  calls = 0

  async cosign({ oldSize, proof, checkpoint: text }: { oldSize: number; proof: readonly string[]; checkpoint: string }): Promise<string> {
    this.calls += 1
    if (this.unreachable) throw new Error('connection refused')
    const { checkpoint, note, verdict } = openCheckpoint(text, [signer.key])
    if (!isSignedByLog(verdict)) throw new Error('not signed')
    const heldSize = this.held?.checkpoint.size ?? 0
    if (oldSize !== heldSize) throw new WitnessRefusal('stale', heldSize, `holds ${heldSize}`)
    const hashes: readonly Hash[] = proof.map((item) => decodeBase64(item) ?? Buffer.alloc(0))
    const oldRoot = this.held?.checkpoint.root ?? null
    if (oldRoot && !verifyConsistency(oldSize, oldRoot, checkpoint.size, checkpoint.root, hashes)) throw new WitnessRefusal('inconsistent', heldSize, 'other history')
    const lines = cosignNote(note.text, cosigner, 1_700_000_000)
    this.held = { checkpoint, text: addSignatures(text, lines) }
    this.lastProof = proof
    if (this.loseAnswer) throw new Error('connection reset')
    return lines
  }

  async latest(): Promise<string | null> {
    if (this.unreachable) throw new Error('connection refused')
    return this.held?.text ?? null
  }
}

async function refusal(work: Promise<unknown>): Promise<SallyportError> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it was not refused')
}

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

  it('keeps events apart from what follows them over many segments', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { segmentBytesMax: 2000 })
    for (let place = 0; place < 60; place += 1) await log.append(event(place, 100))
    expect(disk.paths().filter((path) => path.startsWith('/log/entries/')).length).toBeGreaterThan(3)
    await log.close()
    const again = await open(disk)
    expect((await again.read(0, 100)).map(({ event: { data } }) => data['place'])).toEqual(Array.from({ length: 60 }, (_, place) => place))
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
    // Counted reads come first in their group.
    expect(await pending).toBe(1)
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
  const readsOf = async (log: FileLog): Promise<{ session: unknown; count: unknown }[]> =>
    (await log.read(0, 1000)).flatMap(({ event: { type, data } }) => {
      const reads = data['reads']
      return type === 'reads' && Array.isArray(reads) ? reads : []
    })

  it('become one event with counts, durable by themselves', async () => {
    const disk = new FailingDisk()
    const log = await open(disk)
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
    // Who would rather wait than be refused awaits an append of its own.
    const waited = log.append(event(0))
    disk.release()
    await waited
    log.appendRead('s1', 'a1', 'k')
    expect(log.health().state).toBe('ok')
  })

  it('of many keys, or of names of any kind, are split into events that fit', async () => {
    const disk = new FailingDisk()
    const log = await open(disk, { monotonicMs: () => 0 })
    for (let key = 0; key < 1000; key += 1) log.appendRead(`"\\\u0001\ud800${'x'.repeat(5000)}`, 'a"1'.repeat(100), `select ${key}`)
    await log.close()
    const again = await open(disk)
    expect((await readsOf(again)).length).toBe(1000)
  })
})

describe('recovery', () => {
  it('loses nothing acknowledged in random power cuts, keeps the order, and reports what it cut off', async () => {
    let seed = 12_345
    const chance = (): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
      return seed / 2 ** 32
    }
    let torn = 0
    for (let turn = 0; turn < 400; turn += 1) {
      let disk = new FailingDisk()
      const acknowledged: number[] = []
      let started = 0
      for (let life = 0; life < 3; life += 1) {
        const log = await openLog({ directory, signer, clock, witness: null, system: disk.system, segmentBytesMax: 6000, checkpointEveryMs: 1 })
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
    expect(torn).toBeGreaterThan(10)
  }, 120_000)

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
      expect(again.health().torn?.bytes).toBe(cut)
      expect(torn.bytes(again.health().torn?.keptAs ?? '')).toEqual(whole.subarray(24, 24 + cut))
      expect(await again.append(event(1))).toBe(1)
      await again.close()
      const third = await open(torn)
      expect(third.health().torn).toBeNull()
      expect(third.size()).toBe(2)
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
    ['a missing segment', (disk: FailingDisk) => disk.delete(disk.paths().filter((path) => path.startsWith('/log/entries/'))[1] ?? '')],
    ['a missing end', (disk: FailingDisk) => disk.delete(disk.paths().findLast((path) => path.startsWith('/log/entries/')) ?? '')],
    ['a missing checkpoint', (disk: FailingDisk) => disk.delete('/log/checkpoint')],
    ['a checkpoint by another key', (disk: FailingDisk) => disk.overwrite('/log/checkpoint', Buffer.from(disk.bytes('/log/checkpoint').toString().replace('gate.', 'gait.')))],
    ['an empty checkpoint', (disk: FailingDisk) => disk.overwrite('/log/checkpoint', Buffer.alloc(0))],
    ['no entries at all', (disk: FailingDisk) => disk.paths().filter((path) => path.startsWith('/log/entries/')).forEach((path) => disk.delete(path))],
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
    expect((await open(untiled, { scanBytesMax: 1 })).health().scannedAll).toBe(true)
    await opened.at(-1)?.close()
    expect(untiled.paths().filter((name) => name.startsWith('/log/tile/0/'))).toEqual(disk.paths().filter((name) => name.startsWith('/log/tile/0/') && !name.includes('.p/208')))
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

describe('the witness', () => {
  it('cosigns with a consistency proof from what it holds, over many checkpoints', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness()
    const log = await open(disk, { witness })
    let place = 0
    for (const more of [1, 2, 254, 1, 3, 600, 70]) {
      await Promise.all(Array.from({ length: more }, () => log.append(event((place += 1)))))
      await log.publish()
      expect(witness.held?.checkpoint.size).toBe(log.size())
    }
    const { verdict, checkpoint } = openCheckpoint(log.witnessed() ?? '', [signer.key, cosigner.key])
    expect(isSignedByLog(verdict) && isCosigned(verdict)).toBe(true)
    expect(checkpoint.size).toBe(place)
    await log.close()
    const again = await open(disk, { witness })
    await again.append(event(0))
    await again.publish()
    expect(witness.held?.checkpoint.size).toBe(place + 1)
  })

  it('is asked on closing, and again from where it stands when an answer was lost', async () => {
    const witness = new MemoryWitness()
    const log = await open(new FailingDisk(), { witness, checkpointEveryMs: 100_000 })
    await log.append(event(0))
    witness.loseAnswer = true
    await log.publish()
    expect(log.health().problem).toMatch(/connection reset/)
    witness.loseAnswer = false
    await log.append(event(1))
    await log.close()
    expect(witness.held?.checkpoint.size).toBe(2)
    expect(log.health().witnessedSize).toBe(2)
  })

  it('that is out of reach stops no append, but no log is opened without it', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness()
    const log = await open(disk, { witness })
    witness.unreachable = true
    expect(await log.append(event(0))).toBe(0)
    await log.publish()
    expect(log.health().problem).toMatch(/connection refused/)
    await log.close()
    expect((await refusal(open(disk, { witness }))).code).toBe('vault_unavailable')
  })

  it('freezes an old image of the log, at the start', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness()
    const log = await open(disk, { witness })
    await log.append(event(0))
    await log.publish()
    const image = disk.copy()
    await log.append(event(1))
    await log.close()
    const frozen = await refusal(open(image, { witness }))
    expect(frozen.code).toBe('log_unavailable')
    expect(frozen.message).toMatch(/end is missing/)
  })

  it('freezes a log that grew again from an old image to the same size', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness()
    const log = await open(disk, { witness })
    await log.append(event(0))
    await log.publish()
    const image = disk.copy()
    await log.append(event(1))
    await log.close()
    const behindItsBack = await open(image)
    await behindItsBack.append(event(2))
    await behindItsBack.append(event(3))
    await behindItsBack.close()
    expect((await refusal(open(image, { witness }))).message).toMatch(/was changed/)
  })

  it('freezes a running log when it has seen another history', async () => {
    const witness = new MemoryWitness()
    const log = await open(new FailingDisk(), { witness })
    await log.append(event(0))
    await log.publish()
    const other = await open(new FailingDisk())
    await other.append(event(9))
    await other.append(event(9))
    await other.publish()
    const checkpoint = openCheckpoint(other.checkpoint() ?? '', [signer.key]).checkpoint
    witness.held = { checkpoint, text: other.checkpoint() ?? '' }
    await log.append(event(1))
    await log.append(event(2))
    await log.publish()
    expect(log.health().state).toBe('failed')
    expect((await refusal(log.append(event(3)))).message).toMatch(/another history/)
  })

  it('that answers with anything but its cosignature is not believed', async () => {
    const witness = new MemoryWitness()
    const log = await open(new FailingDisk(), { witness })
    witness.cosign = async ({ checkpoint }) => checkpoint
    await log.append(event(0))
    await log.publish()
    expect(log.witnessed()).not.toContain('\n1\n')
    expect(log.health().problem).toMatch(/no cosignature/)
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

const operations: readonly DiskOperation[] = ['write', 'datasync', 'create', 'rename', 'syncDirectory']
it('acknowledges nothing that a failure at any one operation loses', async () => {
  for (const operation of operations) {
    for (let call = 1; call <= 24; call += 1) {
      const disk = new FailingDisk()
      disk.fail({ operation, call, how: 'fail' })
      const acknowledged: number[] = []
      try {
        const log = await openLog({ directory, signer, clock, witness: null, system: disk.system, segmentBytesMax: 500, checkpointEveryMs: 0 })
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
