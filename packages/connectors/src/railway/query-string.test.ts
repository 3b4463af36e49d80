import { describe as suite, expect, test } from 'vitest'
import type { Describers, Operation } from '@sallyport/core'
import { describe } from './describe.ts'
import { readQueryString } from './query-string.ts'

const ask: Describers = { describe: () => Promise.resolve([]) }
const endpoint = 'https://backboard.railway.com/graphql/v2'

function get(query: string, more: { readonly [key: string]: string } = {}): Promise<readonly Operation[]> {
  return describe({ method: 'GET', url: `${endpoint}${query}`, ...more }, ask)
}

const kindsOf = (operations: readonly Operation[]): string[] => operations.map(({ impact }) => impact.kind)
const read = encodeURIComponent('{ me { id } }')

suite('a GET', () => {
  test.each([
    ['of a query', `?query=${read}`],
    ['with blanks as plus', '?query=%7B+me+%7B+id+%7D+%7D'],
    [
      'with variables and a name',
      `?operationName=A&variables=${encodeURIComponent('{"i":"d"}')}&query=${encodeURIComponent('query A($i: String!) { deployment(id: $i) { id } }')}`,
    ],
  ])('%s is read', async (_, query) => {
    expect(kindsOf(await get(query))).toEqual(['read'])
  })

  test('shows secrets as a POST would', async () => {
    const query = encodeURIComponent('query($d: Boolean) { environment(id: "e") { config(decryptVariables: $d) } }')
    expect(kindsOf(await get(`?query=${query}&variables=${encodeURIComponent('{"d":true}')}`))).toEqual(['escalate'])
  })

  test.each([
    ['without a query', ''],
    ['of nothing', '?'],
    ['of a mutation', `?query=${encodeURIComponent('mutation { volumeUpdate(volumeId: "v", input: {}) { id } }')}`],
    [
      'of a query, chosen beside a mutation',
      `?operationName=A&query=${encodeURIComponent('query A { me { id } } mutation B { volumeDelete(volumeId: "v") }')}`,
    ],
    ['with a key twice', `?query=${read}&query=${read}`],
    ['with a key escaped', `?qu%65ry=${read}`],
    ['with a key in another case', `?Query=${read}`],
    ['with a key nobody knows', `?query=${read}&id=1`],
    ['with extensions', `?query=${read}&extensions=%7B%7D`],
    ['with a value twice', `?query=${read}=x`],
    ['with a semicolon, which is an ampersand to some', `?query=${read};operationName=B`],
    ['with an escape in an escape', `?query=${encodeURIComponent(read)}`],
    ['with an escape in an escape in a string', `?query=${encodeURIComponent('{ deployment(id: "a%22b") { id } }')}`],
    ['with bytes that are not UTF-8', '?query=%7Bme%7Bid%7D%7D%ff'],
    ['with a byte order mark', `?query=%EF%BB%BF${read}`],
    ['with half an escape', `?query=${read}%7`],
    ['with braces that are not escaped', '?query={me{id}}'],
    ['with variables that are no object', `?query=${read}&variables=%5B%5D`],
    ['with variables that are not JSON', `?query=${read}&variables=%7B`],
    ['with a key of the variables twice', `?query=${read}&variables=${encodeURIComponent('{"a":1,"a":2}')}`],
    ['with a fragment', `?query=${read}#x`],
    ['of another path', `/?query=${read}`],
    ['that is too long', `?query=${'%20'.repeat(30_000)}${read}`],
  ])('%s is unknown', async (_, query) => {
    expect(kindsOf(await get(query))).toEqual(['unknown'])
  })

  test.each([
    ['a body', { body: '{"query":"mutation { volumeDelete(volumeId: \\"v\\") }"}' }],
    ['a body of bytes', { bodyBase64: 'e30=' }],
  ])('with %s is unknown', async (_, more) => {
    expect(kindsOf(await get(`?query=${read}`, more))).toEqual(['unknown'])
  })

  test('reads what was escaped, once', () => {
    expect(readQueryString('query=%2B+%26%3D')).toEqual({ query: '+ &=' })
    expect(readQueryString('query=a&operationName=')).toEqual({ query: 'a', operationName: '' })
    expect(readQueryString('__proto__=a')).toBeNull()
  })
})

suite('a Host header', () => {
  const body = JSON.stringify({ query: '{ me { id } }' })
  const send = (host: string | string[], url = endpoint): Promise<readonly Operation[]> =>
    describe({ method: 'POST', url, headers: { 'content-type': 'application/json', Host: host }, body }, ask)

  test.each(['backboard.railway.com', 'BACKBOARD.railway.com:443'])('%s: the same server', async (host) => {
    expect(kindsOf(await send(host))).toEqual(['read'])
    expect(kindsOf(await send(host, 'https://backboard.railway.com:443/graphql/v2'))).toEqual(['read'])
  })

  test.each([
    'backboard.railway.app',
    'backboard.railway.com:80',
    'backboard.railway.com.',
    'example.net',
    '',
    ['backboard.railway.com', 'backboard.railway.com'],
  ])('%s: unknown', async (host) => {
    expect(kindsOf(await send(host))).toEqual(['unknown'])
  })
})

suite('a header by which a server takes another request', () => {
  test.each([
    'X-HTTP-Method-Override',
    'x-http-method',
    'x-method-override',
    'x-original-url',
    'X-Original-Uri',
    'x-original-method',
    'x-rewrite-url',
    'x-override-url',
    'x-host',
    'X-Forwarded-Host',
    'forwarded',
    'upgrade',
  ])('%s: unknown, by POST and by GET', async (name) => {
    const headers = { 'content-type': 'application/json', [name]: 'x' }
    const body = JSON.stringify({ query: '{ me { id } }' })
    expect(kindsOf(await describe({ method: 'POST', url: endpoint, headers, body }, ask))).toEqual(['unknown'])
    expect(kindsOf(await describe({ method: 'GET', url: `${endpoint}?query=${read}`, headers }, ask))).toEqual(['unknown'])
  })
})
