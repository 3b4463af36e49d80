import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { sha256Hex } from '@sallyport/core'
import { requireRoot } from '../fakes/own-processes.ts'
import type { HttpPerson } from '../fakes/http-person.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { checksums, listSnapshots, patience, requestOf, undo } from './evidence.ts'
import { openPsql, type Psql } from './psql.ts'
import { findProgram } from '../fakes/programs.ts'

vi.setConfig(patience)

const vaultMain = findProgram('vault')
let postgres: PostgresServer
let gate: TestGate
let coder: Psql
let bob: HttpPerson
let copy: string
let before: Readonly<Record<string, string>>

beforeAll(async () => {
  postgres = await startPostgres()
  gate = await startGate({ postgres, wait: '0ms' })
  await arrange(
    postgres,
    "CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 5000) n",
  )
  before = await checksums(postgres, ['notes'])
  await gate.person('ada')
  bob = await gate.person('bob')
  coder = await openPsql(gate, 'coder')
  await bob.approve(requestOf(await coder.run('DROP TABLE notes')))
  await coder.run('DROP TABLE notes')
  copy = (await listSnapshots(gate))[0]?.id ?? ''
})

afterAll(async () => {
  await gate?.stop()
  await postgres?.stop()
})

interface Answer {
  readonly status: number
  readonly text: string
}

/** A request at the vault's own door, with the one credential that the gate has there. */
function askVault(method: string, path: string, body?: string | Buffer): Promise<Answer> {
  const token = readFileSync(join(gate.directory, 'vault.token'), 'utf8').trim()
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      socketPath: join(gate.directory, 'run', 'vault.sock'),
      method,
      path,
      headers: { authorization: `Bearer ${token}` },
      agent: false,
    })
    sent.once('error', reject)
    sent.once('response', (response) => {
      let text = ''
      response.on('data', (piece: Buffer) => (text += piece.toString('utf8')))
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.end(body)
  })
}

/** Name and SHA-256 of everything that makes up copies. Nothing of it may change or go; more may come. */
function inventory(): ReadonlyMap<string, string> {
  const folder = join(gate.directory, 'vault')
  const files = ['chunks', 'manifests', 'retention'].flatMap((part) =>
    readdirSync(join(folder, part), { recursive: true, withFileTypes: true }),
  )
  return new Map(
    files
      .filter((file) => file.isFile())
      .map((file) => [join(file.parentPath, file.name), sha256Hex(readFileSync(join(file.parentPath, file.name)))]),
  )
}

function expectAllThere(earlier: ReadonlyMap<string, string>): void {
  const now = inventory()
  for (const [file, hash] of earlier) expect(now.get(file), file).toBe(hash)
}

const verifyShape = z.object({ ok: z.boolean(), snapshots: z.number(), damage: z.array(z.unknown()) })

function verifyVault(folder = join(gate.directory, 'vault')): Promise<z.infer<typeof verifyShape>> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [vaultMain, 'verify', folder], (_error, out, errors) =>
      out === '' ? reject(new Error(errors)) : resolve(verifyShape.parse(JSON.parse(out))),
    )
  })
}

describe('Promise 8, at isolation level 2: no credential that Sallyport holds can delete or overwrite a copy in the vault before its retention ends', () => {
  it('not with the gate’s credential, by any verb on any path', async () => {
    expect(await checksums(postgres, ['notes'])).toEqual({ notes: 'not there' })
    expect(copy).toMatch(/^[0-9a-f]{64}$/)
    const earlier = inventory()
    expect(earlier.size).toBeGreaterThan(1)
    const paths = [
      `/v1/snapshots/${copy}`,
      `/v1/snapshots/${copy}/part?name=data`,
      `/v1/snapshots/${copy}/retention`,
      '/v1/snapshots',
      '/v1/seals',
      '/v1/newest',
      '/v1/witness',
      '/v1/health',
      '/',
      '*',
    ]
    for (const method of [
      'DELETE',
      'PUT',
      'PATCH',
      'MOVE',
      'COPY',
      'PURGE',
      'LOCK',
      'UNLOCK',
      'MKCOL',
      'PROPPATCH',
      'OPTIONS',
      'LINK',
      'UNLINK',
    ]) {
      for (const path of paths) expect((await askVault(method, path)).status, `${method} ${path}`).toBeGreaterThanOrEqual(400)
    }
    for (const path of paths.filter((path) => !/seals|retention/.test(path)))
      expect((await askVault('POST', path, '{}')).status, path).toBeGreaterThanOrEqual(400)
    expectAllThere(earlier)
  })

  it('not by a path that leads elsewhere, nor by a name that is taken', async () => {
    const earlier = inventory()
    const [file = ''] = earlier.keys()
    const inside = file.slice(join(gate.directory, 'vault').length + 1)
    const begun = await askVault(
      'POST',
      '/v1/seals',
      JSON.stringify({ upstream: 'orders-db', upstreamIdentity: 'x', digest: 'd', retainMs: 1_000 }),
    )
    const seal = /[0-9a-f]{32}/.exec(begun.text)?.[0] ?? ''
    for (const name of [
      inside,
      `../../${inside}`,
      `../../../${inside}`,
      `/${file}`,
      `..\\..\\${inside}`,
      `a/../../../${inside}`,
      `%2e%2e/%2e%2e/${inside}`,
      '.',
      '..',
      `${inside}\0`,
    ]) {
      const put = await askVault('PUT', `/v1/seals/${seal}/part?name=${encodeURIComponent(name)}`, 'overwritten')
      if (name !== inside) expect(put.status, name).toBe(name.startsWith('%2e') ? 201 : 400)
    }
    for (const id of [`..%2f..%2fchunks`, `${seal}%2f..%2f..%2fmanifests`, `..`, copy]) {
      expect((await askVault('PUT', `/v1/seals/${id}/part?name=a`, 'overwritten')).status, id).toBeGreaterThanOrEqual(400)
      expect((await askVault('POST', `/v1/seals/${id}/give-up`)).status, id).toBeGreaterThanOrEqual(400)
      expect((await askVault('POST', `/v1/seals/${id}/finish`, '{}')).status, id).toBeGreaterThanOrEqual(400)
    }
    // Twice the same name: what came first stays.
    expect((await askVault('PUT', `/v1/seals/${seal}/part?name=rows`, 'first')).status).toBe(201)
    expect((await askVault('PUT', `/v1/seals/${seal}/part?name=rows`, 'second')).status).toBe(409)
    expect((await askVault('GET', `/v1/seals/${seal}/part?name=rows`)).text).toBe('first')
    const content = JSON.stringify({ kind: 'rows', rows: 1, bytes: 5, checksums: {}, manifest: {} })
    const finished = await askVault('POST', `/v1/seals/${seal}/finish`, content)
    expect(finished.status).toBe(201)
    const sealed = /"id":"([0-9a-f]{64})"/.exec(finished.text)?.[1] ?? ''
    for (const [method, path, body] of [
      ['PUT', `/v1/seals/${seal}/part?name=rows`, 'third'],
      ['PUT', `/v1/seals/${seal}/part?name=more`, 'third'],
      ['POST', `/v1/seals/${seal}/finish`, content],
      ['POST', `/v1/seals/${seal}/give-up`, ''],
    ] as const) {
      expect((await askVault(method, path, body)).status, `${method} ${path}`).toBeGreaterThanOrEqual(400)
    }
    expect((await askVault('GET', `/v1/snapshots/${sealed}/part?name=rows`)).text).toBe('first')
    expectAllThere(earlier)
  })

  it('not by making its retention end, whatever the number', async () => {
    const retainUntilMs = async (): Promise<number> =>
      (await listSnapshots(gate)).find(({ id }) => id === copy)?.retainUntilMs ?? 0
    const until = await retainUntilMs()
    expect(until).toBeGreaterThan(Date.now() + 23 * 3_600_000)
    for (const value of [0, 1, Date.now(), until - 1, until, -1, '0', null, Number.MAX_SAFE_INTEGER]) {
      expect(
        (await askVault('POST', `/v1/snapshots/${copy}/retention`, JSON.stringify({ retainUntilMs: value }))).status,
        String(value),
      ).toBeGreaterThanOrEqual(400)
    }
    expect(await retainUntilMs()).toBe(until)
    expect(
      (await askVault('POST', `/v1/snapshots/${copy}/retention`, JSON.stringify({ retainUntilMs: until + 60_000 }))).status,
    ).toBe(200)
    expect(
      (await askVault('POST', `/v1/snapshots/${copy}/retention`, JSON.stringify({ retainUntilMs: until + 30_000 }))).status,
    ).toBeGreaterThanOrEqual(400)
    expect(await retainUntilMs()).toBe(until + 60_000)
  })

  it('not by pushing it out with others, nor by taking the witness back', async () => {
    const earlier = inventory()
    for (let turn = 0; turn < 40; turn += 1) {
      const begun = await askVault(
        'POST',
        '/v1/seals',
        JSON.stringify({ upstream: 'orders-db', upstreamIdentity: 'x', digest: 'd', retainMs: 0 }),
      )
      const seal = /[0-9a-f]{32}/.exec(begun.text)?.[0] ?? ''
      await askVault('PUT', `/v1/seals/${seal}/part?name=rows`, Buffer.alloc(20_000, turn))
      expect(
        (
          await askVault(
            'POST',
            `/v1/seals/${seal}/finish`,
            JSON.stringify({ kind: 'rows', rows: 1, bytes: 1, checksums: {}, manifest: {} }),
          )
        ).status,
      ).toBe(201)
    }
    const witnessed = (await askVault('GET', '/v1/witness')).text
    for (const [path, body] of [
      ['/v1/witness/log', 'other+00000000+AAAA'],
      ['/v1/witness/add-checkpoint', 'old 0\n\nother\n0\nAAAA\n'],
      ['/v1/witness/add-checkpoint', ''],
    ] as const) {
      expect((await askVault('POST', path, body)).status, path).toBeGreaterThanOrEqual(400)
    }
    expect((await askVault('GET', '/v1/witness')).text).toBe(witnessed)
    expectAllThere(earlier)
    // An end of the vault, and of its clock's day, takes nothing away either.
    expect(await verifyVault()).toMatchObject({ ok: true, damage: [] })
  })

  it('not with the operator’s token, a passkey, or a credential of an upstream', async () => {
    const earlier = inventory()
    const authorization = `Bearer ${readFileSync(join(gate.directory, 'operator.token'), 'utf8')}`
    for (const method of ['DELETE', 'PUT', 'PATCH', 'POST']) {
      const answer = await fetch(new URL(`/api/v1/snapshots/${copy}`, gate.controlUrl), {
        method,
        headers: { authorization, 'content-type': 'application/json' },
        ...(method === 'DELETE' ? {} : { body: '{}' }),
      })
      expect(answer.status, method).toBeGreaterThanOrEqual(400)
    }
    expect((await bob.post(`/snapshots/${copy}/delete`, {})).status).toBeGreaterThanOrEqual(400)
    // What the roles of the upstream may do on the machine of the server, if they were let: nothing.
    for (const role of ['app_use', 'app_protect']) {
      await expect(
        postgres.query(`SET ROLE ${role}; COPY (SELECT 1) TO PROGRAM 'rm -rf ${gate.directory}/vault'`),
      ).rejects.toThrow(/pg_execute_server_program/)
    }
    expectAllThere(earlier)
  })

  it('as another user than the vault’s, which is what level 2 is, not in its folder either', async () => {
    requireRoot()
    const [vaultUser, gateUser] = ['nobody', 'daemon'] as const
    const root = mkdtempSync(join(tmpdir(), 'sp-vault-'))
    chmodSync(root, 0o755)
    const flags = [
      `--dir=${join(root, 'vault')}`,
      `--socket=${join(root, 'run', 'vault.sock')}`,
      `--token-file=${join(root, 'vault.token')}`,
      `--user=${vaultUser}`,
      `--gate-user=${gateUser}`,
      '--while-stdin-open',
    ]
    const child = spawn(process.execPath, [vaultMain, 'serve', ...flags], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' })
    try {
      await once(createInterface(child.stdout), 'line')
      expect(statSync(join(root, 'vault')).uid).toBe(Number(execFileSync('id', ['-u', vaultUser]).toString()))
      const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, gateUser]).toString()))
      const commands = [
        `ls ${root}/vault`,
        `rm -rf ${root}/vault`,
        `mv ${root}/vault ${root}/gone`,
        `chmod 0777 ${root}/vault`,
        `cp ${root}/vault.token ${root}/vault/manifests/x`,
        `cat ${root}/vault/key`,
        `kill ${child.pid}`,
        `ln ${root}/vault/key /tmp/key-of-vault`,
      ]
      for (const command of commands) {
        const failed = await new Promise<boolean>(
          (resolve) => void execFile('sh', ['-c', command], { uid, gid, cwd: '/' }, (error) => resolve(error !== null)),
        )
        expect(failed, command).toBe(true)
      }
      // And the gate's user is the one whom the door is open to.
      expect(execFileSync('cat', [join(root, 'vault.token')], { uid, gid, cwd: '/' }).toString()).toMatch(/^[0-9a-f]{64}\n$/)
    } finally {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
      rmSync(root, { recursive: true, force: true })
    }
  })

  it('and after all of it every byte is there, and undo brings every row back', async () => {
    expect(await checksums(postgres, ['notes'])).toEqual({ notes: 'not there' })
    expect(await undo(gate, copy)).toMatchObject({ verified: true, rows: 5000 })
    expect(await checksums(postgres, ['notes'])).toEqual(before)
    await gate.halt()
    await gate.vault.stop()
    expect(await verifyVault()).toMatchObject({ ok: true, damage: [] })
  })
})
