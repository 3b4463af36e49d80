import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/** Stands for cli.ts: tells what it was given and waits for its end. */
const program = `
export async function runCli(words: readonly string[]): Promise<number> {
  console.log(JSON.stringify({ words, pid: process.pid }))
  if (words[0] === 'exit') return Number(words[1])
  if (words[0] === 'die') process.kill(process.pid, 'SIGKILL')
  return new Promise((resolve) => {
    let count = 0
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        count += 1
        console.log(signal + ' ' + count)
        if (signal !== 'SIGHUP') { clearInterval(timer); resolve(7) }
      })
    }
    const timer = setInterval(() => undefined, 1000)
    console.log('waiting')
  })
}
if (import.meta.main) process.exitCode = await runCli(process.argv.slice(2))
`
/** Makes this Node say that it is an old one, so that the launcher hands over; the pinned one it hands over to is real. */
const pretendOld = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.20.0'}})`

let folder = ''
const started: ChildProcess[] = []

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sallyport-launcher-')))
  for (const place of [
    'packages/cli/bin',
    'packages/cli/src',
    'node_modules/.bin',
    'node_modules/commander',
    'node_modules/node/bin',
  ]) {
    mkdirSync(join(folder, place), { recursive: true })
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  cpSync(join(import.meta.dirname, 'sallyport.js'), join(folder, 'packages/cli/bin/sallyport.js'))
  writeFileSync(join(folder, 'packages/cli/src/cli.ts'), program)
  symlinkSync(process.execPath, join(folder, 'node_modules/node/bin/node'))
  symlinkSync('../../packages/cli/bin/sallyport.js', join(folder, 'node_modules/.bin/sallyport'))
})

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

interface Started {
  readonly child: ChildProcess
  readonly output: () => string
  readonly ended: Promise<{ readonly code: unknown; readonly signal: unknown }>
}

function start(old: boolean, ...words: readonly string[]): Started {
  const flags = old ? ['--import', pretendOld] : []
  // Through the link, as a shell would, and from somewhere else.
  const child = spawn(process.execPath, [...flags, join(folder, 'node_modules/.bin/sallyport'), ...words], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return { child, output: () => text, ended: once(child, 'close').then(([code, signal]: unknown[]) => ({ code, signal })) }
}

describe.each([
  ['on the pinned Node', false],
  ['on an old Node', true],
])('%s', (_name, old) => {
  test('words and exit code pass through', async () => {
    const { output, ended } = start(old, 'exit', '4', '--flag', 'two words')
    expect(await ended).toEqual({ code: 4, signal: null })
    expect(output()).toContain('["exit","4","--flag","two words"]')
  })

  test('a second process is started only when this one is too old', async () => {
    const { child, output, ended } = start(old, 'exit', '0')
    await ended
    expect(output().includes(`"pid":${child.pid}`)).toBe(!old)
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('%s reaches the program once, and its exit code comes back', async (signal) => {
    const { child, output, ended } = start(old)
    await expect.poll(output).toContain('waiting')
    child.kill(signal)
    expect(await ended).toEqual({ code: 7, signal: null })
    expect(output()).toContain(`${signal} 1\n`)
    expect(output()).not.toContain(`${signal} 2`)
  })

  test('a program that does not end by a signal goes on', async () => {
    const { child, output, ended } = start(old)
    await expect.poll(output).toContain('waiting')
    child.kill('SIGHUP')
    await expect.poll(output).toContain('SIGHUP 1')
    child.kill('SIGTERM')
    expect(await ended).toEqual({ code: 7, signal: null })
  })

  test('it ends as the program ended', async () => {
    expect(await start(old, 'die').ended).toEqual({ code: null, signal: 'SIGKILL' })
  })

  test('without an install it says what to run', async () => {
    rmSync(join(folder, 'node_modules/commander'), { recursive: true })
    const { output, ended } = start(old, 'exit', '0')
    expect(await ended).toEqual({ code: 1, signal: null })
    expect(output()).toBe(
      'sallyport cannot start. Its dependencies are not installed. Nothing was done. In the folder of the repository, run: npm ci\n',
    )
  })
})

test.each(['absent', 'empty'])('an old Node with the pinned one %s says what to run', async (state) => {
  rmSync(join(folder, 'node_modules/node/bin/node'))
  if (state === 'empty') writeFileSync(join(folder, 'node_modules/node/bin/node'), '')
  const { output, ended } = start(true, 'exit', '0')
  expect(await ended).toEqual({ code: 1, signal: null })
  expect(output()).toContain(
    'It needs Node 24; this is Node 18.20.0, and the pinned one is not installed. Nothing was done. Run: npm ci',
  )
})

test('every Node on this machine can read the launcher', async () => {
  const nodes = (process.env['PATH'] ?? '').split(delimiter).map((place) => join(place, 'node'))
  const codes = nodes
    .filter((node) => existsSync(node))
    .map(async (node) => once(spawn(node, ['--check', join(import.meta.dirname, 'sallyport.js')]), 'close'))
  expect(codes.length).toBeGreaterThan(0)
  for (const [code] of await Promise.all(codes)) expect(code).toBe(0)
})
