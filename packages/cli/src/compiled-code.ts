import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'

/**
 * For the environment of our own processes: they keep compiled code where this one does, and start in half the time. Only whoever may change the
 * programs may write there (bin/sallyport.js says where), because what is kept there is run. Nothing when this process keeps none.
 */
export function compiledCode(): { readonly NODE_COMPILE_CACHE?: string } {
  // Node puts a folder for its own version into the one it was given.
  const folder = getCompileCacheDir()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) }
}

/**
 * For the environment of the gate's process (mallopt(3)): threads that share their free memory, and blocks from 128 KiB on that go back to the
 * system when they are freed. A gate at rest holds a tenth less by it. Whoever starts us may say otherwise.
 */
export const frugalMemory = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' } as const
