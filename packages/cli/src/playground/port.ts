import { createServer } from 'node:net'

/** The preferred port when it is free on every given address, else one the system picks. */
export async function choosePort(preferred: number | null, hosts: readonly string[] = ['127.0.0.1']): Promise<number> {
  if (preferred !== null && (await isFree(preferred, hosts))) return preferred
  for (let tries = 0; tries < 20; tries++) {
    const port = await listenOnce(0, hosts[0] ?? '127.0.0.1')
    if (port !== null && (await isFree(port, hosts))) return port
  }
  throw new Error('no free port on loopback')
}

async function isFree(port: number, hosts: readonly string[]): Promise<boolean> {
  for (const host of hosts) {
    if ((await listenOnce(port, host)) === null) return false
  }
  return true
}

/** The port it listened on for a moment, or null when it is taken. A machine without IPv6 has nobody on `::1`. */
function listenOnce(port: number, host: string): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT' ? port : null),
    )
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address()
      server.close(() => resolve(address === null || typeof address === 'string' ? null : address.port))
    })
  })
}
