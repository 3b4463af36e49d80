import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { startChild, type ChildSettings } from './process-child.ts'
import { isAlive } from './state-directory.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-child-test-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const ready = `console.log(JSON.stringify({ ready: true, link: 'only-for-the-terminal' }))`
const settings = (script: string, more: Partial<ChildSettings> = {}): ChildSettings => ({
  name: 'thing',
  command: process.execPath,
  args: ['-e', script],
  env: {},
  logFile: join(root, 'thing.log'),
  readyTimeoutMs: 10_000,
  stopTimeoutMs: 300,
  ...more,
})

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

test('its ready line is read and kept out of the log; the rest is in the log, 0600', async () => {
  const child = await startChild(settings(`console.log('before'); console.error('aside'); ${ready}; process.stdin.resume()`))
  expect(child.ready).toEqual({ ready: true, link: 'only-for-the-terminal' })
  await child.stop()
  const log = readFileSync(join(root, 'thing.log'), 'utf8')
  expect(log).toContain('before')
  expect(log).toContain('aside')
  expect(log).not.toContain('only-for-the-terminal')
  expect(statSync(join(root, 'thing.log')).mode & 0o777).toBe(0o600)
})

test('one that does not listen to SIGTERM is killed after the deadline, with its own children', async () => {
  const script = `const { spawn } = require('node:child_process'); process.on('SIGTERM', () => undefined)
    const inner = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => undefined); setInterval(() => undefined, 1000)'], { stdio: 'ignore' })
    console.log(JSON.stringify({ ready: true, inner: inner.pid })); setInterval(() => undefined, 1000)`
  const child = await startChild(settings(script))
  const inner = typeof child.ready === 'object' && child.ready !== null && 'inner' in child.ready ? Number(child.ready.inner) : 0
  expect(isAlive(inner)).toBe(true)
  await child.stop()
  expect(await child.ended).toEqual({ kind: 'signal', signal: 'SIGKILL' })
  // Its parent's end may be read before the kernel has ended it. A zombie may stay until somebody reads its end; its command line is empty.
  await expect.poll(() => commandLineOf(inner)).toBe('')
})

test('one that ends before it is ready fails with what it printed; exit code 2 is a mistake of ours', async () => {
  await expect(startChild(settings(`console.error('line 3: no'); process.exit(2)`))).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringContaining('line 3: no'),
  })
  await expect(startChild(settings(`process.exit(1)`))).rejects.toMatchObject({ exitCode: 1 })
  await expect(startChild(settings('', { command: join(root, 'not-there') }))).rejects.toMatchObject({ exitCode: 1 })
})

test('one that is never ready is ended and named', async () => {
  await expect(
    startChild(settings(`console.log('{"ready":false}'); setInterval(() => undefined, 1000)`, { readyTimeoutMs: 200 })),
  ).rejects.toThrow('The thing was not ready after 0.2 s')
})

test('a line without an end does not fill our memory', async () => {
  const child = await startChild(
    settings(`process.stdout.write('x'.repeat(3_000_000) + '\\n'); ${ready}; process.stdin.resume()`),
  )
  expect(Math.max(...child.lastLines().map((line) => line.length))).toBeLessThanOrEqual(2_000)
  await child.stop()
})
