import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { PlaygroundCloud } from '../playground/cloud/cloud.ts'

/** Where an agent's HTTP goes, and as whom. */
export interface ProxyAddress {
  readonly host: string
  readonly port: number
  readonly agent: string
  readonly handle: string
  /** PEM of the gate's own authority, which only agents trust. */
  readonly authorityFile: string
}

export interface Call {
  readonly url: string
  /** Sent as a bearer token; null: none, as an agent does that has only its handle. */
  readonly token: string | null
  readonly body: string
}

export interface Called {
  /** 0: there was no answer. */
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** The body; what the client itself said when there was no answer. */
  readonly text: string
}

/** A client that plays the agent: curl where there is one, node:https else; evidence names which. */
export interface HttpAgent {
  readonly name: 'curl' | 'node:https'
  call(proxy: ProxyAddress, call: Call): Promise<Called>
}

const callTimeoutMs = 60_000
const answerBytesMax = 4 * 1024 * 1024

/** @param path the folders that programs are looked for in */
export function findHttpAgent(path = process.env['PATH'] ?? ''): HttpAgent {
  const programs = path.split(delimiter).map((folder) => join(folder, 'curl'))
  const curl = programs.find((program) => existsSync(program))
  return curl === undefined
    ? { name: 'node:https', call: callNode }
    : { name: 'curl', call: (proxy, call) => callCurl(curl, proxy, call) }
}

/** Handle and token go by the environment and standard input, never by argv. `-q`: whoever runs the drill has a .curlrc of their own. */
function callCurl(curl: string, { host, port, agent, handle, authorityFile }: ProxyAddress, call: Call): Promise<Called> {
  const args = ['-q', '--silent', '--show-error', '--include', '--suppress-connect-headers', '--config', '-']
  const env = {
    PATH: process.env['PATH'],
    HTTPS_PROXY: `http://${agent}:${handle}@${host}:${port}`,
    CURL_CA_BUNDLE: authorityFile,
  }
  return new Promise((resolve) => {
    const child = execFile(curl, args, { env, timeout: callTimeoutMs, maxBuffer: answerBytesMax }, (_error, stdout, stderr) => {
      resolve(stdout === '' ? { status: 0, headers: new Map(), text: stderr.trim().slice(0, 500) } : readAnswer(stdout))
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(
      [
        `url = ${quote(call.url)}`,
        `header = "Content-Type: application/json"`,
        ...(call.token === null ? [] : [`header = ${quote(`Authorization: Bearer ${call.token}`)}`]),
        `data = ${quote(call.body)}`,
        '',
      ].join('\n'),
    )
  })
}

/** As a file of curl's settings writes a string. */
function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** Head and body as curl prints them; interim answers come first. */
function readAnswer(printed: string): Called {
  const end = printed.indexOf('\r\n\r\n')
  const [first = '', ...lines] = printed.slice(0, end).split('\r\n')
  const status = Number(/^HTTP\/[\d.]+ (\d{3})/.exec(first)?.[1] ?? '0')
  const text = printed.slice(end + 4)
  if (status >= 100 && status < 200) return readAnswer(text)
  const headers = lines.map((line): [string, string] => {
    const at = line.indexOf(':')
    return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()]
  })
  return { status, headers: new Map(headers), text }
}

async function callNode(proxy: ProxyAddress, call: Call): Promise<Called> {
  try {
    const { hostname } = new URL(call.url)
    const secured = await openTunnel(proxy, hostname)
    return await send(call, { createConnection: () => secured })
  } catch (error) {
    return { status: 0, headers: new Map(), text: error instanceof Error ? error.message : String(error) }
  }
}

async function openTunnel({ host, port, agent, handle, authorityFile }: ProxyAddress, far: string): Promise<TLSSocket> {
  const socket = connect({ host, port })
  const basic = Buffer.from(`${agent}:${handle}`).toString('base64')
  socket.write(`CONNECT ${far}:443 HTTP/1.1\r\nhost: ${far}:443\r\nproxy-authorization: Basic ${basic}\r\n\r\n`)
  const answer = await new Promise<string>((resolve, reject) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the proxy closed the connection')))
  })
  if (!answer.startsWith('HTTP/1.1 200')) {
    socket.destroy()
    throw new Error(answer.slice(0, 500))
  }
  return connectTls({ socket, servername: far, ca: readFileSync(authorityFile), ALPNProtocols: ['http/1.1'] })
}

/** Straight to the stand-in, around the gate: what nothing here prevents. */
export function callAround(cloud: PlaygroundCloud, call: Call): Promise<Called> {
  const url = new URL(call.url)
  url.port = String(cloud.port)
  return send(
    { ...call, url: url.href },
    { hostname: '127.0.0.1', servername: url.hostname, ca: readFileSync(cloud.authorityFile) },
  )
}

function send(
  { url, token, body }: Call,
  how: {
    readonly createConnection?: () => TLSSocket
    readonly hostname?: string
    readonly servername?: string
    readonly ca?: Buffer
  },
): Promise<Called> {
  return new Promise((resolve, reject) => {
    const headers = {
      // Node adds the port where it made no connection itself.
      host: new URL(url).hostname,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    }
    const sent = request(new URL(url), { method: 'POST', headers, timeout: callTimeoutMs, ...how }, (answer) => {
      readWhole(answer).then(resolve, reject)
    })
    sent.on('error', reject)
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${callTimeoutMs / 1000} s`)))
    sent.end(body)
  })
}

async function readWhole(answer: IncomingMessage): Promise<Called> {
  let text = ''
  answer.setEncoding('utf8')
  for await (const chunk of answer) {
    text += String(chunk)
    if (text.length > answerBytesMax) throw new Error('the answer is larger than it ever should be')
  }
  const headers = Object.entries(answer.headers).map(([name, value]): [string, string] => [name, String(value)])
  return { status: answer.statusCode ?? 0, headers: new Map(headers), text }
}
