import { createHash, randomBytes } from 'node:crypto'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { ProxyAgent, request } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { HttpPerson } from '../fakes/http-person.ts'
import { HttpStandIn, jsonAnswer, type ReceivedRequest, type StandInAnswer } from '../fakes/http-upstream.ts'
import { cloudAgent, cloudHost, cloudUrl, runCurl, startCloudGate, type CloudGate } from '../servers/cloud-gate.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { patience } from '../stories/evidence.ts'
import { findSecrets, formsOf } from '../stories/secrets.ts'
import { openTap, type Tap } from '../stories/tap.ts'

vi.setConfig(patience)

/** Issue 3, item 4, and promise 1 for HTTP: the real token is in no byte that a client sees, on the wire or inside TLS, nor in any that the gate keeps. */

/** With characters that encodings change; a header can carry them. */
const realToken = `real+${randomBytes(12).toString('base64')}&%"/${randomBytes(6).toString('hex')}`
/** Without the digest of it: whoever tries the real token as their own rings, and the alarm names that digest, which is no way back. */
const forms = formsOf(realToken, cloudAgent).filter((form) => form !== createHash('sha256').update(realToken).digest('hex'))
let postgres: PostgresServer
let cloud: CloudGate<HttpStandIn>
let tap: Tap
let ada: HttpPerson
let handle: string
/** What clients read inside their TLS: as it came, and with its chunks joined. */
const seen: string[] = []
const json = 'content-type: application/json\r\n'

beforeAll(async () => {
  postgres = await startPostgres()
  cloud = await startCloudGate({ postgres, realToken, standIn: (leaf) => new HttpStandIn(leaf) })
  tap = await openTap(cloud.gate.httpPort)
  handle = await cloud.gate.issue(cloudAgent)
  ada = await cloud.gate.person('ada')
})

afterAll(async () => {
  await tap?.close()
  await cloud?.stop()
  await postgres?.stop()
})

beforeEach(() => cloud.standIn.reset())

function joinChunks(text: string): string {
  return text.replaceAll(/\r\n[0-9a-f]{1,8}\r\n/g, '')
}

function look(text: string, what: string): string {
  seen.push(text, joinChunks(text))
  for (const each of [text, joinChunks(text)]) expect(findSecrets(Buffer.from(each, 'latin1'), forms), what).toEqual([])
  return text
}

/** Never the same text twice, so that no remembered verdict and no open question answers. */
let count = 0
function query(kind: 'read' | 'write' = 'read'): string {
  count += 1
  const input = '{ domain: "a.test", environmentId: "e", projectId: "p", serviceId: "s" }'
  return kind === 'read'
    ? `query Number${count} { me { id } }`
    : `mutation Number${count} { customDomainCreate(input: ${input}) { id } }`
}

function post(text = query(), headers = ''): string {
  const body = JSON.stringify({ query: text })
  return `POST /graphql/v2 HTTP/1.1\r\nHost: ${cloudHost}\r\n${json}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** Everything that a client reads inside its TLS, through the wire that is listened to. */
async function ask(bytes: string, what: string): Promise<string> {
  const answer = await cloud.raw(handle, bytes, tap.port)
  return look(answer.text, what)
}

const bytes = Buffer.from(realToken)
const everyByte = (mark: string): string => [...bytes].map((one) => `${mark}${one.toString(16).padStart(2, '0')}`).join('')
const writings: Readonly<Record<string, string>> = {
  'as it is': realToken,
  'as the whole header': `Bearer ${realToken}`,
  'in percent-encoding': encodeURIComponent(realToken),
  'every byte in percent-encoding': everyByte('%'),
  'in JSON': JSON.stringify(realToken).slice(1, -1),
  'in JSON’s escapes': everyByte('\\u00'),
  'in base64': bytes.toString('base64'),
  'in base64, one byte on': Buffer.from(`x${realToken}`).toString('base64'),
  'in base64 of the header': Buffer.from(`authorization: Bearer ${realToken}`).toString('base64'),
  'in base64url': bytes.toString('base64url'),
  'in hex': bytes.toString('hex'),
  'in capital hex': bytes.toString('hex').toUpperCase(),
  backwards: Buffer.from(bytes.toReversed()).toString('latin1'),
}

const chunk = (piece: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
const chunked = (head: string, pieces: readonly Buffer[]): Buffer =>
  Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\n${head}transfer-encoding: chunked\r\n\r\n`),
    ...pieces.map(chunk),
    Buffer.from('0\r\n\r\n'),
  ])
const cutAt = (whole: Buffer, size: number): readonly Buffer[] =>
  Array.from({ length: Math.ceil(whole.length / size) }, (_, index) => whole.subarray(index * size, (index + 1) * size))

/** Everything that a stand-in can say of what it got: each must reach the client without the token. */
const answers: Readonly<Record<string, (received: ReceivedRequest) => StandInAnswer>> = {
  'a success': () => jsonAnswer({ data: { me: { id: '1' } } }),
  'GraphQL errors that quote the request': ({ bytes: got }) => jsonAnswer({ errors: [{ message: got.toString('latin1') }] }),
  'all of the request, as it came': ({ bytes: got }) =>
    Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${got.length}\r\n\r\n`), got]),
  'all request headers, as headers of the answer': ({ headers }) =>
    `HTTP/1.1 200 OK\r\n${headers.map(([name, value]) => `x-got-${name}: ${value}\r\n`).join('')}content-length: 0\r\n\r\n`,
  'its headers once more': ({ headers }) =>
    `HTTP/1.1 200 OK\r\n${headers.map(([name, value]) => `${name === 'content-length' ? 'x-length' : name}: ${value}\r\n`).join('')}content-length: 0\r\n\r\n`,
  'a cookie': () => `HTTP/1.1 200 OK\r\nset-cookie: session=${encodeURIComponent(realToken)}\r\ncontent-length: 0\r\n\r\n`,
  'a reason': () => `HTTP/1.1 200 ${realToken}\r\ncontent-length: 0\r\n\r\n`,
  'a type': () =>
    `HTTP/1.1 200 OK\r\ncontent-type: text/plain; token="${realToken.replaceAll('"', '\\"')}"\r\ncontent-length: 0\r\n\r\n`,
  'an interim answer': () => `HTTP/1.1 103 Early Hints\r\nlink: </${realToken}>\r\n\r\n${jsonAnswer({ data: {} })}`,
  'a redirect that names it': () =>
    `HTTP/1.1 307 Temporary Redirect\r\nlocation: https://other.test/?token=${encodeURIComponent(realToken)}\r\ncontent-length: 0\r\n\r\n`,
  'an error of the server': () => jsonAnswer({ error: `no such token ${realToken}` }, 500, `x-request: ${realToken}\r\n`),
  'an unauthorized': () =>
    jsonAnswer({ error: realToken }, 401, `www-authenticate: Bearer realm="${encodeURIComponent(realToken)}"\r\n`),
  'chunks of one byte': () => chunked('', cutAt(Buffer.from(`{"said":"${JSON.stringify(realToken).slice(1, -1)}"}`), 1)),
  'chunks of seven bytes, in base64': () => chunked('', cutAt(Buffer.from(`x ${bytes.toString('base64')} y`), 7)),
  'a trailer': () =>
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-said\r\n\r\n2\r\n{}\r\n0\r\nx-said: ${realToken}\r\n\r\n`,
  'an extension of a chunk': () =>
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a="${bytes.toString('hex')}"\r\n{}\r\n0\r\n\r\n`,
  'no length and an end': () => (socket) => socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsaid ${realToken}`),
  'an answer that breaks off in it': () => (socket) =>
    socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nsaid ${realToken.slice(0, -1)}`),
  'no HTTP': () => (socket) => socket.end(`SSH-2.0-${realToken}\r\n`),
  'a header that is none': () => `HTTP/1.1 200 OK\r\n${realToken}\r\ncontent-length: 0\r\n\r\n`,
  'two answers': () => `${jsonAnswer({ data: {} })}${jsonAnswer({ said: realToken })}`,
  'one long answer': () => {
    const said = Buffer.from(`${'x'.repeat(65_521)}${realToken}`.repeat(8))
    return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${said.length}\r\n\r\n`), said])
  },
  ...Object.fromEntries(
    (
      [
        ['gzip', gzipSync],
        ['br', brotliCompressSync],
        ['deflate', deflateSync],
        ['zstd', zstdCompressSync],
      ] as const
    ).map(([coding, pack]) => [
      `${coding} in chunks of three bytes`,
      () => chunked(`content-encoding: ${coding}\r\n`, cutAt(pack(`{"said":"${bytes.toString('base64')} ${realToken}"}`), 3)),
    ]),
  ),
}

describe('the real token', () => {
  it('is sent upstream, and would be found in whatever is seen', async () => {
    cloud.standIn.answer = (received) => jsonAnswer({ data: { length: received.bytes.length } })
    expect(await ask(post(), 'a success')).toContain('"length":')
    expect(cloud.standIn.text()).toContain(`authorization: Bearer ${realToken}\r\n`)
    for (const [name, written] of Object.entries(writings)) {
      if (name !== 'in JSON’s escapes') expect(findSecrets(`a ${written} b`, forms), name).not.toEqual([])
    }
  })

  it.each(Object.entries(answers))(
    'is not in what the client sees of %s, asked by a read and by a write',
    async (name, answer) => {
      for (const kind of ['read', 'write'] as const) {
        cloud.standIn.answer = answer
        const text = await ask(post(query(kind)), `${name}, ${kind}`)
        expect(text).toMatch(/^HTTP\/1\.1 [1-5]\d\d |^$/)
      }
      expect(cloud.standIn.received.length).toBeGreaterThanOrEqual(2)
    },
  )

  it.each(Object.entries(writings))('is not in an echo of it %s, in one piece or cut anywhere', async (name, written) => {
    const body = Buffer.from(`{"said":"${written}"}`, 'latin1')
    for (const size of [body.length, 1, 5, 16, Math.ceil(body.length / 2)]) {
      cloud.standIn.answer = () => chunked(`x-said: ${written}\r\n`, cutAt(body, size))
      const text = await ask(post(), `${name}, cut at ${size}`)
      expect(joinChunks(text)).not.toContain(written)
      expect(text).toContain('HTTP/1.1 200')
    }
  })

  it('is not in what curl and an SDK see, nor are redirects followed with it', async () => {
    cloud.standIn.answer = ({ bytes: got, target }) =>
      target === '/graphql/v2'
        ? `HTTP/1.1 302 Found\r\nlocation: /again\r\nx-got: ${realToken}\r\ncontent-length: ${got.length}\r\n\r\n${got.toString('latin1')}`
        : jsonAnswer({ said: realToken })
    const proxy = `http://${cloudAgent}:${handle}@127.0.0.1:${tap.port}`
    const body = JSON.stringify({ query: query() })
    const words = ['--location', '--verbose', '--header', 'content-type: application/json', '--data', body, cloudUrl]
    look((await runCurl(proxy, cloud.authorityFile, words)).said, 'curl')
    const dispatcher = new ProxyAgent({ uri: proxy, requestTls: { ca: cloud.authority } })
    const headers = { 'content-type': 'application/json' }
    const answer = await request(cloudUrl, { method: 'POST', dispatcher, headers, body: JSON.stringify({ query: query() }) })
    look(JSON.stringify(answer.headers) + (await answer.body.text()), 'an SDK')
    await dispatcher.close()
    expect(cloud.standIn.received.filter(({ target }) => target !== '/graphql/v2')).toEqual([])
  })

  it('is not in what is refused, waits, or has no upstream', async () => {
    await ask(post('mutation { volumeDelete(volumeId: "v") }'), 'no copy')
    await ask(post('mutation { noSuchField }'), 'waits')
    await ask(post(query(), 'X-Api-Key: 123\r\n'), 'foreign')
    await ask(post(query(), `Authorization: Bearer ${realToken}\r\n`), 'the token itself, which the gate did not issue')
    await ask(`TRACE /graphql/v2 HTTP/1.1\r\nHost: ${cloudHost}\r\n\r\n`, 'TRACE')
    await ask(`HEAD /graphql/v2 HTTP/1.1\r\nHost: ${cloudHost}\r\nConnection: close\r\n\r\n`, 'HEAD')
    await ask('GET / HTTP/1.1\r\n\r\n', 'no Host')
    cloud.standIn.answer = () => (socket) => socket.destroy()
    await ask(post(), 'a broken upstream')
    await cloud.standIn.stop()
    await ask(post(), 'no upstream')
  })

  it('is in nothing that went over the wire, nor in the log, the store, a file or a page of the gate', async () => {
    expect(tap.heard().length).toBeGreaterThan(100_000)
    expect(findSecrets(tap.heard(), forms)).toEqual([])
    expect(seen.join('').length).toBeGreaterThan(500_000)
    expect(findSecrets(JSON.stringify(cloud.gate.events()), forms)).toEqual([])
    const files = cloud.files()
    for (const name of ['store.db', 'gate.log', 'vault.log'])
      expect(
        files.some(({ path }) => path.endsWith(name)),
        name,
      ).toBe(true)
    for (const { path, bytes: content } of files) expect(findSecrets(content, forms), path).toEqual([])
    for (const path of ['/live', '/requests', '/people']) expect(findSecrets(await ada.read(path), forms), path).toEqual([])
  })
})
