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
