import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { noteSigner } from '@sallyport/core'
import { expect, it } from 'vitest'
import { openLog } from './file-log.ts'

const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => {} }

/** A process of its own that appends with 16 writers and says of each event when it was acknowledged. */
const writer = `
import { noteSigner } from '@sallyport/core'
import { openLog } from ${JSON.stringify(new URL('./file-log.ts', import.meta.url).href)}
const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
const clock = { nowMs: () => 1700000000000, sleep: async () => {} }
const log = await openLog({ directory: process.env.LOG_DIRECTORY, signer, clock, witness: null, segmentBytesMax: 200000, checkpointEveryMs: 5 })
let place = log.size()
await Promise.all(Array.from({ length: 16 }, async () => {
  for (;;) {
    const mine = place++
    const index = await log.append({ type: 'intent', atMs: 1, data: { mine, padding: 'x'.repeat(mine % 900) } })
    process.stdout.write(index + ' ' + mine + '\\n')
  }
}))
`

/** Kills the writer with SIGKILL after it acknowledged so many events; what it had acknowledged until then. */
async function lifeAndDeath(directory: string, killAfter: number): Promise<ReadonlyMap<number, number>> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', writer], {
    cwd: import.meta.dirname,
    env: { ...process.env, LOG_DIRECTORY: directory },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const acknowledged = new Map<number, number>()
  for await (const line of createInterface({ input: child.stdout })) {
    const [index, mine] = line.split(' ').map(Number)
    if (index !== undefined && mine !== undefined) acknowledged.set(index, mine)
    if (acknowledged.size === killAfter) child.kill('SIGKILL')
  }
  await ended
  return acknowledged
}

it('loses nothing acknowledged when its process is killed, again and again', async () => {
  const directory = join(await mkdtemp(join(tmpdir(), 'log-kill-')), 'log')
  const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
  try {
    for (const killAfter of [1, 17, 100, 333, 1000, 2500]) {
      const acknowledged = await lifeAndDeath(directory, killAfter)
      expect(acknowledged.size).toBeGreaterThanOrEqual(killAfter)
      const log = await openLog({ directory, signer, clock, witness: null })
      for (const [index, mine] of acknowledged) {
        const [logged] = await log.read(index, 1)
        expect(logged?.event.data['mine']).toBe(mine)
      }
      await log.close()
    }
  } finally {
    await rm(join(directory, '..'), { recursive: true })
  }
})
