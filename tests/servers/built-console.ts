import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const tool = fileURLToPath(new URL('../../tools/run.js', import.meta.url))

/** Before the first test: the console that they open is made from the sources that they stand beside. Where that fails, so do the tests of the console. */
export async function setup(): Promise<void> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [tool, 'build-console'])
  if (stdout !== '' || stderr !== '') console.log(`${stdout}${stderr}`.trimEnd())
}
