import { isBuilt } from '../packages/console/build/sources.ts'

// `prepare` and `prestart` run this: it does nothing where the app is up to date.
// The libraries look at it and bring what helps in development along, twice as large: under the tests' runner it says so.
process.env['NODE_ENV'] = 'production'
const startedMs = performance.now()
try {
  if (!isBuilt()) {
    const { buildConsole } = await import('../packages/console/build/bundle.ts')
    await buildConsole()
    console.log(`console built in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
  }
} catch (error) {
  // The gate does without: its own pages need no build. The tests do not, and say so.
  console.error(
    `The console could not be built: ${error instanceof Error ? error.message : String(error)}\nThe gate starts without it, with the pages that need no build. To try again: node tools/run.js build-console`,
  )
}
