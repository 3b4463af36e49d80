import { createServer, type Socket } from 'node:net'
import { connect, createServer as createTls, type TLSSocket } from 'node:tls'
import { parseArgs } from 'node:util'
import { readFileSync } from 'node:fs'
import { openAuthority } from '../../packages/gateway/src/authority/index.ts'

/**
 * Interception written by hand, with nothing in it but itself: CONNECT, TLS ended, one header added, an own keep-alive pool upstream, the answer
 * passed on. It trusts every byte. What any interception in this runtime costs before it does anything.
 */
const { values } = parseArgs({
  options: { port: { type: 'string' }, host: { type: 'string' }, folder: { type: 'string' }, trust: { type: 'string' } },
})
const host = values.host ?? ''
const authority = await openAuthority(values.folder ?? '', { nowMs: () => Date.now() })
const leaf = await authority.issue(host)
const trusted = readFileSync(values.trust ?? '', 'utf8')
const idle: TLSSocket[] = []
const blankLine = Buffer.from('\r\n\r\n')
const credential = Buffer.from('authorization: Bearer real\r\n\r\n')

const terminator = createTls({ key: leaf.key, cert: leaf.certificate, ALPNProtocols: ['http/1.1'] }, (client) => {
  client.setNoDelay(true)
  client.on('error', () => undefined)
  client.on('data', (chunk: Buffer) => {
    const end = chunk.indexOf(blankLine)
    const request = Buffer.concat([chunk.subarray(0, end + 2), credential, chunk.subarray(end + 4)])
    const upstream = idle.pop()
    if (upstream !== undefined) return exchange(client, upstream, request)
    const opened = connect({ host: '127.0.0.1', port: Number(values.port), servername: host, ca: trusted })
    opened.setNoDelay(true)
    opened.once('secureConnect', () => exchange(client, opened, request))
    opened.on('error', () => client.destroy())
  })
})

function exchange(client: TLSSocket, upstream: TLSSocket, request: Buffer): void {
  let left = -1
  const pass = (chunk: Buffer): void => {
    if (left === -1) {
      const end = chunk.indexOf(blankLine)
      left = end + 4 + Number(/content-length: (\d+)/.exec(chunk.toString('latin1', 0, end))?.[1])
    }
    left -= chunk.length
    client.write(chunk)
    if (left > 0) return
    upstream.off('data', pass)
    idle.push(upstream)
  }
  upstream.on('data', pass)
  upstream.write(request)
}

const front = createServer({ noDelay: true }, (socket: Socket) => {
  socket.on('error', () => undefined)
  socket.once('data', () => {
    socket.pause()
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    terminator.emit('connection', socket)
  })
})
front.listen(0, '127.0.0.1', () => {
  const address = front.address()
  console.log(
    JSON.stringify({
      port: typeof address === 'object' && address !== null ? address.port : 0,
      authority: authority.certificate,
    }),
  )
})
process.once('SIGTERM', () => process.exit(0))
