import { createServer } from 'node:tls'
import { openAuthority } from '../../packages/gateway/src/authority/index.ts'
import { parseArgs } from 'node:util'

/** What all paths lead to: TLS, and the same 1 KiB for every request. Prints its port and the authority to trust. */
const { values } = parseArgs({ options: { folder: { type: 'string' }, host: { type: 'string' } } })
const authority = await openAuthority(values.folder ?? '', { nowMs: () => Date.now() })
const leaf = await authority.issue(values.host ?? '')
const body = JSON.stringify({ data: { padding: 'x'.repeat(1_000) } })
const answer = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
const blankLine = Buffer.from('\r\n\r\n')
const server = createServer({ key: leaf.key, cert: leaf.certificate }, (socket) => {
  socket.setNoDelay(true)
  socket.on('error', () => undefined)
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (;;) {
      const end = rest.indexOf(blankLine)
      const length = end === -1 ? -1 : Number(/content-length: (\d+)/i.exec(rest.toString('latin1', 0, end))?.[1] ?? 0)
      if (end === -1 || rest.length < end + 4 + length) return
      rest = rest.subarray(end + 4 + length)
      socket.write(answer)
    }
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(
    JSON.stringify({
      port: typeof address === 'object' && address !== null ? address.port : 0,
      authority: authority.certificate,
    }),
  )
})
process.once('SIGTERM', () => process.exit(0))
