import { Worker } from 'node:worker_threads'
import { trialShape, type TrialView } from '@sallyport/console'
import { SallyportError } from '@sallyport/core'
import type { TrialInput } from './policy-trial.ts'

/** A trial that takes longer decides nothing. */
const trialMs = 30_000
const heapMb = 256

/**
 * Tries a configuration in a thread of its own: agents' statements do not wait for it, and the policies that it parses, which Cedar never forgets,
 * go with the thread.
 */
export async function runTrial(input: TrialInput): Promise<TrialView> {
  const worker = new Worker(new URL('./policy-trial-worker.ts', import.meta.url), {
    workerData: input,
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
    execArgv: [],
    stdin: false,
  })
  const late = setTimeout(() => void worker.terminate(), trialMs)
  try {
    const said = await new Promise<unknown>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.once('exit', () => reject(new Error('the trial ended early')))
    })
    return trialShape.parse(said)
  } catch {
    throw new SallyportError('too_slow', 'The trial did not come to an end.', 'Nothing was proposed.', 'Try a smaller change.')
  } finally {
    clearTimeout(late)
    await worker.terminate()
  }
}
