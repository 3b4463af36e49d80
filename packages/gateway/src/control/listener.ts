import { lookup } from 'node:dns/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SallyportError } from '@sallyport/core'
import { limits } from './limits.ts'

/** Servers on every address that `localhost` can mean here, all on one port. */
export interface LoopbackServers {
  readonly port: number
  readonly addresses: readonly string[]
  close(): Promise<void>
}

const triesForAFreePort = 20

/**
 * Takes one port on 127.0.0.1, on ::1, and on whatever else `localhost` resolves to; all or nothing. Whoever held one of them would have the same
 * origin as the gate and could ask for verdicts (DESIGN §6). An address that this machine does not have can be held by nobody and is left out.
 */
export async function listenOnLoopback(port: number, handle: RequestListener): Promise<LoopbackServers> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listenOnAll(port, await localhostAddresses(), handle)
    } catch (error) {
      if (port !== 0 || attempt === triesForAFreePort || !(error instanceof SallyportError)) throw error
    }
  }
}

async function localhostAddresses(): Promise<readonly string[]> {
  const resolved = await lookup('localhost', { all: true }).catch(() => [])
  return [...new Set(['127.0.0.1', '::1', ...resolved.map(({ address }) => address)])]
}

async function listenOnAll(port: number, addresses: readonly string[], handle: RequestListener): Promise<LoopbackServers> {
  const servers: Server[] = []
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(closeServer))
  }
  const owned: string[] = []
  let chosen = port
  for (const address of addresses) {
    const server = makeServer(handle)
    const result = await listen(server, address, chosen)
    if (result === 'absent') continue
    if (result === 'taken') {
      await close()
      throw new SallyportError(
        'internal',
        `Somebody else listens on ${address} port ${chosen}: they would look like the gate to a browser.`,
        'The people’s pages were not started.',
        'End that program, or choose another port for the people’s pages.',
      )
    }
    servers.push(server)
    owned.push(address)
    chosen = result
  }
  return { port: chosen, addresses: owned, close }
}

function makeServer(handle: RequestListener): Server {
  const server = createServer(
    { maxHeaderSize: limits.headerBytes, requestTimeout: limits.requestTimeoutMs, headersTimeout: limits.requestTimeoutMs },
    handle,
  )
  server.maxConnections = limits.connections
  return server
}

function listen(server: Server, host: string, port: number): Promise<number | 'absent' | 'taken'> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT') resolve('absent')
      else if (error.code === 'EADDRINUSE') resolve('taken')
      else reject(error)
    })
    server.listen({ host, port, exclusive: true }, () => resolve(portOf(server.address())))
  })
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port')
  return address.port
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
