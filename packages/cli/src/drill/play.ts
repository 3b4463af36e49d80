import { cloudHost } from '../playground/cloud/upstream.ts'
import type { Stage } from './stage.ts'

/** What one act leaves for the next. */
export interface Memory {
  /** The token that lay in an unrelated file. */
  foundToken: string
  /** Each table of production, counted and summed by the server itself before anything was asked for. */
  tablesBefore: ReadonlyMap<string, string>
  /** The open question about the volume. */
  volumeRequest: string
  /** The copy that the gate made before it deleted the volume. */
  volumeCopy: string
  /** Checksum and count of production's orders before the table was dropped. */
  ordersBefore: string
  request: string
  /** A request that nobody answers. */
  expiring: string
  /** What its page would have had signed for a yes, while it waited. */
  expiringShown: string
  snapshot: string
}

export interface Play {
  readonly stage: Stage
  readonly memory: Memory
}

/** Where agents think the cloud's API is. */
export const cloudUrl = `https://${cloudHost}/graphql/v2`

export function emptyMemory(): Memory {
  return {
    foundToken: '',
    tablesBefore: new Map(),
    volumeRequest: '',
    volumeCopy: '',
    ordersBefore: '',
    request: '',
    expiring: '',
    expiringShown: '',
    snapshot: '',
  }
}

/** What was expected when every check holds, else which did not. */
export function observe(expected: string, checks: { readonly [what: string]: boolean }): string {
  const failed = Object.entries(checks).flatMap(([what, holds]) => (holds ? [] : [what]))
  return failed.length === 0 ? expected : `not so: ${failed.join('; ')}`
}

const pauseMs = 20

/** Waits for the thing itself. */
export async function waitUntil(what: string, holds: () => Promise<boolean> | boolean, timeoutMs = 60_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`${what} did not happen within ${timeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}
