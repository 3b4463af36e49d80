import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { governedHost, realSecret, startHttpGate, type HttpGate } from '../../../../../tests/fakes/http-gate.ts'
import { findInForwarded } from './foreign-credential.ts'
import { findKnownShape, isSecretName, looksRandom } from './token-shape.ts'
import { roundsOf } from '../../../../../tests/breadth.ts'

let gate: HttpGate

beforeAll(async () => {
  gate = await startHttpGate()
})
afterAll(() => gate.stop())
beforeEach(() => {
  gate.standIn.reset()
  gate.fake.asked.length = 0
  gate.fake.alarms.length = 0
  gate.fake.decide = () => ({ kind: 'write' })
})

// Put together here, so that no scanner takes this file for a leak.
const github = `ghp_${'A1b2C3d4E5f6G7h8I9j0'.repeat(2).slice(0, 36)}`
const uuid = '7b3f1a52-9c1d-4f8a-8f0e-2d6c5b4a3918'
const hex = 'f00dfeedc0ffee0123456789abcdef0123456789'
const stripe = ['sk', 'live', '4eC39HqLyjWDarjtT1zdp7dc'].join('_')
const jwt = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from('{"sub":"1","name":"x"}').toString('base64url')}.c2lnbmF0dXJl`
const password = 'hunter2hunter2'
const database = `postgres://admin:${password}@db.internal:5432/orders`
const json = 'Content-Type: application/json\r\n'

const request = (headers: string, body: string | Buffer = '', target = '/graphql/v2'): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST ${target} HTTP/1.1\r\nHost: ${governedHost}\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
      'latin1',
    ),
    Buffer.from(body),
  ])

describe('a credential that Sallyport did not issue goes nowhere (promise 2)', () => {
  const places: readonly (readonly [name: string, token: string, bytes: string | Buffer])[] = [
    ['Authorization: Bearer, a UUID', uuid, request(`Authorization: Bearer ${uuid}\r\n`)],
    ['Authorization: Bearer, any word', 'word', request('Authorization: Bearer word\r\n')],
    ['Authorization without a scheme', uuid, request(`Authorization: ${uuid}\r\n`)],
    ['Authorization: token', github, request(`Authorization: token ${github}\r\n`)],
    ['Authorization: Basic', github, request(`Authorization: Basic ${Buffer.from(`x:${github}`).toString('base64')}\r\n`)],
    [
      'Authorization: AWS4',
      'AKIAIOSFODNN7EXAMPLE',
      request('Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu/s3/aws4_request, Signature=abc\r\n'),
    ],
    ['Authorization: the handle and something else', uuid, request(`Authorization: Bearer HANDLE ${uuid}\r\n`)],
    ['Proxy-Authorization in the tunnel', uuid, request(`Proxy-Authorization: Bearer ${uuid}\r\n`)],
    ['Cookie', 'abc', request('Cookie: session=abc\r\n')],
    ['X-Api-Key', 'short', request('X-Api-Key: short\r\n')],
    ['Project-Access-Token', uuid, request(`Project-Access-Token: ${uuid}\r\n`)],
    ['X-Auth-Token', uuid, request(`X-Auth-Token: ${uuid}\r\n`)],
    ['PRIVATE-TOKEN', hex, request(`PRIVATE-TOKEN: ${hex}\r\n`)],
    ['DD-API-KEY', hex, request(`DD-API-KEY: ${hex}\r\n`)],
    ['X-Amz-Security-Token', hex, request(`X-Amz-Security-Token: ${hex}\r\n`)],
    ['a known shape in any header', github, request(`X-Anything: a ${github} b\r\n`)],
    ['a known shape in User-Agent', github, request(`User-Agent: tool/${github}\r\n`)],
    ['?access_token', uuid, request('', '', `/v1/x?access_token=${uuid}`)],
    ['?token among others', hex, request('', '', `/v1/x?a=b&token=${hex}&c=d`)],
    ['?apiKey in percent-encoding', hex, request('', '', `/v1/x?api%4Bey=${hex}`)],
    ['?api_key after a semicolon', hex, request('', '', `/v1/x?a=b;api_key=${hex}`)],
    [
      'a signed URL',
      'AKIAIOSFODNN7EXAMPLE',
      request('', '', '/v1/x?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F2026&X-Amz-Signature=abc'),
    ],
    ['a known shape in any parameter', github, request('', '', `/v1/x?q=${github}`)],
    ['a known shape, encoded twice', github, request('', '', `/v1/x?q=${github.replace('_', '%255F')}`)],
    ['a known shape in the path', github, request('', '', `/v1/${github}/x`)],
    ['a connection string in the query', 'hunter2hunter2', request('', '', `/v1/x?to=${encodeURIComponent(database)}`)],
    ['a JSON field', github, request(json, JSON.stringify({ a: [{ b: github }] }))],
    ['a UUID in a field called token', uuid, request(json, JSON.stringify({ token: uuid }))],
    ['a UUID in a nested apiToken', uuid, request(json, JSON.stringify({ variables: { input: { apiToken: uuid } } }))],
    ['a field written with escapes', github, request(json, `{"a":"\\u0067hp_${github.slice(4)}"}`)],
    ['a key written with escapes', uuid, request(json, `{"\\u0074oken":"${uuid}"}`)],
    ['the first of two equal keys', github, request(json, `{"a":"${github}","a":"x"}`)],
    ['JSON that breaks off', uuid, request(json, `{"token":"${uuid}`.concat('",'))],
    [
      'a GraphQL variable',
      stripe,
      request(json, JSON.stringify({ query: 'mutation($v: String!) { set(value: $v) }', variables: { v: stripe } })),
    ],
    ['a GraphQL literal', stripe, request(json, JSON.stringify({ query: `mutation { set(value: "${stripe}") }` }))],
    [
      'a GraphQL argument called token',
      uuid,
      request(json, JSON.stringify({ query: `mutation { login(token: "${uuid}") { id } }` })),
    ],
    ['GraphQL as it is', uuid, request('Content-Type: application/graphql\r\n', `mutation { login(token: "${uuid}") { id } }`)],
    ['JSON inside JSON', uuid, request(json, JSON.stringify({ variables: JSON.stringify({ accessToken: uuid }) }))],
    ['a JSON web token', jwt, request(json, JSON.stringify({ note: `see ${jwt}` }))],
    [
      'a private key',
      'MIIE',
      request(json, JSON.stringify({ pem: '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----' })),
    ],
    ['a connection string', 'hunter2hunter2', request(json, JSON.stringify({ variables: { value: database } }))],
    ['a form field', uuid, request('Content-Type: application/x-www-form-urlencoded\r\n', `a=b&client_secret=${uuid}`)],
    [
      'a part of a form',
      github,
      request(
        'Content-Type: multipart/form-data; boundary=x\r\n',
        `--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n${github}\r\n--x--\r\n`,
      ),
    ],
    ['a body without a type', github, request('', `x ${github} y`)],
    ['a body that is no text', github, request('', Buffer.concat([Buffer.from([0, 255, 254]), Buffer.from(github)]))],
    ['UTF-16', github, request('', Buffer.from(github, 'utf16le'))],
    ['a gzip body', github, request('Content-Encoding: gzip\r\n', gzipSync(`{"a":"${github}"}`))],
    ['a handle of Sallyport in the body', 'HANDLE', request(json, '{"a":"SHAPED"}')],
  ]
  test.each(places)('%s', async (_name, token, bytes) => {
    const shaped = `sp_${'x1Y2z3W4'.repeat(6).slice(0, 43)}`
    const text = bytes.toString('latin1').replace('HANDLE', gate.handle).replace('SHAPED', shaped)
    const fixed = text.replace(/Content-Length: \d+/, () => `Content-Length: ${text.length - text.indexOf('\r\n\r\n') - 4}`)
    const answer = await gate.inside(Buffer.from(fixed, 'latin1'))
    expect(answer.status, answer.text).toBe(403)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'foreign_credential' })
    expect(gate.standIn.text()).toBe('')
    expect(gate.fake.asked).toEqual([])
    expect(gate.fake.alarms).toHaveLength(1)
    expect(gate.fake.alarms[0]?.kind).toBe('foreign_credential')
    if (token.length > 6) expect(JSON.stringify(gate.fake.alarms) + answer.text).not.toContain(token)
  })

  const harmless: readonly (readonly [name: string, bytes: Buffer])[] = [
    ['no credential at all', request(json, '{"query":"{ me { id } }"}')],
    ['the own handle, as bearer', request('Authorization: Bearer HANDLE\r\n')],
    ['the own handle, as Basic password', request(`Authorization: BASIC\r\n`)],
    ['an empty bearer', request('Authorization: Bearer\r\n')],
    ['ids', request(json, JSON.stringify({ variables: { volumeId: uuid, projectId: uuid, tokenId: uuid } }))],
    ['hashes', request(json, JSON.stringify({ commit: hex, sha256: hex + hex.slice(0, 24) }))],
    ['places in a list', request('', '', `/v1/x?page_token=${hex}&nextToken=${hex}&cursor=${hex}`)],
    [
      'an idempotency key',
      request(
        `Idempotency-Key: ${uuid}\r\nX-Request-Id: ${uuid}\r\nTraceparent: 00-${hex.slice(0, 32)}-${hex.slice(0, 16)}-01\r\n`,
      ),
    ],
    [
      'a connection string without a password',
      request(json, JSON.stringify({ value: 'postgres://db.internal/orders', other: 'postgres://user@db/x' })),
    ],
    [
      'a reference where a password would be',
      request(json, JSON.stringify({ value: 'postgres://user:${{Postgres.PASSWORD}}@db:5432/x' })),
    ],
    [
      'a reference where a token would be',
      request(json, JSON.stringify({ token: '${{shared.TOKEN}}', secret: '<your secret here>' })),
    ],
    [
      'words about tokens',
      request(json, JSON.stringify({ token: 'none', password: 'please-enter-it', text: 'the token and the secret' })),
    ],
    [
      'a URL with a port',
      request(json, JSON.stringify({ url: 'https://example.test:8443/a@b?c=d', mail: 'mailto:a@example.test' })),
    ],
    [
      'a GraphQL document with types',
      request(
        json,
        JSON.stringify({ query: 'query($token: String!) { tokens(first: 10, after: "abcdef") { edges { node { id name } } } }' }),
      ),
    ],
  ]
  test.each(harmless)('goes through: %s', async (_name, bytes) => {
    const text = bytes.toString('latin1').replace('HANDLE', gate.handle).replace('BASIC', gate.basic)
    const answer = await gate.inside(Buffer.from(text, 'latin1'))
    expect(answer.status, answer.text).toBe(200)
    expect(gate.fake.alarms).toEqual([])
    expect(gate.standIn.received[0]?.headers.filter(([name]) => name === 'authorization')).toEqual([
      ['authorization', `Bearer ${realSecret}`],
    ])
    expect(gate.standIn.text()).not.toContain(gate.handle)
  })
})

test('token shapes are found wherever they stand, and never in plain words', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom(github, stripe, jwt, database), fc.string(), (before, token, after) => {
      expect(findKnownShape(`${before} ${token} ${after}`)).not.toBeNull()
    }),
  )
  fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z]{1,12}$/)), (words) => findKnownShape(words.join(' ')) === null))
})

test('hostile texts are looked at in time that grows with their length', () => {
  const pieces = [
    'eyJ',
    '-eyJ',
    'a://',
    'ab://x:',
    '+a',
    'sk-',
    '"',
    '\\"',
    '{"a":"',
    'token:"',
    '%25',
    '-----BEGIN ',
    'key-',
    'a.b://c:d',
    '. ',
    'glpat-',
    '$a:$b',
    'a:$b ',
    'a #\n:',
    'token=ab0 ',
    '<token>',
    'bearer abc',
    'AAAA\n',
    'name="x";',
    'a=b&',
  ]
  for (const piece of pieces) {
    const body = Buffer.from(piece.repeat(Math.ceil((roundsOf(256, 64) * 1024) / piece.length)))
    const startMs = performance.now()
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
      findInForwarded('/', [], body, type)
    expect(performance.now() - startMs, piece).toBeLessThan(60_000)
  }
})

test('names and randomness', () => {
  for (const name of [
    'token',
    'X-API-Key',
    'clientSecret',
    'access_token',
    'Project-Access-Token',
    'apiKey',
    'password',
    'authorization',
    'secret_key',
  ])
    expect(isSecretName(name), name).toBe(true)
  for (const name of [
    'id',
    'tokenId',
    'pageToken',
    'next_token',
    'accept',
    'author',
    'keyboard',
    'X-Request-Id',
    'Idempotency-Key',
    'tokenType',
    'maxTokens',
  ])
    expect(isSecretName(name), name).toBe(false)
  for (const text of [uuid, hex, github]) expect(looksRandom(text), text).toBe(true)
  for (const text of ['none', 'production', 'us-west-2', 'a sentence of words', 'aaaaaaaaaaaaaaaaaaaaaaaa', '${TOKEN}'])
    expect(looksRandom(text), text).toBe(false)
})
