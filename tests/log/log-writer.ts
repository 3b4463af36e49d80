import { noteSigner } from '@sallyport/core'
import { z } from 'zod'
import { openLog } from '../../packages/gateway/src/log/file-log.ts'

/**
 * A process that appends with 32 writers, one of which only counts reads, and says what was acknowledged: `index place` for an event,
 * `checkpoint BASE64` for a signed checkpoint. `log-writer.ts DIRECTORY FIRST_PLACE`; somebody kills it.
 */
const [directory, first] = z.tuple([z.string(), z.coerce.number()]).parse(process.argv.slice(2))
const writers = 31

const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => undefined }
const settings = { directory, signer, clock, witness: null, segmentBytesMax: 400_000, checkpointEveryMs: 10 }
const log = await openLog(settings)
const said = (text: string | null): void => {
  if (text !== null) process.stdout.write(`checkpoint ${Buffer.from(text).toString('base64')}\n`)
}
said(log.checkpoint())
log.onCheckpoint(said)

let place = first
const write = async (): Promise<void> => {
  for (;;) {
    const mine = place
    place += 1
    const index = await log.append({ type: 'intent', atMs: 1, data: { place: mine, padding: 'x'.repeat(mine % 700) } })
    process.stdout.write(`${index} ${mine}\n`)
  }
}
const read = async (): Promise<void> => {
  for (;;) {
    try {
      log.appendRead('session', 'agent', 'key')
    } catch {
      // Behind for a moment: reads are turned away meanwhile, as promised.
    }
    await new Promise(setImmediate)
  }
}
await Promise.all([...Array.from({ length: writers }, write), read()])
