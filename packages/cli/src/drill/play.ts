import type { ActResult } from './act.ts'
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
  snapshot: string
}

export interface Play {
  readonly stage: Stage
  readonly memory: Memory
}

export function emptyMemory(): Memory {
  return {
    foundToken: '',
    tablesBefore: new Map(),
    volumeRequest: '',
    volumeCopy: '',
    ordersBefore: '',
    request: '',
    expiring: '',
    snapshot: '',
  }
}

/** Checks that all hold; the names of those that do not, for what was observed. */
export function failing(checks: { readonly [what: string]: boolean }): string {
  return Object.entries(checks)
    .filter(([, holds]) => !holds)
    .map(([what]) => what)
    .join('; ')
}

/** What was expected when every check holds, else which did not. */
export function observe(expected: string, checks: { readonly [what: string]: boolean }): string {
  const failed = failing(checks)
  return failed === '' ? expected : `not so: ${failed}`
}

export type Evidence = ActResult['evidence']

const pauseMs = 20

/** Waits for the thing itself. */
export async function waitUntil(what: string, holds: () => Promise<boolean> | boolean, timeoutMs = 15_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`${what} did not happen within ${timeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}
