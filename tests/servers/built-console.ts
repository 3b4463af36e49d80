import { buildConsole, isBuilt } from '../../packages/console/build/bundle.ts'

/** Before the first test: the console that they open is made from the sources that they stand beside. */
export async function setup(): Promise<void> {
  if (!isBuilt()) await buildConsole()
}
