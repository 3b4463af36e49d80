import { SallyportError, showLsn, type WalStream } from '@sallyport/core'
import { describe, expect, it, vi } from 'vitest'
import { wallClock } from '../access/clock.ts'
import { WalReceiver } from './wal-receiver.ts'

/** The machine may be busy with other things. */
const patience = { timeout: 20_000 }
const begin = 0x1000n
const about = { upstream: 'db', upstreamIdentity: '7:1', timeline: 1, segmentBytes: 16 << 20, id: 'a'.repeat(32) }

/** A server that sends what the test says, and remembers what it was told. */
function makeBench(pieceEveryMs = 3_600_000) {
  const queue: { fromLsn: bigint; bytes: Uint8Array }[] = []
  const confirmed: bigint[] = []
  const pieces: Buffer[] = []
  const stalls: (string | null)[] = []
  let wake = Promise.withResolvers<void>()
  let end = begin
  let refusal: Error | null = null
  let closed = false
  const feed = {
    next: async () => {
      for (;;) {
        const [next] = queue.splice(0, 1)
        if (next !== undefined) return next
        if (closed) throw new Error('the connection broke')
        await wake.promise
      }
    },
    confirm: (_: bigint, durable: bigint) => void confirmed.push(durable),
    close: () => {
      closed = true
      wake.resolve()
    },
  }
  const append = async (_: string, { fromLsn, bytes }: { fromLsn: string; bytes: Uint8Array }): Promise<WalStream> => {
    if (refusal !== null) throw refusal
    expect(fromLsn).toBe(showLsn(begin + BigInt(pieces.reduce((sum, piece) => sum + piece.length, 0))))
    pieces.push(Buffer.from(bytes))
    const toLsn = showLsn(begin + BigInt(Buffer.concat(pieces).length))
    return {
      ...about,
      fromLsn: showLsn(begin),
      toLsn,
      pieces: pieces.length,
      firstAtMs: 0,
      lastAtMs: 0,
      storedBytes: 0,
      damage: null,
    }
  }
  const receiver = new WalReceiver(
    {
      vault: { append },
      clock: { ...wallClock, sleep: (ms, signal) => wallClock.sleep(Math.min(ms, 20), signal) },
      pieceEveryMs,
      retainMs: 1,
      advanced: () => undefined,
      stalled: (why) => void stalls.push(why),
    },
    feed,
    about.id,
    begin,
  )
  return {
    receiver,
    confirmed,
    pieces,
    stalls,
    send: (bytes: Uint8Array) => {
      queue.push({ fromLsn: end, bytes })
      end += BigInt(bytes.length)
      wake.resolve()
      wake = Promise.withResolvers<void>()
    },
    refuse: (error: Error | null) => (refusal = error),
  }
}

describe('a receiver of WAL', () => {
  it('confirms nothing that the vault does not have, and everything that it has', async () => {
    const bench = makeBench(1)
    const running = bench.receiver.run().catch(() => 'ended')
    const full = new SallyportError('copy_failed', 'The vault said no: The copies take all of the quota.', '', '')
    bench.refuse(full)
    bench.send(Buffer.from('first'))
    await vi.waitFor(() => expect(bench.stalls).toEqual([full.message]), patience)
    bench.send(Buffer.from(' and second'))
    expect(bench.confirmed).toEqual([])
    bench.refuse(null)
    await vi.waitFor(() => expect(bench.confirmed.at(-1)).toBe(begin + 16n), patience)
    expect(Buffer.concat(bench.pieces).toString()).toBe('first and second')
    expect(bench.stalls).toEqual([full.message, null])
    bench.receiver.close()
    await running
  })

  it('makes a piece at once when somebody waits for it, and of much WAL pieces of 1 MiB', async () => {
    const bench = makeBench()
    const running = bench.receiver.run().catch(() => 'ended')
    bench.send(Buffer.alloc(100))
    const waiting = bench.receiver.waitFor(begin + 100n, 60_000)
    await waiting
    expect(bench.pieces.map(({ length }) => length)).toEqual([100])
    bench.send(Buffer.alloc(3 << 20))
    await vi.waitFor(() => expect(bench.pieces.map(({ length }) => length)).toEqual([100, 1 << 20, 1 << 20, 1 << 20]), patience)
    bench.receiver.close()
    await running
  })

  it('makes one piece, not two, of what somebody waits for and is still on its way', async () => {
    const bench = makeBench()
    const running = bench.receiver.run().catch(() => 'ended')
    bench.send(Buffer.alloc(100))
    await vi.waitFor(() => expect(bench.receiver.received).toBe(begin + 100n), patience)
    const waiting = bench.receiver.waitFor(begin + 150n, 60_000)
    // Time enough for a piece that should not be.
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate)
    bench.send(Buffer.alloc(60))
    await waiting
    expect(bench.pieces.map(({ length }) => length)).toEqual([160])
    bench.receiver.close()
    await running
  })

  it('leaves nobody waiting when the server breaks off', async () => {
    const bench = makeBench()
    const running = bench.receiver.run().catch(() => 'ended')
    const waiting = bench.receiver.waitFor(begin + 1_000n, 60_000).catch((error: unknown) => error)
    bench.receiver.close()
    expect(await waiting).toMatchObject({ code: 'copy_failed' })
    await running
    await expect(bench.receiver.waitFor(begin + 1n, 60_000)).rejects.toMatchObject({ code: 'copy_failed' })
  })
})
