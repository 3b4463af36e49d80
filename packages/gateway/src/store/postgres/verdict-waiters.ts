import type { Connection } from './connection.ts'

/** Those who wait for people, on this gate. */
export interface VerdictWaiters {
  /** Resolves when the request may have left `pending`, when `signal` aborts, or after `timeoutMs`. Looks first. */
  wait(id: string, timeoutMs: number, signal: AbortSignal): Promise<void>
  wake(id: string): void
  close(): void
}

/** How often the store is asked about all that are waited for: a message of it may be lost while its listener reconnects. */
const lookEveryMs = 1_000

/** Of these requests, those that are no longer pending. */
export async function findEnded({ run }: Connection, ids: readonly string[]): Promise<readonly string[]> {
  const { rows } = await run("SELECT id FROM requests WHERE id = ANY($1) AND state <> 'pending'", [ids])
  return rows.map(({ id }) => String(id))
}

/** @param findEndedOf which of these requests are no longer pending */
export function openVerdictWaiters(findEndedOf: (ids: readonly string[]) => Promise<readonly string[]>): VerdictWaiters {
  const waiting = new Map<string, Set<() => void>>()
  const wake = (id: string): void => {
    for (const settle of waiting.get(id) ?? []) settle()
  }
  const look = async (ids: readonly string[]): Promise<void> => {
    // A store that does not answer now is asked again; whoever waits has an end of their own.
    for (const id of await findEndedOf(ids).catch(() => [])) wake(id)
  }
  const looking = setInterval(() => {
    if (waiting.size > 0) void look([...waiting.keys()])
  }, lookEveryMs).unref()
  return {
    wait: (id, timeoutMs, signal) =>
      new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer)
          signal.removeEventListener('abort', settle)
          const settles = waiting.get(id)
          settles?.delete(settle)
          if (settles?.size === 0) waiting.delete(id)
          resolve()
        }
        const timer = setTimeout(settle, timeoutMs)
        signal.addEventListener('abort', settle, { once: true })
        waiting.set(id, (waiting.get(id) ?? new Set()).add(settle))
        if (signal.aborted) settle()
        else void look([id])
      }),
    wake,
    close: () => clearInterval(looking),
  }
}
