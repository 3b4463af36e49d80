import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runProgram } from './program.ts'

const still = new AbortController().signal

it('resolves with what a program printed, and says why it failed', async () => {
  const run = (words: readonly string[], bytesMax = 100): Promise<Buffer> =>
    runProgram({ program: '/bin/sh', words, environment: {}, signal: still, bytesMax })
  expect((await run(['-c', 'printf ready'])).toString()).toBe('ready')
  await expect(run(['-c', 'echo "error: no room" >&2; exit 3'])).rejects.toThrow('sh ended with 3: error: no room')
  await expect(run(['-c', 'exec yes'])).rejects.toThrow('a signal')
})

it('leaves no program behind when the gate is killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'program-'))
  const file = join(folder, 'pid')
  const words = JSON.stringify(['-c', `echo $$ > ${file}.new; mv ${file}.new ${file}; exec sleep 3600`])
  const source = `
    import { runProgram } from ${JSON.stringify(new URL('program.ts', import.meta.url).href)}
    await runProgram({ program: '/bin/sh', words: ${words}, environment: {}, signal: new AbortController().signal })`
  const gate = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: 'ignore' })
  await expect.poll(() => existsSync(file)).toBe(true)
  const pid = readFileSync(file, 'utf8').trim()
  const ended = once(gate, 'exit')
  gate.kill('SIGKILL')
  await ended
  // A dead child of nobody's may stay as a zombie where nobody reaps: it runs no more.
  const isRunning = (): boolean =>
    existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  await expect.poll(isRunning).toBe(false)
  rmSync(folder, { recursive: true })
})
