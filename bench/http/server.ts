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
  let half = false
  socket.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(blankLine); at !== -1; at = chunk.indexOf(blankLine, at + 4)) socket.write(answer)
    half = chunk.indexOf(blankLine, chunk.length - 4) === -1
    if (half) socket.destroy()
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
