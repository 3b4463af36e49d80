#!/usr/bin/env node
// The launcher: plain JavaScript for any Node ≥ 18. It hands over to the Node 24 that npm pinned, which runs the TypeScript beside it.
import { existsSync, statSync } from 'node:fs'
import { spawn } from 'node:child_process'
import * as modules from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const nodeMajorMin = 24
const program = fileURLToPath(new URL('../src/cli.ts', import.meta.url))
const installed = findUpwards(dirname(program), join('node_modules', 'commander'))

if (installed === null) {
  refuse('Its dependencies are not installed. Nothing was done. In the folder of the repository, run: npm ci')
} else if (Number.parseInt(process.versions.node, 10) >= nodeMajorMin) {
  await runHere(installed)
} else {
  const pinned = findPinnedNode()
  if (pinned === null) {
    refuse(
      `It needs Node ${nodeMajorMin}; this is Node ${process.versions.node}, and the pinned one is not installed. Nothing was done. Run: npm ci`,
    )
  } else {
    handOver(pinned)
  }
}

/**
 * This Node can do it: no second process. The same as cli.ts does when it is run itself. Compiled code is kept beside the dependencies: who can
 * write there can change them anyway. Where we cannot, nothing is kept.
 * @param {string} dependency
 */
async function runHere(dependency) {
  modules.enableCompileCache(join(dirname(dependency), '.cache', 'sallyport-compiled'))
  const { runCli } = await import('../src/cli.ts')
  // A reader that went away (`| head`) is the end of output, not an error.
  process.stdout.on('error', (/** @type {NodeJS.ErrnoException} */ error) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  process.exitCode = await runCli(process.argv.slice(2))
}

/**
 * @param {string} sentence
 */
function refuse(sentence) {
  process.stderr.write(`sallyport cannot start. ${sentence}\n`)
  process.exitCode = 1
}

/** The package `node` puts its program into its own folder or leaves it in the package of the platform. */
function findPinnedNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const places = [join('node', 'bin', name), join(platform, 'bin', name), join('node', 'node_modules', platform, 'bin', name)]
  for (const place of places) {
    const found = findUpwards(dirname(program), join('node_modules', place))
    // An interrupted install leaves an empty file.
    if (found !== null && statSync(found).size > 0) return found
  }
  return null
}

/**
 * @param {string} start
 * @param {string} path
 * @returns {string | null}
 */
function findUpwards(start, path) {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, path))) return join(folder, path)
    if (dirname(folder) === folder) return null
  }
}

/**
 * Node before 22 cannot replace itself, so this process stays as a shell around the real one: it passes signals on and ends as it ended.
 * @param {string} node
 */
function handOver(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal sends these to the whole foreground group: the child has them already, and a second one would mean "at once".
  const fromTerminal = process.stdin.isTTY
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']
  for (const signal of signals) {
    process.on(signal, () => {
      const delivered = fromTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT')
      if (!delivered) child.kill(signal)
    })
  }
  child.once('error', (error) => refuse(`${node} could not be started: ${error.message}. Run: npm ci`))
  child.once('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1
      for (const each of signals) process.removeAllListeners(each)
      return
    }
    for (const each of signals) process.removeAllListeners(each)
    // What a shell would say, for the moment until the signal has ended us.
    process.exitCode = 128 + constants.signals[signal]
    process.kill(process.pid, signal)
  })
}
