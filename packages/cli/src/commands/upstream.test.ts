import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { runCommandLine, type CommandLineEnd } from '../../../../tests/fakes/command-line.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-upstream-test-'))
const token = 'rw_a-token-nobody-may-see'
const given = `# mine
version: 1
upstreams:
  orders-db: { protocol: postgres, use: "file:orders" } # the shop's
agents:
  coder: { owner: ada, may: [read orders-db] }
`
let folders = 0
afterAll(() => rmSync(root, { recursive: true, force: true }))

function newFolder(text = given): string {
  const folder = join(root, String(folders++))
  mkdirSync(folder)
  writeFileSync(join(folder, 'sallyport.yaml'), text)
  return folder
}

const add = (folder: string, words: readonly string[], input = `${token}\n`): Promise<CommandLineEnd> =>
  runCommandLine(['upstream', 'add', 'cloud', ...words], { folder, input, environment: { CLOUD_TOKEN: token } })
const railway = ['--connector', 'railway', '--host', 'backboard.railway.com']
const say = ({ output, errors }: CommandLineEnd): string => output + errors

describe('a cloud’s API', () => {
  test('its token goes to a 0600 file, the rest into the configuration, whose comments stay', async () => {
    const folder = newFolder()
    const end = await add(folder, [
      ...railway,
      '--graphql',
      '/graphql/v2',
      '--tie',
      'volume:v-1=orders-db',
      '--tie',
      'volume:v-2=orders-db',
    ])
    expect(end.code).toBe(0)
    const text = readFileSync(join(folder, 'sallyport.yaml'), 'utf8')
    expect(parse(text)).toMatchObject({
      upstreams: {
        'orders-db': {},
        cloud: {
          protocol: 'http',
          connector: 'railway',
          environment: 'production',
          hosts: ['backboard.railway.com'],
          graphql: ['/graphql/v2'],
          use: 'file:secrets/cloud.use',
          tied: { volume: { 'v-1': 'orders-db', 'v-2': 'orders-db' } },
        },
      },
    })
    for (const comment of ['# mine', '# the shop']) expect(text).toContain(comment)
    expect(readFileSync(join(folder, 'secrets', 'cloud.use'), 'utf8').trim()).toBe(token)
    expect(statSync(join(folder, 'secrets', 'cloud.use')).mode & 0o777).toBe(0o600)
    for (const place of [text, say(end)]) expect(place).not.toContain(token)
  })

  test('a reference stays one', async () => {
    const folder = newFolder()
    expect((await add(folder, [...railway, '--from', 'env:CLOUD_TOKEN'])).code).toBe(0)
    expect(parse(readFileSync(join(folder, 'sallyport.yaml'), 'utf8'))).toMatchObject({
      upstreams: { cloud: { use: 'env:CLOUD_TOKEN' } },
    })
    expect(existsSync(join(folder, 'secrets'))).toBe(false)
  })

  test.each<[string, readonly string[], string, string]>([
    ['a connector that there is not', ['--connector', 'aws', '--host', 'x.example'], token, 'There are: railway'],
    ['a connector for databases', ['--connector', 'postgres', '--host', 'x.example'], token, 'There are: railway'],
    ['no host', ['--connector', 'railway'], token, '--host'],
    ['a volume tied to a stranger', [...railway, '--tie', 'volume:v-1=nobody'], token, 'nobody'],
    ['a tie that is none', [...railway, '--tie', 'v-1'], token, 'volume:VOLUME_ID'],
    ['two lines for a token', railway, `${token}\nmore`, 'no token'],
    ['nothing for a token', railway, '', 'no token'],
    ['a token where a reference belongs', [...railway, '--from', token], '', 'No credential was read'],
    ['hosts for a database', ['--host', 'x.example'], token, '--connector'],
  ])('%s changes nothing, and shows no token', async (_, words, input, named) => {
    const folder = newFolder()
    const end = await add(folder, words, input)
    expect(end.code).toBe(2)
    expect(end.errors).toContain(named)
    expect(say(end)).not.toContain(token)
    expect(readFileSync(join(folder, 'sallyport.yaml'), 'utf8')).toBe(given)
    expect(existsSync(join(folder, 'secrets'))).toBe(false)
  })
})

const findingsShape = z.object({ findings: z.array(z.object({ about: z.string(), verdict: z.string(), what: z.string() })) })

async function examine(upstream: string): Promise<readonly string[]> {
  const folder = newFolder(given.replace('agents:', `  cloud:\n    protocol: http\n    connector: railway\n${upstream}agents:`))
  writeFileSync(join(folder, 'token'), `${token}\n`, { mode: 0o600 })
  writeFileSync(join(folder, 'orders'), 'postgres://a:b@127.0.0.1:1/x', { mode: 0o600 })
  const end = await runCommandLine(['doctor', '--json'], { folder })
  expect(say(end)).not.toContain(token)
  const { findings } = findingsShape.parse(JSON.parse(end.output))
  return findings.filter(({ about }) => about === 'cloud').map(({ verdict, what }) => `${verdict} ${what}`)
}

describe('doctor on a cloud’s API', () => {
  test('what is well, and what no gate can stop', async () => {
    const tied = '    tied: { volume: { v-1: orders-db } }\n'
    const [first, second, ...rest] = await examine(`    hosts: [backboard.railway.com]\n    use: file:token\n${tied}`)
    expect(first).toMatch(/^good The token of cloud can be read\. It was not tried/)
    expect(second).toMatch(/^note Nothing here keeps an agent that finds a token from backboard\.railway\.com/)
    expect(rest).toEqual([])
  })

  test.each([
    ['no token', '    hosts: [a.example]\n    use: file:none\n', /^bad cloud: .*none cannot be read/],
    ['a file of several lines', '    hosts: [a.example]\n    use: file:sallyport.yaml\n', /^bad What cloud takes its token from/],
    ['no host', '    use: file:token\n', /^bad Upstream cloud names no host/],
    [
      'certificates that are not there',
      '    hosts: [a.example]\n    use: file:token\n    authorities: ca.pem\n',
      /^bad The certificates .* ca\.pem/,
    ],
    [
      'a tie to a stranger',
      '    hosts: [a.example]\n    use: file:token\n    tied: { volume: { v: nobody } }\n',
      /^bad v of cloud is tied to "nobody"/,
    ],
    [
      'a tie to itself',
      '    hosts: [a.example]\n    use: file:token\n    tied: { volume: { v: cloud } }\n',
      /^bad v of cloud is tied to "cloud"/,
    ],
    ['nothing tied', '    hosts: [a.example]\n    use: file:token\n', /^note Nothing of cloud is tied/],
  ])('%s', async (_, upstream, expected) => {
    expect((await examine(upstream)).some((finding) => expected.test(finding))).toBe(true)
  })
})
