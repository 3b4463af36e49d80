import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { childEnvironment } from '../../../../tests/fakes/child-environment.ts'
import { findProgram } from '../../../../tests/fakes/programs.ts'
import { readRecord } from './open-kills.ts'
import { startSwitch, type SwitchThread } from './switch-thread.ts'

const program = findProgram('switch-host')
const token = 'b'.repeat(64)
const patient = { timeout: 60_000, interval: 10 }
vi.setConfig({ testTimeout: 90_000 })

let directory: string
let host: Host | null = null

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sp-switch-'))
})

afterEach(async () => {
  await host?.end()
  host = null
  rmSync(directory, { recursive: true, force: true })
})

class Host {
  readonly child: ChildProcess
  readonly exited: Promise<unknown[]>
  text = ''

  constructor(what: string, leaseMs: number) {
    this.child = spawn(process.execPath, [program, directory, String(leaseMs), what], {
      env: childEnvironment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.exited = once(this.child, 'exit')
    this.child.stdout?.on('data', (piece: Buffer) => (this.text += piece.toString()))
  }

  async says(words: string): Promise<void> {
    await vi.waitUntil(() => this.text.includes(words), patient)
  }

  async end(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }
}

async function startHost(what: 'looks' | 'stuck' | 'idle', leaseMs = 60_000): Promise<Host> {
  host = new Host(what, leaseMs)
  await host.says('ready')
  return host
}

interface Answer {
  readonly status: number
  readonly lines: readonly unknown[]
}

/** Until the connection closes, however it does. */
function ask(order: object, credential = token, path = '/v1/kill'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = ''
    let status = 0
    const done = (): void =>
      resolve({
        status,
        lines: text
          .split('\n')
          .filter((line) => line !== '')
          .map((line): unknown => JSON.parse(line)),
      })
    const headers = { authorization: `Bearer ${credential}` }
    const asking = request({ socketPath: join(directory, 'switch.sock'), path, method: 'POST', headers }, (response) => {
      status = response.statusCode ?? 0
      response.on('data', (piece: Buffer) => (text += piece.toString()))
      response.on('error', () => undefined)
      response.on('close', done)
    })
    asking.on('error', (error) => (status === 0 ? reject(error) : done()))
    asking.end(JSON.stringify(order))
  })
}

const agentKill = { kind: 'agent', name: 'coder', reason: 'enough', drain: false }

test('it is heard while the event loop of the gate is busy for good, for the gate looks before each write', async () => {
  const running = await startHost('looks')
  const { status, lines } = await ask(agentKill)
  expect(status).toBe(200)
  expect(lines.at(-1)).toMatchObject({ state: 'acknowledged', sessions: 2, durable: true, id: 7 })
  await running.says('stopped agent coder by operator')
})

test('a gate that does not confirm within its lease is ended, and the next one carries the kill out before it listens', async () => {
  const stuck = await startHost('stuck', 300)
  const { lines } = await ask(agentKill)
  expect(lines).toEqual([
    { state: 'pulled', pid: stuck.child.pid, leaseMs: 300, everywhere: true },
    { state: 'ending', pid: stuck.child.pid, durable: true, everywhere: true },
  ])
  expect(await stuck.exited).toEqual([null, 'SIGKILL'])
  expect(stuck.text).not.toContain('stopped')
  expect(readRecord(join(directory, 'kills.record'), 0)).toMatchObject([{ kind: 'agent', name: 'coder', by: 'operator' }])
  const next = await startHost('idle')
  expect(next.text.indexOf('stopped agent coder')).toBeGreaterThanOrEqual(0)
  expect(next.text.indexOf('stopped agent coder')).toBeLessThan(next.text.indexOf('ready'))
})

test('the file `kill` stops everything and is gone when that is acknowledged; one that was there before is heard too', async () => {
  const file = join(directory, 'kill')
  writeFileSync(file, '')
  const before = await startHost('idle')
  await before.says('stopped all  by the file kill')
  await expect.poll(() => existsSync(file), patient).toBe(false)
  before.text = ''
  writeFileSync(file, '')
  await before.says('stopped all  by the file kill')
  await expect.poll(() => existsSync(file), patient).toBe(false)
})

test('so does the signal', async () => {
  const running = await startHost('idle')
  running.child.kill('SIGUSR2')
  await running.says('stopped all')
  expect(running.text).toContain('stopped all  by signal SIGUSR2')
})

test('nobody pulls it without its own credential, and nothing but a plain order does', async () => {
  const running = await startHost('idle')
  expect(statSync(join(directory, 'switch.sock')).mode & 0o077).toBe(0)
  for (const wrong of ['', 'a'.repeat(64), `${token}x`, token.slice(1)]) expect((await ask(agentKill, wrong)).status).toBe(401)
  for (const order of [
    {},
    { ...agentKill, kind: 'everyone' },
    { ...agentKill, name: '' },
    { ...agentKill, kind: 'all' },
    { ...agentKill, by: 'ada' },
    { ...agentKill, reason: 'x'.repeat(1001) },
    { ...agentKill, padding: 'x'.repeat(20_000) },
  ])
    expect((await ask(order)).status, JSON.stringify(order).slice(0, 80)).toBe(400)
  expect((await ask(agentKill, token, '/v1/release')).status).toBe(404)
  expect(running.text).not.toContain('stopped')
})

interface Own {
  readonly thread: SwitchThread
  readonly stopped: string[]
  readonly deaf: string[]
}

async function startOwn(program?: URL): Promise<Own> {
  const stopped: string[] = []
  const deaf: string[] = []
  const thread = await startSwitch({
    directory,
    token,
    nowMs: () => 0,
    stop: ({ kind, name, reason }) => {
      stopped.push(`${kind} ${name} ${reason}`)
      return 0
    },
    write: async () => 1,
    deaf: (reason) => deaf.push(reason),
    report: () => undefined,
    ...(program === undefined ? {} : { program }),
  })
  return { thread, stopped, deaf }
}

test('a gate whose switch has died stops by itself', async () => {
  const dying = new URL('../../../../tests/fakes/dying-switch.ts', import.meta.url)
  const { thread, deaf } = await startOwn(dying)
  process.emit('SIGUSR2')
  await vi.waitFor(() => expect(deaf).toEqual([expect.stringContaining('cannot hear its kill switch')]), patient)
  await thread.close()
  expect(deaf).toHaveLength(1)
})

test('a switch that is closed by its gate is no death', async () => {
  const { thread, deaf } = await startOwn()
  expect(existsSync(join(directory, 'switch.json'))).toBe(true)
  await thread.close()
  expect(deaf).toEqual([])
  expect(existsSync(join(directory, 'switch.json'))).toBe(false)
})

test('what is settled is not carried out again; what cannot be read is a kill of everything', async () => {
  const record = join(directory, 'kills.record')
  const order = { kind: 'agent', name: 'coder', reason: 'enough', by: 'operator', drain: false, atMs: 5, mark: 'm1' }
  const line = (number: number): string => `${JSON.stringify({ number, order })}\n`
  writeFileSync(record, `${line(1)}${line(2)}{"settled":1}\n`)
  expect(readRecord(record, 0)).toEqual([order])
  for (const torn of [line(1).slice(0, -9), 'x', `${line(1)}{"settled":1,"number":2}\n`, line(1).replace('agent', 'agents')]) {
    writeFileSync(record, torn)
    expect(readRecord(record, 0).at(-1), torn).toMatchObject({ kind: 'all', name: '' })
  }
  const { thread, stopped } = await startOwn()
  expect(stopped.at(-1)).toContain('may have been a kill')
  expect(readFileSync(record, 'utf8')).toBe('')
  await thread.close()
})

test('a record that is a link to elsewhere is not followed', () => {
  writeFileSync(join(directory, 'elsewhere'), '')
  symlinkSync(join(directory, 'elsewhere'), join(directory, 'kills.record'))
  expect(() => readRecord(join(directory, 'kills.record'), 0)).toThrow(/cannot be read/)
})
