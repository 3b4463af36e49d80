/** Before the first test: the console that they open is made from the sources that they stand beside. Where that fails, so do the tests of the console. */
export async function setup(): Promise<void> {
  try {
    const { isBuilt } = await import('../../packages/console/build/sources.ts')
    if (isBuilt()) return
    const { buildConsole } = await import('../../packages/console/build/bundle.ts')
    await buildConsole()
  } catch (error) {
    console.error('The console could not be built, so its tests will fail:', error)
  }
}
