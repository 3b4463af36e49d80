import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { runCommandLine, type CommandLineEnd } from '../../../../tests/fakes/command-line.ts'
import { findFreePort, startPostgres, type PostgresServer } from '../../../../tests/servers/postgres.ts'
import { inDepth } from '../../../../tests/breadth.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-init-test-'))
const password = 'a-password-nobody-may-see'
let server: PostgresServer
let url: string
let folders = 0

beforeAll(async () => {
  server = await startPostgres()
  await server.query(`CREATE ROLE shop LOGIN PASSWORD '${password}'`)
  await server.query('CREATE DATABASE shop OWNER shop')
  await server.query('CREATE TABLE orders (id int); ALTER TABLE orders OWNER TO shop; CREATE TABLE others (id int)', [], 'shop')
  url = `postgres://shop:${password}@127.0.0.1:${server.port}/shop`
})
afterAll(async () => {
  await server.stop()
  rmSync(root, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = join(root, String(folders++))
  mkdirSync(folder)
  return folder
}

const say = (end: CommandLineEnd): string => end.output + end.errors

describe('init', () => {
  test('from standard input: configuration, credential apart and 0600, nothing shown', async () => {
    const folder = newFolder()
    const end = await runCommandLine(['init', '--name', 'orders-db', '--owner', 'ada'], { folder, input: `${url}\n` })
    expect(end.code).toBe(0)
    const text = readFileSync(join(folder, 'sallyport.yaml'), 'utf8')
    expect(parse(text)).toMatchObject({
      version: 1,
      mode: 'solo',
      upstreams: {
        'orders-db': {
          protocol: 'postgres',
          environment: 'production',
          use: 'file:secrets/orders-db.use',
          protect: 'file:secrets/orders-db.protect',
        },
      },
      agents: { coder: { owner: 'ada', may: ['read orders-db', 'write orders-db'] } },
      accept_risk: [],
    })
    expect(readFileSync(join(folder, 'secrets', 'orders-db.use'), 'utf8').trim()).toBe(url)
    expect(statSync(join(folder, 'secrets', 'orders-db.use')).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'secrets')).mode & 0o777).toBe(0o700)
    expect(readFileSync(join(folder, '.gitignore'), 'utf8').split('\n')).toEqual(
      expect.arrayContaining(['.sallyport/', 'secrets/']),
    )
    expect(end.output).toContain('no superuser')
    expect(end.output).toContain('It owns 1 of 2 tables')
    for (const place of [say(end), text]) expect(place).not.toContain(password)
  })

  test('says what a superuser is worth', async () => {
    const end = await runCommandLine(['init'], { folder: newFolder(), input: server.url() })
    expect(end.output).toContain('This role is a superuser')
  })

  test('a reference stays a reference: no copy of the secret is made', async () => {
    const folder = newFolder()
    const end = await runCommandLine(['init', '--from', 'env:SHOP_URL', '--json'], { folder, environment: { SHOP_URL: url } })
    expect(JSON.parse(end.output)).toMatchObject({ upstream: 'shop', survey: { use: { superuser: false, tables: 2 } } })
    expect(parse(readFileSync(join(folder, 'sallyport.yaml'), 'utf8'))).toMatchObject({
      upstreams: { shop: { use: 'env:SHOP_URL', protect: 'env:SHOP_URL' } },
    })
    expect(existsSync(join(folder, 'secrets'))).toBe(false)
    writeFileSync(join(folder, 'url'), url)
    for (const reference of ['file:url', 'exec:cat url']) {
      const more = await runCommandLine(['init', '--from', reference, '--config', `${reference.slice(0, 4)}.yaml`], { folder })
      expect(more.code).toBe(0)
      expect(say(more)).not.toContain(password)
    }
  })

  test('refuses to overwrite, before it asks for anything', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'sallyport.yaml'), '# mine\n')
    const end = await runCommandLine(['init'], { folder, input: url })
    expect(end.code).toBe(2)
    expect(end.errors).toContain('is there already')
    expect(readFileSync(join(folder, 'sallyport.yaml'), 'utf8')).toBe('# mine\n')
    expect(existsSync(join(folder, 'secrets'))).toBe(false)
  })

  test('adds to a .gitignore once', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, '.gitignore'), 'node_modules/\nsecrets/')
    await runCommandLine(['init'], { folder, input: url })
    expect(readFileSync(join(folder, '.gitignore'), 'utf8')).toBe('node_modules/\nsecrets/\n.sallyport/\n')
  })
})

describe('a bad URL says what is wrong, shows nothing of it and writes nothing', () => {
  test.each<[string, () => Promise<string> | string, number, string]>([
    ['nothing at all', () => '', 2, 'empty'],
    ['another database’s URL', () => url.replace('postgres:', 'mysql:'), 2, 'postgres://'],
    ['a wrong password', () => url.replace(password, `${password}-wrong`), 1, 'refused the password'],
    ['an unknown database', () => `${server.url()}x-${password}`, 1, 'no database of that name'],
    ['nobody there', async () => url.replace(String(server.port), String(await findFreePort())), 1, 'nobody listens'],
    ['an unknown host', () => `${url.replace('127.0.0.1', 'no-such-host.invalid')}?sslmode=require`, 1, 'not known'],
    ['another host without a word on encryption', () => url.replace('127.0.0.1', 'no-such-host.invalid'), 2, 'sslmode=require'],
    ['no TLS where it is asked for', () => `${url}?sslmode=require`, 1, 'does not speak TLS'],
  ])('%s', async (_, make, code, named) => {
    const folder = newFolder()
    const given = await make()
    const end = await runCommandLine(['init'], { folder, input: given })
    expect(end.code).toBe(code)
    expect(end.errors).toContain(named)
    expect(say(end).replaceAll('x-' + password, '')).not.toContain(password)
    expect(existsSync(join(folder, 'sallyport.yaml'))).toBe(false)
    expect(existsSync(join(folder, 'secrets'))).toBe(false)
  })

  test.each(inDepth('a server that says nothing'))('%s', async () => {
    const silent = createServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = address === null || typeof address === 'string' ? 0 : address.port
    const end = await runCommandLine(['init'], {
      folder: newFolder(),
      input: `postgres://shop:${password}@127.0.0.1:${port}/shop`,
    })
    silent.close()
    expect(end.code).toBe(1)
    expect(end.errors).toContain('does not answer in time')
    expect(say(end)).not.toContain(password)
  })

  test('a secret where a reference belongs is not repeated', async () => {
    const end = await runCommandLine(['init', '--from', url], { folder: newFolder() })
    expect(end.code).toBe(2)
    expect(say(end)).not.toContain(password)
  })
})

describe('upstream add and agent add', () => {
  test('keep comments and order, and refuse to replace', async () => {
    const folder = newFolder()
    await runCommandLine(['init', '--name', 'first'], { folder, input: url })
    const before = readFileSync(join(folder, 'sallyport.yaml'), 'utf8')
    const added = await runCommandLine(['upstream', 'add', 'second', '--environment', 'staging'], { folder, input: url })
    expect(added.code).toBe(0)
    expect(added.output).toContain('when people accepted it (sallyport propose) and it is started again')
    const agent = await runCommandLine(
      ['agent', 'add', 'tester', '--owner', 'ada', '--may', 'any second', '--may', 'read first', '--ttl', '1h'],
      { folder },
    )
    expect(agent.code).toBe(0)
    const after = readFileSync(join(folder, 'sallyport.yaml'), 'utf8')
    expect(parse(after)).toMatchObject({
      upstreams: { first: {}, second: { environment: 'staging', use: 'file:secrets/second.use' } },
      agents: { coder: {}, tester: { owner: 'ada', may: ['any second', 'read first'], handles: { ttl: '1h' } } },
    })
    for (const comment of before.match(/#.*$/gm) ?? []) expect(after).toContain(comment)
    for (const place of [after, say(added)]) expect(place).not.toContain(password)
    expect((await runCommandLine(['upstream', 'add', 'second'], { folder, input: url })).code).toBe(2)
    expect((await runCommandLine(['agent', 'add', 'tester', '--owner', 'ada', '--may', 'read first'], { folder })).code).toBe(2)
    expect(readFileSync(join(folder, 'sallyport.yaml'), 'utf8')).toBe(after)
  })

  test.each([
    ['an unknown upstream', ['tester', '--owner', 'ada', '--may', 'read nowhere'], 'nowhere'],
    ['a scope that is none', ['tester', '--owner', 'ada', '--may', 'all first'], 'all'],
    ['a name with a path in it', ['../x', '--owner', 'ada', '--may', 'read first'], 'no good name'],
    ['an owner with a line break', ['tester', '--owner', 'ada\nmay: any', '--may', 'read first'], 'no good name'],
    ['a duration that is none', ['tester', '--owner', 'ada', '--may', 'read first', '--ttl', 'long'], '15m'],
  ])('%s changes nothing', async (_, words, named) => {
    const folder = newFolder()
    writeFileSync(join(folder, 'sallyport.yaml'), 'version: 1\nupstreams:\n  first: {}\n')
    const end = await runCommandLine(['agent', 'add', ...words], { folder })
    expect(end.code).toBe(2)
    expect(end.errors).toContain(named)
    expect(readFileSync(join(folder, 'sallyport.yaml'), 'utf8')).toBe('version: 1\nupstreams:\n  first: {}\n')
  })

  test('a name that would leave the secrets folder writes nothing', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'sallyport.yaml'), 'version: 1\n')
    const end = await runCommandLine(['upstream', 'add', '../../evil'], { folder, input: url })
    expect(end.code).toBe(2)
    expect(existsSync(join(folder, 'secrets'))).toBe(false)
  })
})
