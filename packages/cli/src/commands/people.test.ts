import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { makePeopleBench, operatorToken, startPeopleListener } from '../../../../tests/fakes/people.ts'
import { runCli } from '../cli.ts'
import { chooseScope } from './kill.ts'
import { describeWhole } from './requests.ts'
import { describeLine } from './tail.ts'
import { findProgram } from '../../../../tests/fakes/programs.ts'

const bench = makePeopleBench()
const state = mkdtempSync(join(tmpdir(), 'sallyport-cli-'))
let listener: Awaited<ReturnType<typeof startPeopleListener>>

beforeAll(async () => {
  listener = await startPeopleListener(bench)
  const run = {
    controlUrl: listener.url,
    postgresAddress: '127.0.0.1:1',
    cliPid: process.pid,
    gatewayPid: process.pid,
    vaultPid: process.pid,
    configuration: '/nowhere',
    startedAtMs: 1,
  }
  writeFileSync(join(state, 'run.json'), JSON.stringify(run))
  writeFileSync(join(state, 'operator.token'), operatorToken, { mode: 0o600 })
})

afterAll(async () => {
  await listener.close()
  rmSync(state, { recursive: true, force: true })
})

/** The command in this process, with what it prints. */
async function run(...words: readonly string[]): Promise<{ code: number; out: string; error: string }> {
  const printed = { out: '', error: '' }
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    printed.out += String(chunk)
    return true
  })
  const error = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    printed.error += String(chunk)
    return true
  })
  try {
    const code = await runCli([...words, ...(words.includes('--state') ? [] : ['--state', state])])
    return { code, ...printed }
  } finally {
    out.mockRestore()
    error.mockRestore()
    process.exitCode = 0
  }
}

test('requests: list, show by a beginning, cancel', async () => {
  expect((await run('requests')).out).toBe('Nothing waits for people.\n')
  const request = await bench.ask({ text: 'DROP TABLE orders -- \u001B[2J\u202E' })
  const listed = await run('requests')
  expect(listed).toMatchObject({ code: 0, error: '' })
  expect(listed.out).toContain('coder for ada on orders-db (production): deletes 48,211 rows in 3 tables')
  expect(listed.out).toContain(`${listener.url}/requests/${request.id}`)
  expect(JSON.parse((await run('requests', '--json')).out)).toMatchObject({ requests: [{ id: request.id, state: 'pending' }] })
  const shown = await run('requests', 'show', request.id.slice(0, 8))
  expect(shown.out).toContain('| DROP TABLE orders -- ⟦U+001B⟧[2J⟦U+202E⟧')
  expect(JSON.parse((await run('requests', 'show', request.id, '--json')).out)).toMatchObject({
    question: { text: request.question.text },
  })
  expect((await run('requests', 'show', 'nothing')).code).toBe(1)
  expect(await run('requests', 'cancel', request.id)).toMatchObject({ code: 0 })
  expect((await bench.ports.requests.get(request.id))?.state).toBe('cancelled')
  expect((await run('requests', 'cancel', request.id)).code).toBe(4)
})

test('kill, with the time it took', async () => {
  const killed = await run('kill', '--agent', 'coder', '--reason', 'runaway', '--json')
  expect(JSON.parse(killed.out)).toMatchObject({ kill: { scope: { kind: 'agent', id: 'coder' } }, sessionsEnded: 0 })
  expect(bench.kills.at(-1)).toMatchObject({ reason: 'runaway', by: 'operator' })
  expect((await run('kill', '--all')).out).toMatch(/^Everything is stopped: acknowledged in [\d.]+ ms/)
  expect((await run('kill')).code).toBe(2)
})

test('tail: what there is, and with --json each event as it is', async () => {
  await bench.log.append({ type: 'decision', atMs: 0, agent: 'coder', data: { outcome: 'deny\n\u001B[31m' } })
  const tailed = await run('tail', '--no-follow')
  expect(tailed.code).toBe(0)
  expect(tailed.out).toContain('decision          coder  outcome=deny⟦U+000A⟧⟦U+001B⟧[31m')
  const lines = (await run('tail', '--no-follow', '--json')).out.trim().split('\n')
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ type: 'decision', index: bench.log.events.length - 1 })
})

test('tail follows until it is interrupted, then ends well', async () => {
  const cli = findProgram('cli')
  const done = Promise.withResolvers<number | null>()
  const child = execFile(process.execPath, [cli, 'tail', '--json', '--state', state], () => done.resolve(child.exitCode))
  let out = ''
  child.stdout?.on('data', (chunk: string) => (out += chunk))
  await expect.poll(() => bench.log.followers).toBe(1)
  await bench.log.append({ type: 'outcome', atMs: 0, data: { result: 'seen while following' } })
  await expect.poll(() => out).toContain('seen while following')
  child.kill('SIGINT')
  expect(await done.promise).toBe(0)
  await expect.poll(() => bench.log.followers).toBe(0)
})

test('doctor names the owners whom nobody is enrolled as, in team mode', async () => {
  const findings = async (): Promise<string> => (await run('doctor', '--json')).out
  expect(await findings()).not.toContain('Nobody is enrolled as')
  bench.state.mode = 'team'
  expect(await findings()).toContain('Nobody is enrolled as ada, who owns coder, reporter')
  bench.state.mode = 'solo'
})

test('a wrong token is refused with 4, no gate with 3', async () => {
  writeFileSync(join(state, 'operator.token'), 'wrong-token-wrong-token')
  expect((await run('kill', '--all')).code).toBe(4)
  writeFileSync(join(state, 'operator.token'), operatorToken)
  const empty = mkdtempSync(join(tmpdir(), 'sallyport-cli-'))
  const { code } = await run('requests', '--state', empty)
  expect(code).toBe(3)
  rmSync(empty, { recursive: true, force: true })
})

test('exactly one thing to stop', () => {
  expect(chooseScope({ all: true })).toEqual({ kind: 'all', id: '*' })
  expect(chooseScope({ all: false, session: 's' })).toEqual({ kind: 'session', id: 's' })
  for (const wrong of [{ all: false }, { all: true, agent: 'a' }, { all: false, agent: 'a', session: 's' }])
    expect(() => chooseScope(wrong)).toThrow(/What to stop|More than one/)
})

test('nothing an agent or a person wrote moves the cursor', () => {
  const evil = '\u001B[2J\r\u202E'
  const brief = {
    id: 'i',
    url: 'u',
    state: 'pending',
    summary: evil,
    agent: evil,
    owner: evil,
    upstream: evil,
    environment: 'production',
    approvalsGiven: 0,
    approvalsNeeded: 1,
    createdAtMs: 0,
    expiresAtMs: 1,
    notBeforeMs: null,
    endedBy: null,
  }
  const whole = {
    ...brief,
    question: { text: evil, digest: 'd' },
    approvals: [{ person: evil, verdict: 'approve', atMs: 0, reason: evil }],
  }
  for (const text of [
    describeWhole(whole, 0),
    describeLine({ index: 1, type: 'alarm', atMs: 0, agent: evil, session: evil, data: { why: evil, nested: { why: evil } } }),
  ]) {
    expect(text).not.toContain('\u001B')
    expect(text).not.toContain('\r')
    expect(text).not.toContain('\u202E')
  }
})

test.each([['requests', 'list'], ['kill'], ['tail']])('%s has help with its options and exit codes', async (...words) => {
  const { code, out } = await run(...words, '--help')
  expect(code).toBe(0)
  for (const part of ['--state', '--json', 'Exit codes:']) expect(out).toContain(part)
})
