import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startVault, startVaultIn, type VaultProcess } from '../../../tests/conformance/vault-process.ts'
import {
  about,
  askRaw,
  beginSeal,
  connectRaw,
  content,
  listIds,
  sealParts,
  untilClosed,
} from '../../../tests/conformance/vault-raw.ts'
import { inDepth } from '../../../tests/breadth.ts'

let vault: VaultProcess
let sealed: string
beforeAll(async () => {
  vault = await startVault(['--seal-bytes-max', '3000000', '--open-seals-max', '20'])
  sealed = await sealParts(vault, { data: 'the rows that matter' })
})
afterAll(async () => await vault.remove())

async function readSealed(): Promise<string> {
  return (await askRaw(vault, 'GET', `/v1/snapshots/${sealed}/part?name=data`)).text
}

describe('who may come in', () => {
  it('takes the whole credential and nothing else', async () => {
    const token = vault.token()
    const wrong = [
      null,
      '',
      'Bearer',
      'Bearer ',
      `Bearer ${token.slice(0, 63)}`,
      `Bearer ${token}0`,
      `Bearer ${token} x`,
      `Bearer ${token.toUpperCase()}A`,
      `Bearer ${'0'.repeat(64)}`,
      `Basic ${token}`,
      token,
      `Bearer ${'a'.repeat(10_000)}`,
    ]
    for (const authorization of wrong) {
      const answer = await askRaw(vault, 'GET', '/v1/snapshots', { authorization })
      expect(answer.status, String(authorization).slice(0, 80)).toBe(401)
      expect(answer.text).not.toContain(token)
    }
    expect((await askRaw(vault, 'GET', '/v1/health', { authorization: null })).status).toBe(401)
    const health = await askRaw(vault, 'GET', '/v1/health')
    expect(health.text).toContain(`"refusals":${wrong.length + 1}`)
  })

  it('keeps its folder, socket, key and the credential to their owners', () => {
    for (const [path, mode] of [
      [vault.folder, 0o700],
      [vault.socketPath, 0o600],
      [join(vault.folder, 'key'), 0o600],
      [vault.tokenFile, 0o600],
    ] as const) {
      expect(statSync(path).mode & 0o777, path).toBe(mode)
    }
    const files = readdirSync(vault.folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    for (const file of files) {
      const bytes = readFileSync(join(file.parentPath, file.name))
      expect(bytes.includes(vault.token()), file.name).toBe(false)
      expect(bytes.includes('the rows that matter'), file.name).toBe(false)
      expect(statSync(join(file.parentPath, file.name)).mode & 0o077, file.name).toBe(0)
    }
    const copies = files.filter((file) => /chunks|manifests/.test(file.parentPath))
    expect(copies.length).toBe(2)
    for (const file of copies) expect(statSync(join(file.parentPath, file.name)).mode & 0o777).toBe(0o400)
  })
})

describe('write once', () => {
  it('has no verb that deletes, overwrites or shortens', async () => {
    for (const method of ['DELETE', 'PUT', 'PATCH', 'POST', 'MOVE', 'COPY', 'LOCK', 'PURGE', 'PROPPATCH', 'MKCOL']) {
      for (const path of [
        `/v1/snapshots/${sealed}`,
        `/v1/snapshots/${sealed}/part?name=data`,
        '/v1/snapshots',
        '/v1/newest',
        '/v1/health',
        '/',
      ]) {
        expect((await askRaw(vault, method, path)).status, `${method} ${path}`).toBe(405)
      }
    }
    for (const method of ['DELETE', 'PUT', 'PATCH']) {
      for (const path of ['/v1/witness', '/v1/witness/log', `/v1/snapshots/${sealed}/retention`, '/v1/seals']) {
        expect((await askRaw(vault, method, path)).status, `${method} ${path}`).toBe(405)
      }
    }
    expect(await readSealed()).toBe('the rows that matter')
  })

  it('takes nothing more for a finished seal, and no part twice', async () => {
    const seal = await beginSeal(vault)
    const put = async (body: string): Promise<number> =>
      (await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=a`, { body })).status
    expect(await put('first')).toBe(201)
    expect(await put('second')).toBe(409)
    expect((await askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body: content })).status).toBe(201)
    expect(await put('third')).toBe(409)
    expect((await askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body: content })).status).toBe(409)
    expect((await askRaw(vault, 'GET', `/v1/seals/${seal}/part?name=a`)).status).toBe(409)
  })

  it('of two puts of one name at the same time takes one', async () => {
    const seal = await beginSeal(vault)
    const bodies = [randomBytes(900_000), randomBytes(900_000)]
    const answers = await Promise.all(bodies.map((body) => askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=a`, { body })))
    expect(answers.map((answer) => String(answer.status)).toSorted()).toEqual(['201', '409'])
  })

  it('of two finishes at the same time takes one', async () => {
    const seal = await beginSeal(vault)
    const before = (await listIds(vault)).length
    const answers = await Promise.all([1, 2].map(() => askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body: content })))
    expect(answers.map((answer) => String(answer.status)).toSorted()).toEqual(['201', '409'])
    expect((await listIds(vault)).length).toBe(before + 1)
  })

  it('makes retention longer only', async () => {
    const { text } = await askRaw(vault, 'GET', `/v1/snapshots/${sealed}`)
    const until = Number(/"retainUntilMs":(\d+)/.exec(text)?.[1])
    const extend = (retainUntilMs: unknown): ReturnType<typeof askRaw> =>
      askRaw(vault, 'POST', `/v1/snapshots/${sealed}/retention`, { body: JSON.stringify({ retainUntilMs }) })
    for (const value of [until, until - 1, 0]) expect((await extend(value)).status, String(value)).toBe(409)
    for (const value of [-1, 1.5, '9', null, Number.MAX_SAFE_INTEGER])
      expect((await extend(value)).status, String(value)).toBe(400)
    expect((await extend(until + 1000)).status).toBe(200)
    expect((await extend(until + 500)).status).toBe(409)
    expect((await askRaw(vault, 'GET', `/v1/snapshots/${sealed}`)).text).toContain(`"retainUntilMs":${until + 1000}`)
  })
})

describe('hostile requests', () => {
  it('does not take paths for files', async () => {
    for (const path of [
      '/v1/snapshots/..%2f..%2fkey',
      '/v1/snapshots/../../key',
      '/../key',
      '/v1/seals/..%2f..%2fchunks/part?name=a',
      `/v1/snapshots/${sealed}/part?name=..%2f..%2fkey`,
      `/v1/snapshots/${sealed}/part?name=data&name=other`,
      `/v1/snapshots/${sealed}/part`,
      `/v1/snapshots/${sealed}%00/part?name=data`,
    ]) {
      expect((await askRaw(vault, 'GET', path)).status, path).toBeGreaterThanOrEqual(400)
    }
    const seal = await beginSeal(vault)
    for (const name of ['../../../escape', '/tmp/escape', 'a/../../../../escape', '..\\escape', 'x'.repeat(3_000), '', '%00']) {
      const path = `/v1/seals/${seal}/part?name=${name === '%00' ? name : encodeURIComponent(name)}`
      expect((await askRaw(vault, 'PUT', path, { body: 'x' })).status, name.slice(0, 40)).toBe(400)
    }
    expect(existsSync(join(vault.root, 'escape'))).toBe(false)
  })

  it('bounds a snapshot, a body and the number of open seals', async () => {
    const seal = await beginSeal(vault)
    expect((await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=big`, { body: randomBytes(3_100_000) })).status).toBe(413)
    expect((await askRaw(vault, 'POST', '/v1/seals', { body: `{"upstream":"${'x'.repeat(100_000)}"}` })).status).toBe(413)
    const statuses: number[] = []
    for (let index = 0; index < 25; index++) statuses.push((await askRaw(vault, 'POST', '/v1/seals', { body: about })).status)
    expect(statuses.at(-1)).toBe(429)
    await vault.end()
    vault = await vault.again()
    expect(await readSealed()).toBe('the rows that matter')
  })

  it('refuses bodies that are not what a verb takes', async () => {
    for (const body of [
      '',
      '{',
      'null',
      '[]',
      '{"upstream":"a"}',
      about.replace('86400000', '-1'),
      about.replace('86400000', '1e99'),
      about.replace('{', '{"more":1,'),
    ]) {
      expect((await askRaw(vault, 'POST', '/v1/seals', { body })).status, body).toBe(400)
    }
    const seal = await beginSeal(vault)
    const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`
    for (const body of [content.replace('"rows":1', '"rows":-1'), content.replace('"manifest":{}', `"manifest":${deep}`), '{}']) {
      expect(
        (await askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body })).status,
        body.slice(0, 60),
      ).toBeGreaterThanOrEqual(400)
    }
    expect((await askRaw(vault, 'GET', '/v1/health')).status).toBe(200)
  })

  it.each(inDepth('drops a peer that says too little, too slowly, or garbage, and serves the others meanwhile'))(
    '%s',
    async () => {
      const slow = await Promise.all(Array.from({ length: 50 }, () => connectRaw(vault)))
      const closed = slow.map(untilClosed)
      for (const socket of slow) socket.resume().write('GET /v1/health HTTP/1.1\r\nhost: v\r\nx: ')
      const garbage = await connectRaw(vault)
      const garbageClosed = untilClosed(garbage)
      garbage.resume().write(randomBytes(5_000))
      await garbageClosed
      const flood = await connectRaw(vault)
      const floodClosed = untilClosed(flood)
      flood.resume().write(`GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(20_000)}`)
      await floodClosed
      const startMs = performance.now()
      expect(await readSealed()).toBe('the rows that matter')
      expect(performance.now() - startMs).toBeLessThan(60_000)
      await Promise.all(closed)
      expect(performance.now() - startMs).toBeLessThan(150_000)
    },
  )

  it('does not read the body of a peer without the credential', async () => {
    const socket = await connectRaw(vault)
    socket.write('PUT /v1/seals/x/part?name=a HTTP/1.1\r\nhost: v\r\ncontent-length: 999999999999\r\n\r\n')
    const answer = await once(socket, 'data')
    expect(String(answer[0])).toContain('401')
    await untilClosed(socket.resume())
  })

  it('does not take two lengths, or a length and chunks, for one request', async () => {
    for (const lengths of ['content-length: 4\r\ncontent-length: 5', 'content-length: 4\r\ntransfer-encoding: chunked']) {
      const socket = await connectRaw(vault)
      socket.write(`POST /v1/seals HTTP/1.1\r\nhost: v\r\nauthorization: Bearer ${vault.token()}\r\n${lengths}\r\n\r\n`)
      const answer = await once(socket, 'data')
      expect(String(answer[0])).toContain('400')
      socket.destroy()
    }
  })
})

describe('start', () => {
  it('starts neither a second vault on a folder nor one on a socket in use', async () => {
    const other = join(vault.root, 'other')
    mkdirSync(other, { mode: 0o700 })
    await expect(startVaultIn(vault.root)).rejects.toThrow(/listens on this socket/)
    await expect(startVaultIn(other, ['--dir', vault.folder])).rejects.toThrow(/Another vault process/)
    expect(await readSealed()).toBe('the rows that matter')
  })

  it('starts with nothing that was tampered with: folder, credential, key', async () => {
    const one = await startVault()
    await sealParts(one, { data: 'x' })
    await one.end()
    chmodSync(one.folder, 0o755)
    await expect(one.again()).rejects.toThrow(/Others can enter/)
    chmodSync(one.folder, 0o700)
    const token = readFileSync(one.tokenFile)
    writeFileSync(one.tokenFile, 'f'.repeat(64))
    await expect(one.again()).rejects.toThrow(/not the one this vault knows/)
    chmodSync(one.tokenFile, 0o644)
    await expect(one.again()).rejects.toThrow(/Others can read/)
    rmSync(one.tokenFile)
    await expect(one.again()).rejects.toThrow(/not the one this vault knows/)
    writeFileSync(one.tokenFile, token, { mode: 0o600 })
    chmodSync(one.tokenFile, 0o600)
    const key = readFileSync(join(one.folder, 'key'))
    rmSync(join(one.folder, 'key'))
    await expect(one.again()).rejects.toThrow(/key is gone/)
    expect(existsSync(join(one.folder, 'key'))).toBe(false)
    writeFileSync(join(one.folder, 'key'), key, { mode: 0o600 })
    const back = await one.again()
    expect((await listIds(back)).length).toBe(1)
    await back.remove()
  })

  it('takes a new credential only when told to, and the old one is worth nothing then', async () => {
    const one = await startVault()
    const old = one.token()
    await one.end()
    rmSync(one.tokenFile)
    await expect(one.again([])).rejects.toThrow(/not the one this vault knows/)
    const renewed = await one.again(['--new-credential'])
    expect(renewed.token()).not.toBe(old)
    expect((await askRaw(renewed, 'GET', '/v1/health', { authorization: `Bearer ${old}` })).status).toBe(401)
    expect((await askRaw(renewed, 'GET', '/v1/health')).status).toBe(200)
    await renewed.remove()
  })
})
