import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** How the server's bytes reach the gate: in pieces of these lengths, over and over; null: as they come. */
export type Cuts = readonly number[] | null

export interface CuttingRelay {
  readonly port: number
  cuts: Cuts
  close(): Promise<void>
}

/** A relay in front of a server that hands the server's bytes on in other pieces than they came in. */
export async function startCuttingRelay(targetPort: number): Promise<CuttingRelay> {
  const sockets = new Set<Socket>()
  const relay = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => sockets.delete(socket))
    }
    client.on('data', (chunk: Buffer) => server.write(chunk))
    client.once('close', () => server.destroy())
    server.once('close', () => client.end())
    void handOn(server, client, () => made.cuts)
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  const address = relay.address()
  const made: CuttingRelay = {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    cuts: null,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => relay.close(resolve))
    },
  }
  return made
}

/** Each piece in a turn of its own, so that the kernel has a chance to hand it on alone. */
async function handOn(from: Socket, to: Socket, cuts: () => Cuts): Promise<void> {
  const waiting: Buffer[] = []
  let wake: () => void = () => undefined
  from.on('data', (chunk: Buffer) => {
    waiting.push(chunk)
    wake()
  })
  to.once('close', () => wake())
  let turn = 0
  while (!to.destroyed) {
    const chunk = waiting.shift()
    if (chunk === undefined) {
      await new Promise<void>((resolve) => (wake = resolve))
      continue
    }
    const lengths = cuts() ?? [chunk.length]
    for (let at = 0; at < chunk.length; turn += 1) {
      const length = Math.max(1, lengths[turn % lengths.length] ?? chunk.length)
      to.write(chunk.subarray(at, at + length))
      at += length
      await new Promise(setImmediate)
    }
  }
}
