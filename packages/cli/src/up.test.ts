import { spawn, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { findProgram } from '../../../tests/fakes/programs.ts'
import { findProcessesOf, requireRoot, waitUntil } from '../../../tests/fakes/own-processes.ts'
import { clusterNameOf } from './playground/leftover.ts'
import { readRun } from './state-directory.ts'
import { casesOf, inDepth } from '../../../tests/breadth.ts'

const program = findProgram('up-process')
const root = mkdtempSync(join(tmpdir(), 'sallyport-up-test-'))
chmodSync(root, 0o711)
const started: ChildProcess[] = []
afterAll(() => {
  for (const child of started) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

interface Up {
  readonly child: ChildProcess
  output(): string
  errors(): string
  /** Resolves with the exit code when it has ended. */
  end(): Promise<number | null>
}

function startUp(state: string, mode = '', config: readonly string[] = [], more: NodeJS.ProcessEnv = {}): Up {
  const child = spawn(process.execPath, [program, state, ...config], {
    cwd: root,
    env: { ...process.env, FAKE_GATEWAY: mode, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, output: () => output, errors: () => errors, end: () => ended }
}

const isReady = (up: Up) => (): boolean => up.output().includes('Ctrl-C') || up.child.exitCode !== null
const titlesOf = (state: string) => [state, clusterNameOf(join(state, 'playground'))]
const livingOf = (state: string): number => titlesOf(state).flatMap((title) => findProcessesOf(title)).length

/** Everything in the files below, but the database's own. */
function readAll(folder: string): { path: string; text: string }[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return name === 'data' || name === 'binaries' ? [] : readAll(path)
    return statSync(path).isFile() ? [{ path, text: readFileSync(path, 'latin1') }] : []
  })
}

describe('a playground from start to end', () => {
  const state = join(root, 'state')

  test('ready, said in at most 36 plain lines; nothing secret elsewhere; stopped whole by SIGINT', async () => {
    const up = startUp(state)
    await waitUntil('the welcome', isReady(up))
    expect(up.errors()).toBe('')
    expect(up.output().trimEnd().split('\n').length).toBeLessThanOrEqual(36)
    expect(up.output()).not.toContain('\u001b')
    expect(up.output()).toMatch(/Isolation level 0/)
    expect(up.output()).toContain('DROP TABLE')
    expect(up.output()).toContain('#one-time-secret')
    const secrets = readAll(join(state, 'secrets')).flatMap(({ text }) => [
      text.trim(),
      /:([^:@]+)@/.exec(text)?.[1] ?? text.trim(),
    ])
    const handle = /PGPASSWORD=(\S+)/.exec(up.output())?.[1] ?? ''
    const token = readFileSync(join(state, 'operator.token'), 'utf8').trim()
    const outside = readAll(state).filter(({ path }) => !path.startsWith(join(state, 'secrets')) && !path.endsWith('.token'))
    const commandLines = titlesOf(state)
      .flatMap((title) => findProcessesOf(title))
      .map(({ commandLine }) => commandLine)
    expect(commandLines.length).toBeGreaterThan(8)
    for (const secret of [...secrets, handle, token, 'one-time-secret']) {
      expect(secret.length).toBeGreaterThan(14)
      for (const { path, text } of outside) expect(text.includes(secret) ? path : '').toBe('')
      for (const commandLine of commandLines) expect(commandLine).not.toContain(secret)
      if (secret !== handle && secret !== 'one-time-secret') expect(up.output()).not.toContain(secret)
    }
    up.child.kill('SIGINT')
    expect(await up.end()).toBe(0)
    await expect.poll(() => livingOf(state)).toBe(0)
    expect(readRun(state)).toBeNull()
  })

  test('a second start, at level 2, finds its state; a start meanwhile says so and exits; SIGTERM stops it too', async () => {
    requireRoot()
    const up = startUp(state, '', [], { FAKE_AGENT_USER: 'daemon' })
    await waitUntil('the welcome', isReady(up))
    // That user cannot become the gate's.
    expect(up.output()).toContain('Isolation level 2')
    expect(up.output()).not.toContain('walk around')
    expect(findProcessesOf('--isolation-level=2').some(({ commandLine }) => commandLine.includes(state))).toBe(true)
    const second = startUp(state)
    expect(await second.end()).toBe(1)
    expect(second.errors()).toContain('A gate already runs')
    expect(second.errors()).toContain(readRun(state)?.controlUrl)
    expect(up.child.exitCode).toBeNull()
    up.child.kill('SIGTERM')
    expect(await up.end()).toBe(0)
    await expect.poll(() => livingOf(state)).toBe(0)
  })

  test.each(
    inDepth(
      'SIGKILL leaves no process behind, and the next start works at once; a gate that ends takes everything down, its last words shown',
    ),
  )('%s', async () => {
    const up = startUp(state)
    await waitUntil('the welcome', isReady(up))
    up.child.kill('SIGKILL')
    await up.end()
    const next = startUp(state)
    await waitUntil('the welcome after a SIGKILL', isReady(next))
    expect(next.output()).toContain('is ready')
    const run = readRun(state)
    await fetch(`${run?.controlUrl}/die`, {
      headers: { authorization: `Bearer ${readFileSync(join(state, 'operator.token'), 'utf8').trim()}` },
    }).catch(() => undefined)
    expect(await next.end()).toBe(1)
    expect(next.errors()).toContain('told to die')
    await expect.poll(() => livingOf(state)).toBe(0)
  })

  test.each(
    casesOf(
      [
        ['the gate', `${findProgram('gateway-process')} --config=${join(state, 'playground.yaml')}`],
        ['the database', clusterNameOf(join(state, 'playground'))],
      ] as const,
      0,
    ),
  )('SIGINT while %s starts stops what was started', async (_, title) => {
    const up = startUp(state, 'slow')
    await waitUntil('that process', () => findProcessesOf(title).length > 0)
    up.child.kill('SIGINT')
    expect(await up.end()).toBe(1)
    expect(up.errors()).toContain('Interrupted')
    await expect.poll(() => livingOf(state)).toBe(0)
  })

  test.each(inDepth('level 0 when that user can become the gate’s, or what is the gate’s stands open'))('%s', async () => {
    requireRoot()
    const same = startUp(state, '', [], { FAKE_AGENT_USER: 'nobody' })
    await waitUntil('the welcome', isReady(same))
    expect(same.output()).toContain('Isolation level 0')
    expect(same.output()).toContain('PG_VERSION')
    same.child.kill('SIGINT')
    await same.end()
    chmodSync(join(state, 'operator.token'), 0o644)
    const open = startUp(state, '', [], { FAKE_AGENT_USER: 'daemon' })
    await waitUntil('the welcome', isReady(open))
    chmodSync(join(state, 'operator.token'), 0o600)
    expect(open.output()).toContain('Isolation level 0')
    expect(open.output()).toContain('operator.token')
    open.child.kill('SIGINT')
    await open.end()
  })
})

test.each(inDepth('a state whose path is too long for a socket: the vault is met elsewhere, and that is taken away again'))(
  '%s',
  async () => {
    const state = join(root, 'long-'.repeat(30))
    // With a configuration there is no playground to fill.
    const configuration = join(root, 'long.yaml')
    writeFileSync(configuration, 'version: 1\n')
    const up = startUp(state, '', [configuration])
    await waitUntil('the welcome', isReady(up))
    expect(up.output()).toContain('is ready')
    const socket = /--vault-socket=(\S+)/.exec(findProcessesOf(`--state=${state}`)[0]?.commandLine ?? '')?.[1] ?? ''
    expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700)
    up.child.kill('SIGINT')
    expect(await up.end()).toBe(0)
    expect(existsSync(dirname(socket))).toBe(false)
  },
)

describe('what keeps it from starting', () => {
  test('five mistakes in a configuration: all are shown, exit code 2, nothing runs', async () => {
    const state = join(root, 'broken')
    writeFileSync(join(root, 'broken.yaml'), 'version: 2\n')
    const up = startUp(state, 'broken', [join(root, 'broken.yaml')])
    expect(await up.end()).toBe(2)
    for (let line = 1; line <= 5; line++) expect(up.errors()).toContain(`broken.yaml:${line}:1 mistake ${line}`)
    await expect.poll(() => livingOf(state)).toBe(0)
  })

  test('a configuration that is not there: exit code 2 and no state is made', async () => {
    const up = startUp(join(root, 'none'), '', [join(root, 'none.yaml')])
    expect(await up.end()).toBe(2)
    expect(readdirSync(root)).not.toContain('none')
  })

  test('production below level 2 that nobody has accepted: it says what to write, and lets no agent in', async () => {
    const file = join(root, 'production.yaml')
    const upstreams = 'upstreams:\n  orders-db: { protocol: postgres, use: env:X, protect: env:Y }\n'
    writeFileSync(file, `version: 1\n${upstreams}`)
    const state = join(root, 'unaccepted')
    const up = startUp(state, '', [file])
    expect(await up.end()).toBe(2)
    expect(up.errors()).toContain('Production (orders-db) stands behind a gate at isolation level 0')
    expect(up.errors()).toContain('accept_risk: [level-0]')
    await expect.poll(() => livingOf(state)).toBe(0)
    writeFileSync(file, `version: 1\n${upstreams}accept_risk: [level-0]\n`)
    const accepted = startUp(state, '', [file])
    await waitUntil('the welcome', isReady(accepted))
    expect(accepted.errors()).toBe('')
    accepted.child.kill('SIGINT')
    expect(await accepted.end()).toBe(0)
  })

  test('a state that had a configuration, which is gone: it does not become a playground', async () => {
    const state = join(root, 'configured')
    mkdirSync(state)
    writeFileSync(join(state, 'configured'), '/somewhere/sallyport.yaml\n')
    const up = startUp(state)
    expect(await up.end()).toBe(2)
    expect(up.errors()).toContain('/somewhere/sallyport.yaml')
    expect(readdirSync(state)).not.toContain('playground')
  })
})
