import { connect, createServer, type Socket } from 'node:net'

/** A wire with a microphone: what it carries, it also keeps. */
export interface Tap {
  readonly port: number
  /** Everything that came back so far, of all connections. */
  heard(): Buffer
  /** Everything that went there so far. */
  said(): Buffer
  close(): Promise<void>
}

/** Stands between a client and `port` of this machine. */
export async function openTap(port: number): Promise<Tap> {
  const pieces: Buffer[] = []
  const sent: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const gate = connect({ host: '127.0.0.1', port, noDelay: true })
    for (const socket of [client, gate]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('data', (piece: Buffer) => sent.push(piece))
    client.pipe(gate)
    gate.on('data', (piece: Buffer) => pieces.push(piece))
    gate.pipe(client)
    client.on('close', () => gate.destroy())
    gate.on('close', () => client.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port')
  return {
    port: address.port,
    heard: () => Buffer.concat(pieces),
    said: () => Buffer.concat(sent),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
