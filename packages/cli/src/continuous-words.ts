import { setTimeout as sleep } from 'node:timers/promises'
import { readContinuous, judgeContinuous, type ContinuousState } from './continuous-examination.ts'

const lookEveryMs = 10_000

/** What `up` says of continuous protection while it runs: when it fails, and when it goes on again; each once. */
export class ContinuousWords {
  /** Upstream → what was said of it last, while that holds. */
  readonly #said = new Map<string, string>()

  changes(statuses: readonly ContinuousState[]): readonly string[] {
    return statuses.flatMap((status) => {
      const { upstream, state, why } = status
      const { verdict, what, mend } = judgeContinuous(status)
      const before = this.#said.get(upstream)
      if (verdict === 'bad') {
        // The number of bytes in the sentence grows; it is the same trouble.
        const trouble = `${state} ${why ?? ''}`
        this.#said.set(upstream, trouble)
        return before === trouble ? [] : [`warning: ${what}${mend === null ? '' : ` ${mend}`}`]
      }
      if (before === undefined || state === 'starting') return []
      this.#said.delete(upstream)
      return [`WAL of ${upstream} goes into the vault again.`]
    })
  }
}

/** Until the signal. A gate that does not answer has its own words elsewhere. */
export async function watchContinuous(stateDirectory: string, write: (line: string) => void, signal: AbortSignal): Promise<void> {
  const words = new ContinuousWords()
  while (!signal.aborted) {
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
    for (const line of words.changes(await readContinuous(stateDirectory))) write(`${line}\n`)
  }
}
