import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import { diskFileSystem } from '../log/file-system.ts'
import { LogArchive } from '../log/log-archive.ts'
import type { Foundations } from './foundations.ts'

const lookEveryMs = 3_600_000

/** Seals old entries of the log into the vault while the gate runs, where the configuration says so. */
export function openLogArchive({ config, folder, store, vault, log }: Foundations): { start(): void; close(): Promise<void> } {
  const { archiveAfter: afterMs, archiveFor: forMs, dropArchived: drop } = config.log
  const { clock } = store
  const directory = join(folder.directory, 'log')
  const ports = { log, vault, clock, directory, origin: folder.origin, system: diskFileSystem }
  const stopped = new AbortController()
  let running: Promise<void> = Promise.resolve()
  let isTold = false
  /** Once, until it went well again: it is tried every hour. */
  const tell = async (error: unknown): Promise<void> => {
    if (isTold) return
    isTold = true
    const what = error instanceof SallyportError ? error.message : 'Old entries of the log could not be archived.'
    const next = 'Nothing was dropped. It is tried again every hour; run `sallyport vault verify`.'
    await log.append({ type: 'alarm', atMs: clock.nowMs(), data: { kind: 'log_archive', what, next } })
  }
  const run = async (archive: LogArchive): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await archive.look()
        isTold = false
      } catch (error) {
        if (!stopped.signal.aborted) await tell(error).catch(() => undefined)
      }
      await clock.sleep(lookEveryMs, stopped.signal)
    }
  }
  return {
    start() {
      if (afterMs !== undefined) running = run(new LogArchive(ports, { afterMs, forMs, drop }))
    },
    async close() {
      stopped.abort()
      await running
    },
  }
}
