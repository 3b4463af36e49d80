import { chmod, chown, lstat, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { credentialId, matchesCredential } from './credential.ts'
import { systemCode, toFailure, failureStatus, VaultFailure, type FailureCode } from './failure.ts'
import type { Answer, Call } from './answer.ts'
import { answer, answerAsleep, type AsleepParts, type VaultParts } from './verbs.ts'

/** `sun_path` of a Unix socket holds 108 bytes with its end. */
const socketPathBytesMax = 107
const connectionsMax = 256
/** A socket on which nothing moves for this long is closed, unless it waits for a seal to be finished. */
const idleMs = 120_000
const headersTimeoutMs = 5_000
/** How long the rest of a refused body is read and thrown away, so that the sender gets to see the refusal. */
const drainMs = 2_000

export interface Listener {
  close(): Promise<void>
}

export interface Door {
  readonly socketPath: string
  readonly credentialHash: string
  readonly owner: { readonly uid: number; readonly gid: number } | null
  /** Resolves once the vault has read its folder; requests wait for it. */
  readonly parts: Promise<VaultParts>
  /** Set while it cannot be read, because a place where copies lie cannot be reached. */
  readonly asleep: () => AsleepParts | null
  readonly refused: () => void
  /** The gate's credential was right, and what was asked with it is not to be had: one sentence. */
  readonly tried: (request: string, why: string) => void
}

/** What the gate itself never has refused: somebody else asks with its credential, or the gate is not itself any more. */
const triedCodes: ReadonlySet<FailureCode> = new Set([
  'no_such_verb',
  'retention_shorter',
  'retention_in_force',
  'part_exists',
  'too_large',
  'too_many',
  'quota_reached',
  'log_pinned',
  'log_forked',
  'log_rolled_back',
])

/** Listens on a Unix socket that only its owner can connect to. Takes the place of a socket that nobody listens on any more. */
export async function listen(door: Door): Promise<Listener> {
  if (Buffer.byteLength(door.socketPath) > socketPathBytesMax) {
    throw new VaultFailure('bad_request', `The socket's path is longer than ${socketPathBytesMax} bytes. Nothing was started.`)
  }
  await removeStaleSocket(door.socketPath)
  const server = createServer(
    {
      maxHeaderSize: 16 << 10,
      headersTimeout: headersTimeoutMs,
      requestTimeout: 0,
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => void serve(door, request, response),
  )
  server.maxConnections = connectionsMax
  server.timeout = idleMs
  await startListening(server, door.socketPath)
  await chmod(door.socketPath, 0o600)
  if (door.owner) await chown(door.socketPath, door.owner.uid, door.owner.gid)
  return { close: () => stop(server) }
}

async function serve(door: Door, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let isGate = false
  try {
    const url = new URL(request.url ?? '', 'http://vault')
    const call: Call = {
      request,
      method: request.method ?? '',
      path: url.pathname.split('/').slice(1),
      query: url.searchParams,
      credential: authenticate(door, request),
    }
    isGate = true
    // Finishing reads everything back and says nothing meanwhile.
    if (call.path[3] === 'finish') request.socket.setTimeout(0)
    const asleep = door.asleep()
    await send(response, asleep === null ? await answer(await door.parts, call) : await answerAsleep(asleep, call))
    request.socket.setTimeout(idleMs)
  } catch (error) {
    const failure = toFailure(error)
    if (isGate && triedCodes.has(failure.code)) {
      const path = (request.url ?? '').split('?')[0] ?? ''
      door.tried(`${request.method ?? ''} ${path}`, `Refused, though asked with the gate’s credential: ${failure.message}`)
    }
    refuse(request, response, failure)
  }
}

function authenticate(door: Door, request: IncomingMessage): string {
  const given = /^Bearer (.{1,256})$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
  if (matchesCredential(given, door.credentialHash)) return credentialId(door.credentialHash)
  door.refused()
  throw new VaultFailure('unauthenticated', "This is not the gate's credential.")
}

async function send(response: ServerResponse, content: Answer): Promise<void> {
  switch (content.kind) {
    case 'json':
      response.writeHead(content.status, { 'content-type': 'application/json' }).end(JSON.stringify(content.body))
      return
    case 'text':
      response.writeHead(content.status, { 'content-type': 'text/plain; charset=utf-8' }).end(content.text)
      return
    case 'bytes':
      return await sendBytes(response, content.bytes)
  }
}

/** The first piece is read before the head is sent: a copy that can't be read at all is then refused in words. Later, the stream breaks off. */
async function sendBytes(response: ServerResponse, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const pieces = bytes[Symbol.asyncIterator]()
  const first = await pieces.next()
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  await pipeline(async function* () {
    for (let next = first; !next.done; next = await pieces.next()) yield next.value
  }, response)
}

function refuse(request: IncomingMessage, response: ServerResponse, failure: VaultFailure): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const body = JSON.stringify({ error: failure.code, message: failure.message })
  response.writeHead(failureStatus[failure.code], { 'content-type': 'application/json', connection: 'close' }).end(body)
  if (request.complete) return
  request.on('error', () => undefined)
  request.resume()
  const timer = setTimeout(() => request.socket.destroy(), drainMs)
  request.socket.once('close', () => clearTimeout(timer))
}

async function removeStaleSocket(path: string): Promise<void> {
  const status = await lstat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  })
  if (status === null) return
  if (!status.isSocket())
    throw new VaultFailure('bad_request', "Something that is not a socket lies at the socket's path. Nothing was started.")
  if (await someoneListens(path))
    throw new VaultFailure('bad_request', 'Something listens on this socket already. Nothing was started.')
  await unlink(path)
}

function someoneListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}

function startListening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
