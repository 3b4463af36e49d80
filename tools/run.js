// The door to every tool: plain JavaScript, so that an old Node or a missing `npm ci` gets a sentence instead of a stack trace.
import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { join } from 'node:path'

const nodeMajorMin = 24
const root = fileURLToPath(new URL('..', import.meta.url))
const tool = process.argv[2] ?? ''

/**
 * @param {string} sentence
 * @returns {never}
 */
function refuse(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}

if (!/^[a-z-]+$/.test(tool)) refuse('usage: node tools/run.js check|test|mutants|prove|prove-tests [options]')
if (!existsSync(join(root, 'node_modules', '.bin', 'node')))
  refuse(`The dependencies are not installed, so ${tool} cannot run. Run: npm ci`)
if (Number.parseInt(process.versions.node, 10) < nodeMajorMin) {
  refuse(
    `This is Node ${process.versions.node}, and the tools need Node ${nodeMajorMin}, which npm ci put into node_modules/.bin. Run it through npm: npm run ${tool}`,
  )
}
const file = join(root, 'tools', `${tool}.ts`)
if (!existsSync(file)) refuse(`There is no tool named ${tool}.`)
process.argv.splice(1, 2, file)
await import(pathToFileURL(file).href)
