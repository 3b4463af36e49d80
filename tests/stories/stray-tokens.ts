import { randomBytes, randomUUID } from 'node:crypto'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { cloudHost, cloudUrl } from '../servers/cloud-gate.ts'

/** One way to carry a token upstream: what curl is told, and where the gate says that it found it. */
export interface Carried {
  readonly name: string
  readonly token: string
  readonly place: RegExp
  readonly args: readonly string[]
  /** What curl reads for `@BODY`. */
  readonly body?: string | Buffer
}

// Put together here, so that no scanner takes this file for a leak.
const letters = (count: number): string =>
  randomBytes(count * 2)
    .toString('base64')
    .replaceAll(/[^A-Za-z0-9]/g, '')
    .slice(0, count)
const github = (): string => `ghp_${letters(36)}`
const stripe = (): string => ['sk', 'live', letters(24)].join('_')
const json = ['--header', 'Content-Type: application/json']
const base64 = (text: string): string => Buffer.from(text).toString('base64')

type Make = (token: string) => Omit<Carried, 'name' | 'token'>

function list(kind: () => string, ways: Readonly<Record<string, Make>>): readonly Carried[] {
  return Object.entries(ways).map(([name, make]) => {
    const token = kind()
    return { name, token, ...make(token) }
  })
}

const inHeader =
  (name: string, write: (token: string) => string = (token) => token): Make =>
  (token) => ({
    place: new RegExp(`^header ${name.toLowerCase()}( password)?$`),
    args: ['--header', `${name}: ${write(token)}`, cloudUrl],
  })
const inBody =
  (write: (token: string) => string | Buffer, headers: readonly string[] = json): Make =>
  (token) => ({ place: /^body/, args: [...headers, '--data-binary', '@BODY', cloudUrl], body: write(token) })
const inUrl =
  (path: (token: string) => string, place: RegExp): Make =>
  (token) => ({ place, args: ['--globoff', `https://${cloudHost}${path(token)}`] })
const asGraphql = (query: string, variables: unknown = {}): string => JSON.stringify({ query, variables })

/** What the incident's token looks like: nothing marks it but where it stands. */
const unmarked = list(randomUUID, {
  'a bearer': inHeader('Authorization', (token) => `Bearer ${token}`),
  'a bearer, by curl’s own option': (token) => ({
    place: /^header authorization$/,
    args: ['--oauth2-bearer', token, cloudUrl],
  }),
  'Authorization without a scheme': inHeader('Authorization'),
  'Authorization: token': inHeader('Authorization', (token) => `token ${token}`),
  'Authorization: ApiKey': inHeader('Authorization', (token) => `ApiKey ${token}`),
  'Authorization: Digest': inHeader('Authorization', (token) => `Digest username="x", response="${token}"`),
  'Basic, as password': (token) => ({ place: /^header authorization$/, args: ['--user', `robot:${token}`, cloudUrl] }),
  'Basic, as user': (token) => ({ place: /^header authorization$/, args: ['--user', `${token}:x`, cloudUrl] }),
  'the URL’s user information': (token) => ({
    place: /^header authorization$/,
    args: [`https://robot:${token}@${cloudHost}/graphql/v2`],
  }),
  'Proxy-Authorization once more': inHeader('Proxy-Authorization', (token) => `Bearer ${token}`),
  'X-Api-Key': inHeader('X-Api-Key'),
  'Project-Access-Token': inHeader('Project-Access-Token'),
  'PRIVATE-TOKEN': inHeader('PRIVATE-TOKEN'),
  'X-Vault-Token': inHeader('X-Vault-Token'),
  'a bearer in a header of another name': inHeader('X-Forward', (token) => `Bearer ${token}`),
  'base64 of JSON in a header': inHeader('X-Config', (token) => base64(JSON.stringify({ username: 'x', password: token }))),
  'a cookie': (token) => ({ place: /^header cookie$/, args: ['--cookie', `session=${token}`, cloudUrl] }),
  'a parameter': inUrl((token) => `/graphql/v2?access_token=${token}`, /^query access_token$/),
  'a parameter in percent-encoding': inUrl((token) => `/graphql/v2?api%4Bey=${token.replaceAll('-', '%2D')}`, /^query apiKey$/),
  'a parameter of the path': inUrl((token) => `/graphql/v2;token=${token}`, /^path token$/),
  'a JSON field': inBody((token) => JSON.stringify({ a: [{ deploy: { apiToken: token } }] })),
  'a JSON field with escapes': inBody(
    (token) => `{"\\u0074oken":"\\u00${Buffer.from(token.slice(0, 1)).toString('hex')}${token.slice(1)}"}`,
  ),
  'a GraphQL variable called token': inBody((token) =>
    asGraphql('mutation($token: String!) { login(token: $token) }', { token }),
  ),
  'a GraphQL variable of another name': inBody((token) => asGraphql('mutation($t: String!) { login(token: $t) }', { t: token })),
  'a variable whose document has commas and comments': inBody((token) =>
    asGraphql('mutation($t: String!) { login(token ,# x\n : ,$t) }', { t: token }),
  ),
  'the default of a variable': inBody((token) => asGraphql(`mutation($token: String = "${token}") { login(token: $token) }`)),
  'a literal': inBody((token) => asGraphql(`mutation { login(token: "${token}") { id } }`)),
  'a block literal': inBody((token) => asGraphql(`mutation { login(token: """${token}""") { id } }`)),
  'a field of a literal object': inBody((token) => asGraphql(`mutation { login(input: { clientSecret: "${token}" }) { id } }`)),
  'GraphQL as it is': inBody(
    (token) => `mutation { login(token: "${token}") { id } }`,
    ['--header', 'Content-Type: application/graphql'],
  ),
  'JSON inside JSON': inBody((token) => JSON.stringify({ variables: JSON.stringify({ accessToken: token }) })),
  'a batch’s last item': inBody((token) => `[${asGraphql('{ me { id } }')},${asGraphql('{ me { id } }', { apiKey: token })}]`),
  'a form field': (token) => ({ place: /^body client_secret$/, args: ['--data-urlencode', `client_secret=${token}`, cloudUrl] }),
  'a part of a multipart form': (token) => ({ place: /^body/, args: ['--form', `token=${token}`, cloudUrl] }),
  'a file in a multipart form': (token) => ({
    place: /^body/,
    args: ['--form', 'file=@BODY', cloudUrl],
    body: `API_TOKEN=${token}\n`,
  }),
  'an .env file': inBody((token) => `A=b\nRAILWAY_TOKEN=${token}\n`, ['--header', 'Content-Type: text/plain']),
  XML: inBody((token) => `<login><token>${token}</token></login>`, ['--header', 'Content-Type: application/xml']),
  'a request that is refused for another reason': (token) => ({
    place: /^header authorization$/,
    args: ['--header', 'X-Forwarded-For: 10.0.0.1', '--header', `Authorization: Bearer ${token}`, cloudUrl],
  }),
})

/** What a provider marks is found wherever it stands. */
const marked = list(github, {
  'in any header': inHeader('X-Anything', (token) => `see ${token}.`),
  'in User-Agent': (token) => ({ place: /^header user-agent$/, args: ['--user-agent', `tool/${token}`, cloudUrl] }),
  'in Referer': (token) => ({ place: /^header referer$/, args: ['--referer', `https://x.test/${token}`, cloudUrl] }),
  'in the path': inUrl((token) => `/v1/${token}/x`, /^path$/),
  'in any parameter, encoded twice': inUrl((token) => `/v1/x?q=${token.replace('_', '%255F')}`, /^query q$/),
  'as the name of a parameter': inUrl((token) => `/v1/x?${token}=1`, /^query name$/),
  'as name and value of a parameter': inUrl((token) => `/v1/x?${token}=${token}`, /^query name$/),
  'in any JSON field': inBody((token) => JSON.stringify({ note: `it is ${token}` })),
  'as a JSON key': inBody((token) => JSON.stringify({ [token]: 1 })),
  'in the first of two equal keys': inBody((token) => `{"a":"${token}","a":"x"}`),
  'in GraphQL’s own escapes': inBody((token) => asGraphql(`mutation { set(value: "\\u{67}hp_${token.slice(4)}") }`)),
  'in a GraphQL comment': inBody((token) => asGraphql(`{ me { id } } # ${token}`)),
  'in base64': inBody((token) => JSON.stringify({ data: base64(`Authorization: ${token}`) })),
  'in base64 of base64': inBody((token) => JSON.stringify({ data: base64(base64(`{"x":"${token}"}`)) })),
  'in base64 with line breaks': inBody(
    (token) => base64(`${'x'.repeat(60)} ${token} ${'y'.repeat(60)}`).replaceAll(/.{76}/g, '$&\r\n'),
    ['--header', 'Content-Type: text/plain'],
  ),
  'in a gzip body': inBody((token) => gzipSync(`{"a":"${token}"}`), [...json, '--header', 'Content-Encoding: gzip']),
  'in a brotli body': inBody((token) => brotliCompressSync(`{"a":"${token}"}`), [...json, '--header', 'Content-Encoding: br']),
  'in a zstd body': inBody((token) => zstdCompressSync(`{"a":"${token}"}`), [...json, '--header', 'Content-Encoding: zstd']),
  'in a deflate body': inBody((token) => deflateSync(`{"a":"${token}"}`), [...json, '--header', 'Content-Encoding: deflate']),
  'in a chunked body': inBody((token) => `{"a":"${token}"}`, [...json, '--header', 'Transfer-Encoding: chunked']),
  'in a body after 100 Continue': inBody((token) => `{"a":"${token}"}`, [...json, '--header', 'Expect: 100-continue']),
  'in UTF-16': inBody(
    (token) => Buffer.from(`{"a":"${token}"}`, 'utf16le'),
    ['--header', 'Content-Type: text/plain; charset=utf-16le'],
  ),
  'in bytes that are no text': inBody(
    (token) => Buffer.concat([Buffer.from([0, 255, 254, 8]), Buffer.from(token)]),
    ['--header', 'Content-Type: application/octet-stream'],
  ),
  'with PUT': (token) => ({ place: /^body/, args: ['--request', 'PUT', ...json, '--data', `{"a":"${token}"}`, cloudUrl] }),
  'with GET and a body': (token) => ({ place: /^body/, args: ['--request', 'GET', '--data', `a ${token}`, cloudUrl] }),
})

const others: readonly Carried[] = [
  ...list(stripe, {
    'a payment key in a variable': inBody((token) => asGraphql('mutation($v: String!) { set(value: $v) }', { v: token })),
  }),
  ...list(() => `hunter-${letters(12)}`, {
    'a connection string in a variable': inBody((token) =>
      asGraphql('mutation($v: String!) { set(value: $v) }', { v: `postgres://admin:${token}@db.internal:5432/orders` }),
    ),
    'a connection string in a parameter': inUrl(
      (token) => `/v1/x?to=${encodeURIComponent(`redis://:${token}@cache.internal:6379`)}`,
      /^query to$/,
    ),
  }),
  ...list(() => `AKIA${letters(16).toUpperCase()}`, {
    'a signature by curl itself': (token) => ({
      place: /^header authorization$/,
      args: ['--aws-sigv4', 'aws:amz:eu-west-1:s3', '--user', `${token}:${letters(40)}`, cloudUrl],
    }),
  }),
]

export const carried: readonly Carried[] = [...unmarked, ...marked, ...others]

/** Ways in which an agent's own handle, of use at the gate only, might be carried further. */
export const misuses: Readonly<Record<string, Make>> = {
  'in a header for keys': inHeader('X-Api-Key'),
  'in any header': inHeader('X-Note', (token) => `mine is ${token}`),
  'in a parameter': inUrl((token) => `/graphql/v2?a=${token}`, /^query a$/),
  'in the path': inUrl((token) => `/v1/${token}`, /^path$/),
  'in a variable': inBody((token) => asGraphql('mutation($v: String!) { set(value: $v) }', { v: token })),
  'in base64': inBody((token) => JSON.stringify({ data: base64(`coder:${token}`) })),
  'in a form': (token) => ({ place: /^body/, args: ['--form', `note=${token}`, cloudUrl] }),
}
