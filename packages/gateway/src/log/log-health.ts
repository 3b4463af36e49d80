import type { SallyportError } from '@sallyport/core'
import type { TornTail } from './recovery.ts'

export interface LogHealth {
  /** `behind`: a counted read is not durable for longer than promised, and reads are turned away. `failed`: for good. */
  readonly state: 'ok' | 'behind' | 'failed'
  readonly failure: SallyportError | null
  readonly size: number
  readonly oldestReadAgeMs: number
  readonly checkpointSize: number | null
  readonly witnessedSize: number | null
  /** What keeps tiles, checkpoint or witness from following; null when nothing does. */
  readonly problem: string | null
  /** What a crash had left half-written and was cut off at the start. */
  readonly torn: TornTail | null
  /** Whether all entries were read at the start, not only those since the last checkpoint. */
  readonly scannedAll: boolean
}
