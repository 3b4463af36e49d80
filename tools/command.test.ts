import { expect, test } from 'vitest'
import { runCommand } from './command.ts'

const cwd = import.meta.dirname

test('the code and both outputs come back', async () => {
  const result = await runCommand('sh', ['-c', 'cat; echo wrong >&2; exit 3'], { cwd, stdin: 'given' })
  expect(result).toEqual({ code: 3, stdout: 'given', stderr: 'wrong\n' })
})

test('a program that is not there, or ends by a signal, is a failure that names it', async () => {
  expect(await runCommand('sallyport-absent', [], { cwd })).toMatchObject({
    code: 127,
    stderr: expect.stringContaining('sallyport-absent could not be started'),
  })
  expect(await runCommand('sh', ['-c', 'kill -KILL $$'], { cwd })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('SIGKILL'),
  })
})

test('one that takes too long is stopped with its children', async () => {
  const startMs = performance.now()
  // The inner sleep holds the output open: only its end lets runCommand return.
  const result = await runCommand('sh', ['-c', 'sleep 600 & wait'], { cwd, timeoutMs: 300 })
  expect(result.stderr).toContain('ran longer than 0.3 s')
  expect(performance.now() - startMs).toBeLessThan(300_000)
})
