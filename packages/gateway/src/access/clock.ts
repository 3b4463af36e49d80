import { setTimeout } from 'node:timers/promises'
import type { Clock } from '@sallyport/core'

export const wallClock: Clock = {
  nowMs: () => Date.now(),
  // Leaves no listener on the signal behind: some sleep on the same one for as long as the gate runs.
  sleep: (ms, signal) => setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined),
}
