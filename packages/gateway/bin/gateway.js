#!/usr/bin/env node
// The gate as it is started: what must be said to Node before the first module of it is read. Everything else is in src/.
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * What a start loads lives on, and V8 takes that for a sign that the young generation is too small: it would grow to 32 MiB, of which a gate at
 * rest never uses one. From when the gate is ready it may grow again, as its work needs.
 */
const youngGeneration = { keep: '--semi-space-growth-factor=1', grow: '--semi-space-growth-factor=2' }

/**
 * Some 30 MiB live on in a gate. By what V8 makes of that it would look through all of them again after every ten MiB of leftovers, which under a load of
 * writes is every few hundred transactions. Now it does when as much again has come.
 */
const oldGeneration = '--heap-growing-percent=100'

setFlagsFromString(youngGeneration.keep)
// Beside the dependencies, as bin/sallyport.js of the CLI does: who can write there can change them anyway. Where we cannot, nothing is kept.
enableCompileCache(fileURLToPath(new URL('../../../node_modules/.cache/sallyport-compiled', import.meta.url)))
const { runGate } = await import('../src/main.ts')
await runGate(process.argv.slice(2))
setFlagsFromString(youngGeneration.grow)
setFlagsFromString(oldGeneration)
collectLeftovers()

/** What the start left behind is given back to the system once, while there is nobody yet who would wait for it (some 50 ms). */
function collectLeftovers() {
  setFlagsFromString('--expose-gc')
  /** @type {unknown} */
  const collect = runInNewContext('gc')
  if (typeof collect === 'function') Reflect.apply(collect, undefined, [{ type: 'major', flavor: 'last-resort' }])
  setFlagsFromString('--no-expose-gc')
}
