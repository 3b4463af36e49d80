import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A relay in front of a server that can go silent: nothing more passes, nobody is told, and new connections hang, as when a cable is pulled. */
export interface SeveringRelay {
  readonly port: number
  sever(): void
  /** What hung is gone then, and what connects anew gets through. */
  mend(): void
  close(): Promise<void>
}

export async function startSeveringRelay(targetPort: number): Promise<SeveringRelay> {
  const sockets = new Set<Socket>()
  let severed = false
  const relay = createServer({ noDelay: true }, (client) => {
    const hold = (socket: Socket): void => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => sockets.delete(socket))
    }
    hold(client)
    if (severed) return void client.pause()
    const server = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
    hold(server)
    const pass = (to: Socket) => (chunk: Buffer) => {
      // What arrives while it is cut is lost; so is its connection, when the cable is back.
      if (!severed) to.write(chunk)
    }
    client.on('data', pass(server))
    server.on('data', pass(client))
    client.once('close', () => (severed ? undefined : server.destroy()))
    server.once('close', () => (severed ? undefined : client.destroy()))
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  const address = relay.address()
  const drop = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    sever: () => void (severed = true),
    mend: () => {
      drop()
      severed = false
    },
    close: async () => {
      drop()
      await new Promise((resolve) => relay.close(resolve))
    },
  }
}
