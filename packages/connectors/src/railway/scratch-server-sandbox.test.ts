import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeScratchCluster } from './scratch-server-cluster.ts'
import { findSandbox } from './scratch-server-sandbox.ts'
import { findScratchUser, makeScratchPlace, removeScratch, startScratchServer, type ScratchServer } from './scratch-server.ts'

const sandbox = findSandbox(findScratchUser())
const place = makeScratchPlace()
const secrets = mkdtempSync(join(tmpdir(), 'sp-secrets-'))
let server: ScratchServer
let listener: Server
let port = 0

beforeAll(async () => {
  writeFileSync(join(secrets, 'credential'), 'hunter2\n', { mode: 0o600 })
  listener = createServer((socket) => socket.end('a service of this machine\n')).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  port = typeof address === 'object' && address !== null ? address.port : 0
  await makeScratchCluster(place, 15, { encoding: 'UTF8', collate: 'C', ctype: 'C', icu: null })
  server = await startScratchServer({ place, superuser: 'postgres', database: 'postgres', remove: true })
  await server.ask('CREATE TABLE public.said (line text)')
}, 120_000)
afterAll(async () => {
  await server.stop()
  listener.close()
  removeScratch(place)
  rmSync(secrets, { recursive: true, force: true })
})

/** What a copied database's own code could do at most: run a program as the server's superuser. */
async function runInside(command: string): Promise<string> {
  await server.ask('TRUNCATE public.said')
  await server.ask(
    `COPY public.said FROM PROGRAM '${command.replaceAll("'", "''")}' WITH (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')`,
  )
  return (await server.ask('SELECT line FROM public.said')).map(([line]) => line ?? '').join('\n')
}

// Tests run as root on the machines that count; elsewhere the same holds as far as the machine lets it.
describe(`code of a copied database in a scratch server (${sandbox.kind})`, () => {
  it('can gain no rights, and has none where root started it', async () => {
    const status = await runInside('cat /proc/self/status')
    expect(status).toContain('NoNewPrivs:\t1')
    if (sandbox.kind !== 'other user') return
    expect(status).toMatch(/CapBnd:\t0+$/m)
    expect(status).not.toMatch(/^Uid:\t0\t/m)
    expect(await runInside(`cat ${secrets}/credential 2>&1 || true`)).toMatch(/denied/i)
  })

  it.runIf(sandbox.isKept)('reaches no network and sees no other process', async () => {
    const knock = `(exec 3<>/dev/tcp/127.0.0.1/${port} && cat <&3) 2>&1 || echo closed`
    expect(await runInside(`bash -c "${knock}"`)).toContain('closed')
    const seen = (await runInside('ls /proc')).split('\n').filter((name) => /^\d+$/.test(name))
    expect(seen.length).toBeGreaterThan(0)
    expect(seen).not.toContain(String(process.pid))
    for (const pid of seen)
      expect(await runInside(`cat /proc/${pid}/comm 2>/dev/null || true`)).toMatch(/^(postgres|sh|ls|cat|)$/)
  })

  it('is gone with whoever started it, however that one ended', async () => {
    const other = makeScratchPlace()
    await makeScratchCluster(other, 15, { encoding: 'UTF8', collate: 'C', ctype: 'C', icu: null })
    const second = await startScratchServer({ place: other, superuser: 'postgres', database: 'postgres', remove: true })
    const guardian = second.guardianPid
    expect(readFileSync(`/proc/${guardian}/cmdline`, 'utf8')).toContain('guardian')
    process.kill(guardian, 'SIGKILL')
    const isUp = (): Promise<boolean> =>
      second.ask('SELECT 1').then(
        () => true,
        () => false,
      )
    await expect.poll(isUp, { timeout: 30_000 }).toBe(false)
    await second.stop()
    removeScratch(other)
  })
})
