import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findFreePort } from '../servers/postgres.ts'
import { gatewayMain } from '../servers/gate.ts'

interface Ended {
  readonly code: number | null
  readonly output: string
  readonly errors: string
  /** Ports of the configuration that somebody answered on while the process lived. */
  readonly answered: number
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-config-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The real gateway on this configuration, until it ends; its ports are tried all the while. */
async function runGateway(yaml: string, ports: readonly number[]): Promise<Ended> {
  const configuration = join(folder, 'sallyport.yaml')
  writeFileSync(configuration, yaml)
  const flags = [
    '--config',
    configuration,
    '--state',
    join(folder, 'state'),
    '--vault-socket',
    join(folder, 'vault.sock'),
    '--vault-token-file',
    join(folder, 'token'),
  ]
  const child = spawn(process.execPath, [gatewayMain, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, errors] = ['', '']
  child.stdout.on('data', (piece: Buffer) => (output += piece.toString()))
  child.stderr.on('data', (piece: Buffer) => (errors += piece.toString()))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  let answered = 0
  while (child.exitCode === null && child.signalCode === null) {
    for (const port of ports) if (await isAnswered(port)) answered += 1
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return { code: await ended, output, errors, answered }
}

function isAnswered(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

test('five mistakes get five errors with file, line and a hint, and nothing starts', async () => {
  const [postgres, control] = [await findFreePort(), await findFreePort()]
  const yaml = `version: 1
mode: anarchy
listen:
  postgres: 127.0.0.1:${postgres}
  control: localhost:${control}
upstreams:
  orders-db:
    protocol: postgres
    use: postgres://app:hunter2@db/orders
agents:
  coder:
    owner: ada
    may: [frobnicate orders-db]
    handles: { ttl: fortnight }
cooloff: 10m
`
  const { code, output, errors, answered } = await runGateway(yaml, [postgres, control])
  expect(code).toBe(2)
  expect(output).toBe('')
  expect(answered).toBe(0)
  const lines = errors.split('\n')
  const places = lines
    .flatMap((line) => /sallyport\.yaml:(\d+):(\d+): (.+)$/.exec(line)?.slice(1) ?? [])
    .filter((_, index) => index % 3 === 0)
  expect(places).toEqual(['2', '9', '13', '14', '15'])
  const hints = lines.filter((line) => /^ {4}\S/.test(line))
  expect(hints).toHaveLength(5)
  // What may be a secret is not repeated.
  expect(errors).not.toContain('hunter2')
  expect(existsSync(join(folder, 'state'))).toBe(false)
  expect(readdirSync(folder)).toEqual(['sallyport.yaml'])
})

test('a scope on an upstream that is not there is a mistake too, and so is a name given twice', async () => {
  const names = await runGateway("version: 1\nupstreams: {}\nagents:\n  coder: { owner: ada, may: ['read nowhere'] }\n", [])
  expect(names.code).toBe(2)
  expect(names.errors).toMatch(/sallyport\.yaml:4:\d+: .*"nowhere"/)
  const twice = await runGateway('version: 1\nmode: solo\nmode: team\nupstreams: {}\nagents: {}\n', [])
  expect(twice.code).toBe(2)
  expect(twice.errors).toMatch(/sallyport\.yaml:3:\d+: /)
})

test('a file that is not there, is no YAML, or grows by aliases starts nothing', async () => {
  for (const yaml of ['mode: [', 'a: &a [1]\nb: [*a, *a]\n', 'version: 2\nupstreams: {}\nagents: {}\n']) {
    const { code, errors } = await runGateway(yaml, [])
    expect(code).toBe(2)
    expect(errors).toMatch(/sallyport\.yaml:\d+:\d+: .+\n {4}\S/)
  }
  expect(existsSync(join(folder, 'state'))).toBe(false)
})
