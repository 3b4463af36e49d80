import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { VaultProcess } from './vault-process.ts'

export interface RawAnswer {
  readonly status: number
  readonly text: string
}

export interface RawAsk {
  readonly body?: Uint8Array | string
  readonly authorization?: string | null
  readonly headers?: Readonly<Record<string, string>>
}

/** One request as an attacker would write it: any verb, any path, any credential (default: the right one). */
export async function askRaw(
  vault: Pick<VaultProcess, 'socketPath' | 'token'>,
  method: string,
  path: string,
  ask: RawAsk = {},
): Promise<RawAnswer> {
  const authorization = ask.authorization === undefined ? `Bearer ${vault.token()}` : ask.authorization
  const headers = { ...ask.headers, ...(authorization === null ? {} : { authorization }) }
  const sent = request({ socketPath: vault.socketPath, method, path, headers, agent: false })
  const answered = new Promise<RawAnswer>((resolve, reject) => {
    sent.once('error', reject)
    sent.once('response', (response) => {
      const pieces: Uint8Array[] = []
      response.on('data', (piece: Uint8Array) => pieces.push(piece))
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') }))
      response.once('error', reject)
    })
  })
  sent.end(ask.body)
  return await answered
}

/** A plain connection, for what no HTTP client would send. */
export async function connectRaw(vault: VaultProcess): Promise<Socket> {
  const socket = connect(vault.socketPath)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Resolves when a connection has ended, in whatever way. */
export function untilClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())))
}

export const about = JSON.stringify({ upstream: 'orders-db', upstreamIdentity: '1', digest: 'd', retainMs: 86_400_000 })
export const content = JSON.stringify({ kind: 'rows', rows: 1, bytes: 1, checksums: { orders: 'c' }, manifest: {} })

export async function beginSeal(vault: Pick<VaultProcess, 'socketPath' | 'token'>): Promise<string> {
  const answer = await askRaw(vault, 'POST', '/v1/seals', { body: about })
  return /[0-9a-f]{32}/.exec(answer.text)?.[0] ?? ''
}

/** Seals one snapshot of these parts; its id. */
export async function sealParts(
  vault: Pick<VaultProcess, 'socketPath' | 'token'>,
  parts: Readonly<Record<string, Uint8Array | string>>,
  described: string = content,
): Promise<string> {
  const seal = await beginSeal(vault)
  for (const [name, body] of Object.entries(parts)) {
    const taken = await askRaw(vault, 'PUT', `/v1/seals/${seal}/part?name=${encodeURIComponent(name)}`, { body })
    if (taken.status !== 201) throw new Error(taken.text)
  }
  const finished = await askRaw(vault, 'POST', `/v1/seals/${seal}/finish`, { body: described })
  if (finished.status !== 201) throw new Error(finished.text)
  return /"id":"([0-9a-f]{64})"/.exec(finished.text)?.[1] ?? ''
}

export async function listIds(vault: Pick<VaultProcess, 'socketPath' | 'token'>): Promise<readonly string[]> {
  const { text } = await askRaw(vault, 'GET', '/v1/snapshots')
  return [...text.matchAll(/"id":"([0-9a-f]{64})"/g)].map((match) => match[1] ?? '')
}
