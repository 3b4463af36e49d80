import { type Clock, type Event, noteSigner, SallyportError } from '@sallyport/core'
import { type FileLog, type LogSettings, openLog } from '../../packages/gateway/src/log/file-log.ts'
import type { FailingDisk } from './failing-disk.ts'

export const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
export const directory = '/log'
export const clock: Clock = { nowMs: () => 1_700_000_000_000, sleep: async () => {} }

export function event(place: number, bytes = 0): Event {
  return { type: 'statement', atMs: 1_700_000_000_000, session: 's1', agent: 'a1', data: { place, padding: 'x'.repeat(bytes) } }
}

/** Logs on disks that fail as they are told to; closed together when a test is over. */
export class OpenedLogs {
  readonly #opened: FileLog[] = []

  async open(disk: FailingDisk, settings: Partial<LogSettings> = {}): Promise<FileLog> {
    const log = await openLog({ directory, signer, clock, witness: null, system: disk.system, ...settings })
    this.#opened.push(log)
    return log
  }

  async close(): Promise<void> {
    for (const log of this.#opened.splice(0)) await log.close()
  }
}

/** What a promise was refused with. */
export async function refusal(work: Promise<unknown>): Promise<SallyportError> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it was not refused')
}
