import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Intake } from './intake.ts'

/** A socket read by an intake, and the other end of it. */
async function open(): Promise<{ readonly intake: Intake; readonly socket: Socket; readonly other: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  const intake = new Intake()
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const socket = connect({ host: '127.0.0.1', port: address.port, onread: intake.options })
  intake.attach(socket)
  const other = await accepted
  onTestFinished(() => {
    socket.destroy()
    other.destroy()
    server.close()
  })
  return { intake, socket, other }
}

test('memory is read into again only when its reader says that it keeps nothing of it', async () => {
  const { intake, socket, other } = await open()
  const chunks: Buffer[] = []
  const keeps = [true, false, false]
  socket.on('data', () => chunks.push(Buffer.alloc(0)))
  intake.deliver((chunk) => !(keeps[chunks.push(chunk) - 1] ?? false))
  for (const [index, text] of ['kept', 'once', 'more'].entries()) {
    other.write(text)
    await vi.waitFor(() => expect(chunks).toHaveLength(index + 1))
  }
  const [kept, once, more] = chunks
  expect(kept?.toString()).toBe('kept')
  expect(once?.toString()).toBe('more')
  expect(once?.buffer).toBe(more?.buffer)
  expect(kept?.buffer).not.toBe(once?.buffer)
})

test('without a direct reader, while paused, and behind what is buffered, bytes are the stream’s own and in order', async () => {
  const { intake, socket, other } = await open()
  const seen: string[] = []
  other.write('before ')
  await vi.waitFor(() => expect(socket.readableLength).toBe(7))
  intake.deliver((chunk) => {
    seen.push(chunk.toString())
    return true
  })
  socket.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
  other.write('then ')
  await vi.waitFor(() => expect(seen.join('')).toBe('before then '))
  socket.pause()
  other.write('paused ')
  other.write('still ')
  socket.resume()
  other.write('after')
  await vi.waitFor(() => expect(seen.join('')).toBe('before then paused still after'))
})

test('a long stream arrives whole, kept in part, in whatever pieces it is read', async () => {
  const { intake, socket, other } = await open()
  const sent = Buffer.alloc(3_000_000)
  for (let at = 0; at + 4 <= sent.length; at += 4) sent.writeUInt32BE(at, at)
  const kept: Buffer[] = []
  const seen: Buffer[] = []
  let count = 0
  socket.on('data', (chunk: Buffer) => seen.push(chunk))
  intake.deliver((chunk) => {
    count += 1
    const isKept = count % 3 === 0
    seen.push(isKept ? chunk : Buffer.from(chunk))
    if (isKept) kept.push(chunk)
    return !isKept
  })
  for (let at = 0; at < sent.length; at += 30_000) other.write(sent.subarray(at, at + 30_000))
  await vi.waitFor(() => expect(seen.reduce((sum, { length }) => sum + length, 0)).toBe(sent.length))
  expect(Buffer.concat(seen).equals(sent)).toBe(true)
  expect(kept.length).toBeGreaterThan(0)
})
