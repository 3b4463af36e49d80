import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  readonly body: string
}

/** A real HTTP server that keeps what it is sent, and answers as told. */
export class HttpInbox {
  readonly received: Received[] = []
  answer: (received: Received) => { readonly status: number; readonly body?: string } = () => ({ status: 200 })
  readonly #server: Server

  constructor(tls?: { readonly key: string; readonly cert: string }) {
    const handle: Parameters<typeof createServer>[1] = (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { method = '', url: path = '', headers } = request
        const received = { method, path, headers, body: Buffer.concat(chunks).toString('utf8') }
        this.received.push(received)
        const { status, body = '' } = this.answer(received)
        response.writeHead(status, { 'content-type': 'application/json', location: '/elsewhere' }).end(body)
      })
    }
    this.#server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle)
  }

  /** The newest one. Throws when there is none. */
  get newest(): Received {
    const newest = this.received.at(-1)
    if (newest === undefined) throw new Error('nothing was received')
    return newest
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this.port
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
