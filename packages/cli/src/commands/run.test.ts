import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { findProgram } from '../../../../tests/fakes/programs.ts'
import { runCommandLine, type CommandLineEnd, type CommandLineSettings } from '../../../../tests/fakes/command-line.ts'
import { readRun, writeRun, type Run } from '../state-directory.ts'
import { casesOf } from '../../../../tests/breadth.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-run-test-'))
const state = join(root, '.sallyport')
const upstreamPassword = 'the-upstream-password'
let gateway: ChildProcess

beforeAll(async () => {
  mkdirSync(state, { mode: 0o700 })
  mkdirSync(join(root, 'secrets'))
  writeFileSync(join(root, 'secrets', 'one.use'), `postgres://app:${upstreamPassword}@127.0.0.1:1/one`, { mode: 0o600 })
  const configuration = join(root, 'sallyport.yaml')
  writeFileSync(
    configuration,
    'version: 1\nupstreams:\n  one: { use: "file:secrets/one.use", protect: "env:PROTECT_ONE" }\nagents:\n  coder: { owner: ada, may: [read one] }\n',
  )
  gateway = spawn(process.execPath, [findProgram('gateway-process'), '--state', state, '--exit-with-parent'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const line = await new Promise<string>((resolve) => gateway.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString())))
  const ready: unknown = JSON.parse(line)
  const controlUrl = typeof ready === 'object' && ready !== null && 'controlUrl' in ready ? String(ready.controlUrl) : ''
  const pid = gateway.pid ?? 0
  writeRun(state, {
    controlUrl,
    postgresAddress: '127.0.0.1:6432',
    cliPid: process.pid,
    gatewayPid: pid,
    vaultPid: pid,
    configuration,
    startedAtMs: 0,
  })
})
afterAll(() => {
  gateway.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

const run = (words: readonly string[], settings: Partial<CommandLineSettings> = {}): Promise<CommandLineEnd> =>
  runCommandLine(words, { folder: root, ...settings })

async function askGateway(path: string): Promise<unknown> {
  const token = readFileSync(join(state, 'operator.token'), 'utf8').trim()
  return (await fetch(`${readRun(state)?.controlUrl}${path}`, { headers: { authorization: `Bearer ${token}` } })).json()
}

describe('run', () => {
  test('gives the handle and the gate’s address, and no credential of the upstream', async () => {
    const environment = {
      PROTECT_ONE: 'postgres://p:other-password@h/d',
      COPIED: upstreamPassword,
      PGHOSTADDR: '10.0.0.1',
      GITHUB_TOKEN: 'mine',
    }
    const end = await run(['run', '--', process.execPath, '-e', 'console.log(JSON.stringify(process.env))'], { environment })
    expect(end.code).toBe(0)
    const seen: unknown = JSON.parse(end.output)
    expect(seen).toMatchObject({
      PGHOST: '127.0.0.1',
      PGPORT: '6432',
      PGUSER: 'coder',
      PGDATABASE: 'one',
      GITHUB_TOKEN: 'mine',
      PGPASSWORD: expect.stringMatching(/^sp_/),
    })
    expect(seen).not.toHaveProperty('PROTECT_ONE')
    expect(seen).not.toHaveProperty('COPIED')
    expect(seen).not.toHaveProperty('PGHOSTADDR')
    expect(end.errors).toContain('isolation level 0')
    expect(end.errors).toContain('can walk around Sallyport')
    expect(end.errors).toContain('COPIED, PROTECT_ONE')
    expect(end.errors).toContain('GITHUB_TOKEN')
    expect(end.output + end.errors).not.toContain(upstreamPassword)
  })

  test('the handle is ended afterwards, whatever the command did', async () => {
    await run(['run', '--', 'false'])
    const { handles } = z.object({ handles: z.array(z.unknown()) }).parse(await askGateway('/handles'))
    expect(handles).not.toHaveLength(0)
    for (const handle of handles) expect(handle).toMatchObject({ agent: 'coder', revoked: true })
  })

  const endings: readonly (readonly [string, readonly string[], number])[] = [
    ['success', ['true'], 0],
    ['its own code', ['sh', '-c', 'exit 37'], 37],
    ['a signal', ['sh', '-c', 'kill -TERM $$'], 143],
    ['a program that is not there', ['no-such-program-here'], 127],
    ['a file that is no program', ['/etc/passwd'], 126],
    ['options that are the command’s own', ['sh', '-c', 'test "$1" = --json', 'sh', '--json'], 0],
  ]
  test.each(casesOf(endings, 3))('exits with the command’s code: %s', async (_, command, code) => {
    expect((await run(['run', '--', ...command])).code).toBe(code)
  })

  test.each(casesOf(['SIGTERM', 'SIGINT', 'SIGHUP'] as const, 1))(
    '%s goes to the command, and its own end counts',
    async (signal) => {
      const script = `process.on('${signal}', () => process.exit(21)); console.log('listening'); setInterval(() => undefined, 1000)`
      const end = await run(['run', '--', process.execPath, '-e', script], {
        whileRunning: (child) => child.stdout?.once('data', () => child.kill(signal)),
      })
      expect(end.output).toContain('listening')
      expect(end.code).toBe(21)
    },
  )

  test('standard input and output are the command’s own', async () => {
    expect((await run(['run', '--', 'cat'], { input: 'through' })).output).toBe('through')
  })

  test('an unknown agent or upstream starts nothing', async () => {
    for (const words of [
      ['--agent', 'stranger'],
      ['--upstream', 'nowhere'],
    ]) {
      const end = await run(['run', ...words, '--', 'echo', 'ran'])
      expect(end.code).toBe(2)
      expect(end.output).toBe('')
    }
  })
})

describe('run, when the gate also listens for HTTPS', () => {
  const before = (): Run => {
    const record = readRun(state)
    if (record === null) throw new Error('no gate runs')
    return record
  }
  beforeAll(() => {
    mkdirSync(join(state, 'authority'), { mode: 0o700 })
    writeFileSync(join(state, 'authority', 'ca.pem'), rootCertificates[0] ?? '')
    writeRun(state, { ...before(), httpAddress: '127.0.0.1:6443' })
  })
  afterAll(() => {
    writeRun(state, { ...before(), httpAddress: undefined })
    rmSync(join(state, 'authority'), { recursive: true })
  })

  test('the command gets the proxy and files that it can read; they go with it', async () => {
    const script = `const { readFileSync } = require('node:fs')
      const { HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS } = process.env
      console.log(JSON.stringify({ HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, held: readFileSync(SSL_CERT_FILE, 'utf8').split('BEGIN').length,
        extra: readFileSync(NODE_EXTRA_CA_CERTS, 'utf8').split('BEGIN').length }))`
    const end = await run(['run', '--', process.execPath, '-e', script], { environment: { no_proxy: '*' } })
    expect(end.code).toBe(0)
    expect(end.errors).toContain('its HTTPS goes through the gate, which refuses hosts that no upstream governs')
    const seen = z
      .object({ SSL_CERT_FILE: z.string(), held: z.number(), extra: z.number() })
      .loose()
      .parse(JSON.parse(end.output))
    expect(seen).toMatchObject({
      HTTPS_PROXY: expect.stringMatching(/^http:\/\/coder:sp_[\w-]{43}@127\.0\.0\.1:6443$/),
      NO_PROXY: 'localhost,127.0.0.1,::1',
    })
    expect(seen.held).toBeGreaterThan(10)
    expect(seen.extra).toBe(2)
    expect(existsSync(seen.SSL_CERT_FILE)).toBe(false)
  })

  test('handle issue prints the proxy too', async () => {
    const end = await run(['handle', 'issue', 'coder', '--json'])
    expect(JSON.parse(end.output)).toMatchObject({ proxyUrl: expect.stringMatching(/^http:\/\/coder:sp_.*@127\.0\.0\.1:6443$/) })
  })

  test('no authority, no start: the command does not run, and no handle is issued', async () => {
    const certificate = join(state, 'authority', 'ca.pem')
    const held = readFileSync(certificate)
    rmSync(certificate)
    const count = async (): Promise<number> =>
      z.object({ handles: z.array(z.unknown()) }).parse(await askGateway('/handles')).handles.length
    const issued = await count()
    const end = await run(['run', '--', 'echo', 'ran'])
    writeFileSync(certificate, held)
    expect(end.code).toBe(1)
    expect(end.output).toBe('')
    expect(await count()).toBe(issued)
  })
})

describe('handle and undo', () => {
  test('issue prints the handle once, with a line to paste; revoke ends it', async () => {
    const end = await run(['handle', 'issue', 'coder', '--ttl', '1h', '--upstream', 'one'])
    expect(end.output.match(/sp_[\w-]{43}/g)?.length).toBe(2)
    expect(end.output).toContain('psql "host=127.0.0.1 port=6432 user=coder dbname=one"')
    const json: unknown = JSON.parse((await run(['handle', 'issue', 'coder', '--json'])).output)
    expect(json).toMatchObject({ agent: 'coder', url: expect.stringContaining('@127.0.0.1:6432/') })
    const id = /Handle ([0-9a-f]{16})/.exec(end.output)?.[1] ?? ''
    expect((await run(['handle', 'revoke', id])).code).toBe(0)
    expect((await run(['handle', 'revoke', '0000000000000000'])).code).toBe(1)
  })

  test('a refusal by the gate is exit code 4 in its words', async () => {
    const end = await run(['handle', 'issue', 'nobody'])
    expect(end.code).toBe(4)
    expect(end.errors).toContain('refused: not_in_scope')
    expect(end.errors).toContain('Try another.')
  })

  test('undo says what it will do and does it only when told', async () => {
    const asked = await run(['undo', 'last'])
    expect(asked.code).toBe(2)
    expect(asked.errors).toContain('48,211 rows')
    expect(asked.errors).toContain('public.audit_log')
    const done = await run(['undo', 'abab', '--yes'])
    expect(done.code).toBe(0)
    expect(done.output).toContain('48,211')
    expect((await run(['undo', 'ffff', '--yes'])).code).toBe(1)
  })
})

describe('without a gate', () => {
  test.each<[string, readonly string[]]>([
    ['run', ['run', '--', 'echo', 'ran']],
    ['handle', ['handle', 'issue', 'coder']],
    ['undo', ['undo', 'last', '--yes']],
  ])('%s exits with 3 and does nothing', async (_, words) => {
    const end = await run(words, { environment: { SALLYPORT_STATE: join(root, 'empty') } })
    expect(end.code).toBe(3)
    expect(end.output).toBe('')
  })

  test('the token goes to no address outside this machine and to no port of a dead gate', async () => {
    const folder = join(root, 'forged')
    mkdirSync(folder)
    writeFileSync(join(folder, 'operator.token'), 'token-that-must-not-leave')
    const forged = { postgresAddress: 'x:1', cliPid: 1, vaultPid: 1, configuration: '/x', startedAtMs: 0 }
    for (const run of [
      { ...forged, controlUrl: 'http://gate.example.com:6480', gatewayPid: process.pid },
      { ...forged, controlUrl: 'http://127.0.0.1.example.com:6480', gatewayPid: process.pid },
      { ...forged, controlUrl: readRun(state)?.controlUrl ?? '', gatewayPid: 2 ** 22 - 1 },
    ]) {
      writeRun(folder, run)
      const end = await runCommandLine(['handle', 'issue', 'coder', '--state', folder], { folder: root })
      expect(end.code).toBe(3)
    }
  })
})

describe('doctor', () => {
  test('names the level, the ways around, bad modes and mistakes, each with how to mend it', async () => {
    const end = await run(['doctor'])
    expect(end.code).toBe(1)
    expect(end.output).toContain('Isolation level 0')
    expect(end.output).toContain('This agent can walk around Sallyport')
    expect(end.output).toContain('Solo mode: four-eyes is off')
    expect(end.output).toContain('nobody has accepted that')
    expect(end.output + end.errors).not.toContain(upstreamPassword)
    chmodSync(join(state, 'operator.token'), 0o644)
    const json: unknown = JSON.parse((await run(['doctor', '--json'])).output)
    chmodSync(join(state, 'operator.token'), 0o600)
    expect(json).toMatchObject({
      isolation: { level: 0 },
      findings: expect.arrayContaining([
        expect.objectContaining({
          about: 'files',
          verdict: 'bad',
          what: expect.stringContaining('operator.token'),
          mend: expect.stringContaining('chmod'),
        }),
      ]),
    })
  })
})
