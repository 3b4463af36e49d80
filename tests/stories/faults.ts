import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The switches of gate-faults.ts, for one gate. */
export interface Faults {
  /** For the gate's process. */
  readonly environment: Readonly<Record<string, string>>
  /** From now on nothing gets down to the disk. */
  holdDisk(): void
  releaseDisk(): void
  /** How far the gate's clock runs ahead of ours, ms. */
  setClockAhead(ms: number): void
  remove(): void
}

export function makeFaults(): Faults {
  const folder = mkdtempSync(join(tmpdir(), 'sp-faults-'))
  const program = new URL('./gate-faults.ts', import.meta.url).href
  return {
    environment: { NODE_OPTIONS: `--import=${program}`, STORY_FAULTS: folder },
    holdDisk: () => writeFileSync(join(folder, 'disk'), ''),
    releaseDisk: () => rmSync(join(folder, 'disk'), { force: true }),
    setClockAhead: (ms) => writeFileSync(join(folder, 'clock'), String(ms)),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
