import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { volume } from '../fakes/graphql-stand-in.ts'
import { cloudHost } from '../servers/cloud-gate.ts'

/**
 * What becomes of an attack. `deletion`: people are asked about a volumeDelete. `unknown`: people are asked about something that can't be read,
 * which is no milder. `no copy`: denied, since what it destroys can't be copied. `refused`: nobody is asked. `read`: it deletes nothing however it is read, and goes through.
 */
export type Fate = 'deletion' | 'unknown' | 'no copy' | 'refused' | 'read'
export type Disguise = readonly [name: string, fate: Fate, bytes: Buffer]

const hostLine = `Host: ${cloudHost}\r\n`
const jsonType = 'Content-Type: application/json\r\n'
const path = '/graphql/v2'

function send(body: string | Buffer, { headers = jsonType, target = path, method = 'POST' } = {}): Buffer {
  const head = `${method} ${target} HTTP/1.1\r\n${hostLine}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)])
}

const deletion = `volumeDelete(volumeId: "${volume}")`
const mutation = `mutation { ${deletion} }`
const read = '{ me { id } }'
const body = (query: string, rest: object = {}): string => JSON.stringify({ query, ...rest })
const graphql = (query: string, rest: object = {}): Buffer => send(body(query, rest))
const both = `query Safe ${read} mutation Bad { ${deletion} }`

const words: readonly Disguise[] = [
  ['as it is', 'deletion', graphql(mutation)],
  ['under an alias', 'deletion', graphql(`mutation { me: ${deletion} }`)],
  [
    'under an alias that is a read’s name, beside a read’s look',
    'deletion',
    graphql(`mutation projects { projects: ${deletion} }`),
  ],
  ['twice, under two aliases', 'deletion', graphql(`mutation { a: ${deletion} b: ${deletion} }`)],
  ['behind a harmless field', 'deletion', graphql(`mutation { __typename ${deletion} }`)],
  ['in a fragment', 'deletion', graphql(`mutation { ...F } fragment F on Mutation { ${deletion} }`)],
  [
    'in a fragment of a fragment',
    'deletion',
    graphql(`mutation { ...F } fragment F on Mutation { ...G } fragment G on Mutation { ${deletion} }`),
  ],
  ['in an inline fragment', 'deletion', graphql(`mutation { ... on Mutation { ${deletion} } }`)],
  ['in an inline fragment without a type', 'deletion', graphql(`mutation { ... { ... { ${deletion} } } }`)],
  ['by a variable', 'deletion', graphql('mutation($v: String!) { volumeDelete(volumeId: $v) }', { variables: { v: volume } })],
  ['by the default of a variable', 'deletion', graphql(`mutation($v: String! = "${volume}") { volumeDelete(volumeId: $v) }`)],
  ['by a block string', 'deletion', graphql(`mutation { volumeDelete(volumeId: """${volume}""") }`)],
  [
    'by escapes in the id',
    'deletion',
    graphql(`
      mutation {
        volumeDelete(volumeId: "volume-1")
      }
    `),
  ],
  ['by JSON escapes in the name', 'deletion', send(`{"query":"mutation { \\u0076olumeDelete(volumeId: \\"${volume}\\") }"}`)],
  ['with commas and comments', 'deletion', graphql(`mutation,#{ me }\n{,,${deletion.replace('(', ' #x\n(')},}`)],
  ['as the operation that operationName chooses', 'deletion', graphql(both, { operationName: 'Bad' })],
  ['among two, and none is chosen', 'deletion', graphql(both)],
  ['among two, and the choice is empty', 'deletion', graphql(both, { operationName: '' })],
  ['among two, and the choice is a name that is not there', 'deletion', graphql(both, { operationName: 'Other' })],
  ['among two, and the choice has a blank', 'deletion', graphql(both, { operationName: 'Safe ' })],
  ['among two of one name', 'unknown', graphql(`query A ${read} mutation A { ${deletion} }`, { operationName: 'A' })],
  ['beside the operation that operationName chooses', 'read', graphql(both, { operationName: 'Safe' })],
  ['beside an unnamed operation', 'deletion', graphql(`${read} mutation Bad { ${deletion} }`, { operationName: 'Bad' })],
  ['in a fragment that nobody uses', 'read', graphql(`${read} fragment F on Mutation { ${deletion} }`)],
  ['in a comment only', 'read', graphql(`{ me { id } } # ${deletion}`)],
  [
    'in a string only',
    'read',
    graphql(`
      {
        projects(after: "mutation { volumeDelete }") {
          edges {
            node {
              id
            }
          }
        }
      }
    `),
  ],
  ['with @include', 'deletion', graphql(`mutation { ${deletion} @include(if: true) }`)],
  [
    'with @skip by a variable',
    'deletion',
    graphql(`mutation($s: Boolean!) { ${deletion} @skip(if: $s) }`, { variables: { s: false } }),
  ],
  [
    'with @skip that is a string',
    'deletion',
    graphql(`mutation($s: Boolean!) { ${deletion} @skip(if: $s) }`, { variables: { s: 'true' } }),
  ],
  ['with a directive nobody knows', 'unknown', graphql(`mutation { ${deletion} @quiet }`)],
  ['with a directive on the operation', 'unknown', graphql(`mutation @live { ${deletion} }`)],
  ['as a query', 'no copy', graphql(`{ ${deletion} }`)],
  ['as a subscription', 'no copy', graphql(`subscription { ${deletion} }`)],
  ['with a Cyrillic o', 'unknown', graphql(mutation.replace('volumeDelete', 'v\u043elumeDelete'))],
  ['in fullwidth letters', 'unknown', graphql(mutation.replace('volumeDelete', '\uff56olumeDelete'))],
  ['with a joiner of no width', 'unknown', graphql(mutation.replace('volumeDelete', 'volume\u200dDelete'))],
  ['with a soft hyphen', 'unknown', graphql(mutation.replace('volumeDelete', 'volume\u00adDelete'))],
  ['with a right-to-left override', 'unknown', graphql(mutation.replace('volumeDelete', '\u202eeteleDemulov'))],
  ['in another case', 'unknown', graphql(mutation.replace('volumeDelete', 'VolumeDelete'))],
  [
    'with a byte order mark in the query',
    'unknown',
    graphql(`
      ${mutation}
    `),
  ],
  ['with a zero byte in the query', 'unknown', graphql(`${read}\0${mutation}`)],
  ['behind fragments that go round', 'unknown', graphql(`mutation { ...F } fragment F on Mutation { ...F ${deletion} }`)],
  [
    'under 2,000 aliases',
    'refused',
    graphql(`mutation { ${Array.from({ length: 2_000 }, (_, at) => `a${at}: ${deletion}`).join(' ')} }`),
  ],
  ['10,000 levels deep', 'refused', graphql(`mutation { ${'... { '.repeat(10_000)}${deletion}${' }'.repeat(10_000)} }`)],
  [
    'by its siblings: a patch that deletes',
    'no copy',
    graphql('mutation($p: EnvironmentConfig) { environmentPatchCommit(environmentId: "e", patch: $p) }', {
      variables: { p: { volumes: { [volume]: { isDeleted: true } } } },
    }),
  ],
  [
    'by its siblings: a state',
    'no copy',
    graphql(`mutation { volumeInstanceUpdate(volumeId: "${volume}", input: { state: DELETED }) }`),
  ],
  ['by its siblings: the whole project', 'no copy', graphql('mutation { projectDelete(id: "p") }')],
  ['by a field that nobody lists', 'unknown', graphql(`mutation { volumeErase(volumeId: "${volume}") }`)],
]

const documents: readonly Disguise[] = [
  ['a batch with one bad item', 'deletion', send(`[${body(read)},${body(mutation)},${body(read)}]`)],
  [
    'a batch whose last item is bad',
    'deletion',
    send(`[${Array.from({ length: 20 }, () => body(read)).join(',')},${body(mutation)}]`),
  ],
  ['a batch in a batch', 'unknown', send(`[[${body(mutation)}]]`)],
  ['a batch of 51', 'unknown', send(`[${Array.from({ length: 50 }, () => body(read)).join(',')},${body(mutation)}]`)],
  ['the second of two equal keys', 'unknown', send(`{"query":${JSON.stringify(read)},"query":${JSON.stringify(mutation)}}`)],
  ['the first of two equal keys', 'unknown', send(`{"query":${JSON.stringify(mutation)},"query":${JSON.stringify(read)}}`)],
  [
    'equal keys, one of them escaped',
    'unknown',
    send(`{"query":${JSON.stringify(read)},"\\u0071uery":${JSON.stringify(mutation)}}`),
  ],
  ['keys that differ in case', 'unknown', send(`{"query":${JSON.stringify(read)},"Query":${JSON.stringify(mutation)}}`)],
  [
    'keys that Unicode folds into one',
    'unknown',
    send(`{"query":${JSON.stringify(both)},"operationName":"Safe","operat\u0131onName":"Bad"}`),
  ],
  [
    'two equal variables',
    'unknown',
    send(`{"query":"mutation($v: String!) { volumeDelete(volumeId: $v) }","variables":{"v":"x","v":"${volume}"}}`),
  ],
  ['two operationNames', 'unknown', send(`{"query":${JSON.stringify(both)},"operationName":"Safe","operationName":"Bad"}`)],
  ['__proto__', 'unknown', send(`{"query":${JSON.stringify(read)},"__proto__":{"query":${JSON.stringify(mutation)}}}`)],
  [
    'a persisted query',
    'unknown',
    graphql(read, { extensions: { persistedQuery: { version: 1, sha256Hash: 'ab'.repeat(32) } } }),
  ],
  ['a hash in place of a query', 'unknown', send('{"id":"abc","variables":{}}')],
  ['something behind the JSON', 'unknown', send(`${body(read)}${body(mutation)}`)],
  ['one JSON a line', 'unknown', send(`${body(read)}\n${body(mutation)}`)],
  ['JSON with a comment', 'unknown', send(`{"query":${JSON.stringify(read)}/*,"query":${JSON.stringify(mutation)}*/}`)],
  ['lone surrogates', 'unknown', send(`{"query":${JSON.stringify(mutation)},"variables":{"a":"\\ud800"}}`)],
  ['a byte order mark before the JSON', 'unknown', send(`\uFEFF${body(mutation)}`)],
  [
    'UTF-16',
    'unknown',
    send(Buffer.from(body(mutation), 'utf16le'), { headers: 'Content-Type: application/json; charset=utf-16le\r\n' }),
  ],
  ['UTF-16 that says UTF-8', 'unknown', send(Buffer.from(body(mutation), 'utf16le'))],
  ['bytes that are no UTF-8', 'unknown', send(Buffer.concat([Buffer.from(body(mutation)), Buffer.from([0xff])]))],
  ['application/graphql', 'unknown', send(mutation, { headers: 'Content-Type: application/graphql\r\n' })],
  [
    'a form',
    'unknown',
    send(`query=${encodeURIComponent(mutation)}`, { headers: 'Content-Type: application/x-www-form-urlencoded\r\n' }),
  ],
  [
    'a multipart form',
    'unknown',
    send(`--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n${body(mutation)}\r\n--x--\r\n`, {
      headers: 'Content-Type: multipart/form-data; boundary=x\r\n',
    }),
  ],
  ['text/plain', 'unknown', send(body(mutation), { headers: 'Content-Type: text/plain\r\n' })],
  ['no type', 'unknown', send(body(mutation), { headers: '' })],
  [
    'a read in the body, the deletion in the URL',
    'unknown',
    send(body(read), { target: `${path}?query=${encodeURIComponent(mutation)}` }),
  ],
  ['GET', 'unknown', send('', { method: 'GET', headers: '', target: `${path}?query=${encodeURIComponent(mutation)}` })],
  ['GET with a body', 'unknown', send(body(mutation), { method: 'GET' })],
  ['PUT', 'unknown', send(body(mutation), { method: 'PUT' })],
  ['DELETE', 'unknown', send('', { method: 'DELETE', headers: '', target: `/v1/volumes/${volume}` })],
  ['a slash at the end of the path', 'unknown', send(body(mutation), { target: `${path}/` })],
  ['the path in another case', 'unknown', send(body(mutation), { target: '/GraphQL/v2' })],
  ['the path in percent-encoding', 'unknown', send(body(mutation), { target: '/graphql/%762' })],
  ['a parameter in the path', 'unknown', send(body(mutation), { target: `${path};a=b` })],
  ['another version of the path', 'unknown', send(body(mutation), { target: '/graphql/internal' })],
  ['gzip', 'deletion', send(gzipSync(body(mutation)), { headers: `${jsonType}Content-Encoding: gzip\r\n` })],
  ['brotli', 'deletion', send(brotliCompressSync(body(mutation)), { headers: `${jsonType}Content-Encoding: br\r\n` })],
  ['zstd', 'deletion', send(zstdCompressSync(body(mutation)), { headers: `${jsonType}Content-Encoding: zstd\r\n` })],
  ['deflate', 'deletion', send(deflateSync(body(mutation)), { headers: `${jsonType}Content-Encoding: deflate\r\n` })],
]

const refusedBytes = (bytes: string | Buffer): Buffer => (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1'))
const smuggled = send(body(mutation)).toString('latin1')
const chunked = (head: string, rest: string): string => `POST ${path} HTTP/1.1\r\n${hostLine}${jsonType}${head}\r\n${rest}`
const wire: readonly Disguise[] = (
  [
    [
      'Content-Length and Transfer-Encoding',
      chunked('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${smuggled}`),
    ],
    [
      'Transfer-Encoding and Content-Length',
      chunked('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `0\r\n\r\n${smuggled}`),
    ],
    ['Transfer-Encoding: xchunked', chunked('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${smuggled}`)],
    ['Transfer-Encoding twice', chunked('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', `0\r\n\r\n${smuggled}`)],
    ['Transfer-Encoding with a blank', chunked('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${smuggled}`)],
    ['a folded Transfer-Encoding', chunked('X: y\r\n Transfer-Encoding: chunked\r\n', `0\r\n\r\n${smuggled}`)],
    ['two lengths', chunked(`Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n`, smuggled)],
    ['a length with a sign', chunked(`Content-Length: +${smuggled.length}\r\n`, smuggled)],
    ['a length in hex', chunked('Content-Length: 0x10\r\n', smuggled)],
    ['a chunk longer than it says', chunked('Transfer-Encoding: chunked\r\n', `1\r\nx${smuggled}\r\n0\r\n\r\n`)],
    ['bare line feeds', smuggled.replaceAll('\r\n', '\n')],
    ['a zero byte in a header', chunked('X-A: a\0b\r\nContent-Length: 0\r\n', '')],
    ['two types', send(body(mutation), { headers: `${jsonType}Content-Type: text/plain\r\n` })],
    [
      'two codings',
      send(gzipSync(body(mutation)), { headers: `${jsonType}Content-Encoding: gzip\r\nContent-Encoding: identity\r\n` }),
    ],
    ['a method in a header', send(body(read), { headers: `${jsonType}X-HTTP-Method-Override: DELETE\r\n` })],
    ['a path in a header', send(body(read), { headers: `${jsonType}X-Original-URL: /v1/volumes/${volume}\r\n` })],
    ['a host in a header', send(body(mutation), { headers: `${jsonType}X-Forwarded-Host: other.test\r\n` })],
    ['Host of another', send(body(mutation)).toString('latin1').replace(cloudHost, 'other.test')],
    ['two Hosts', send(body(mutation), { headers: `${jsonType}Host: other.test\r\n` })],
    ['an absolute URL of another host', send(body(mutation), { target: `https://other.test${path}` })],
    ['dot segments', send(body(mutation), { target: '/graphql/../graphql/v2' })],
    ['encoded dot segments', send(body(mutation), { target: '/graphql/%2e%2e/graphql/v2' })],
    ['a fragment in the path', send(body(mutation), { target: `${path}#x` })],
    ['a second request behind a body that is refused', `${chunked('Content-Length: 1, 1\r\n', 'x')}${smuggled}`],
    ['an upgrade', send(body(mutation), { headers: `${jsonType}Connection: Upgrade\r\nUpgrade: h2c\r\n` })],
    ['trailers', chunked('Transfer-Encoding: chunked\r\n', '2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n')],
    ['HTTP/1.0', smuggled.replace('HTTP/1.1', 'HTTP/1.0')],
    ['the HTTP/2 preface', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${smuggled}`],
    ['TRACE', `TRACE ${path} HTTP/1.1\r\n${hostLine}\r\n`],
    ['a gzip bomb', send(gzipSync(Buffer.alloc(50_000_000, ' ')), { headers: `${jsonType}Content-Encoding: gzip\r\n` })],
    ['a brotli bomb', send(brotliCompressSync(Buffer.alloc(5_000_000, ' ')), { headers: `${jsonType}Content-Encoding: br\r\n` })],
    ['a zstd bomb', send(zstdCompressSync(Buffer.alloc(50_000_000, ' ')), { headers: `${jsonType}Content-Encoding: zstd\r\n` })],
    ['gzip in gzip', send(gzipSync(gzipSync(body(mutation))), { headers: `${jsonType}Content-Encoding: gzip, gzip\r\n` })],
    [
      'a second member of gzip',
      send(Buffer.concat([gzipSync('{"query":"{ me { id } }"}'), gzipSync(body(mutation))]), {
        headers: `${jsonType}Content-Encoding: gzip\r\n`,
      }),
    ],
    [
      'something behind gzip',
      send(Buffer.concat([gzipSync(body(read)), Buffer.from(body(mutation))]), {
        headers: `${jsonType}Content-Encoding: gzip\r\n`,
      }),
    ],
    ['gzip that is none', send(body(mutation), { headers: `${jsonType}Content-Encoding: gzip\r\n` })],
    ['a coding that nobody knows', send(body(mutation), { headers: `${jsonType}Content-Encoding: exotic\r\n` })],
    ['a body over the limit', send(body(`${mutation}${' '.repeat(1_100_000)}`))],
  ] as const
).map(([name, bytes]): Disguise => [name, 'refused', refusedBytes(bytes)])

export const disguises: readonly Disguise[] = [...words, ...documents, ...wire]
