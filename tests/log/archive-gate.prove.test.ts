import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeEntry, decodeEntryBundle, noteSigner, openCheckpoint, tileWidth, type Event } from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { wallClock } from '../../packages/gateway/src/access/clock.ts'
import { openLog } from '../../packages/gateway/src/log/file-log.ts'
import { findProgram } from '../fakes/programs.ts'
import { startGate, type TestGate } from '../servers/gate.ts'

/**
 * A whole gate and its vault: what `log:` in the configuration says is done by the gate while it runs, without anybody asking; and what is left, and can be
 * shown, when the gate's disk is lost. What a vault and a log do alone is in archive.prove.test.ts.
 */
const program = findProgram('cli')
const old = 2_000
const dayMs = 86_400_000
const reportShape = z.object({
  ok: z.boolean(),
  size: z.number(),
  findings: z.array(z.looseObject({ kind: z.string() })),
  information: z.array(z.looseObject({ kind: z.string() })),
})
const rangeShape = z.object({ first: z.number(), next: z.number(), snapshot: z.string(), vault: z.string() })
let gate: TestGate
let lost = ''

const event = (place: number): Event => ({
  type: 'statement',
  atMs: Date.now() - 200 * dayMs,
  session: place < 100 ? 'first-session' : 'later-session',
  agent: 'coder',
  data: { place, note: 'x'.repeat(100) },
})

async function run(...words: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly said: string }> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], { maxBuffer: 64 << 20 }, (error, out, said) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, said }),
    )
  })
}
const verify = async (place: string): Promise<z.infer<typeof reportShape>> =>
  reportShape.parse(JSON.parse((await run('log', 'verify', place, '--json')).out))
const dropped = (): readonly z.infer<typeof rangeShape>[] =>
  gate.events().flatMap(({ type, data }) => (type === 'log.dropped' ? [rangeShape.parse(data)] : []))

/** Half a year of entries, in the gate's own log, by its own key, while it does not run. Small files stand for those of 64 MiB. */
async function fill(): Promise<void> {
  const origin = openCheckpoint(readFileSync(join(gate.directory, 'log', 'checkpoint'), 'utf8'), []).checkpoint.origin
  const signer = noteSigner(origin, Buffer.from(readFileSync(join(gate.directory, 'log.key'), 'utf8').trim(), 'hex'))
  const directory = join(gate.directory, 'log')
  const log = await openLog({ directory, signer, clock: wallClock, witness: null, segmentBytesMax: 100_000 })
  for (let place = 0; place < old; place += 100)
    await Promise.all(Array.from({ length: 100 }, (_, more) => log.append(event(place + more))))
  await log.close()
}

beforeAll(async () => {
  lost = mkdtempSync(join(tmpdir(), 'sp-lost-'))
  const log = { archiveAfter: '90d', archiveFor: '3650d', dropArchived: true }
  gate = await startGate({ postgres: null, agents: {}, log })
  await gate.halt()
  await fill()
  // The first has it witnessed, the second looks for what is due.
  await gate.start()
  await gate.halt()
  await gate.start()
}, 120_000)
afterAll(async () => {
  await gate.stop()
  rmSync(lost, { recursive: true, force: true })
})

describe('a gate whose configuration archives its log', { timeout: 120_000 }, () => {
  it('seals old entries into its vault and drops them, by itself, and leaves young ones alone', async () => {
    await expect.poll(() => dropped().length, { timeout: 60_000 }).toBeGreaterThan(2)
    const first = readdirSync(join(gate.directory, 'log', 'entries')).sort()[0] ?? ''
    const end = dropped().at(-1)?.next ?? 0
    expect(Number(/\d+/.exec(first)?.[0])).toBe(end)
    expect([end > 1_000, end < old]).toEqual([true, true])
    expect(gate.events().filter(({ type, data }) => type === 'alarm' && data['kind'] === 'log_archive')).toEqual([])
  })

  it('is verified whole once it has ended, and gives an old entry back by recall', async () => {
    await gate.halt()
    const { ok, findings, information } = await verify(gate.directory)
    expect({ ok, findings }).toEqual({ ok: true, findings: [] })
    expect(information.map(({ kind }) => kind)).toContain('archived')
    const search = ['log', 'search', gate.directory, '--session', 'first-session', '--json'] as const
    expect((await run(...search)).out).toBe('')
    expect(await run('log', 'recall', gate.directory)).toMatchObject({ code: 0 })
    expect((await run(...search)).out.trim().split('\n')).toHaveLength(100)
    rmSync(join(gate.directory, 'log', 'recalled'), { recursive: true })
  })
})

describe('when the gate’s disk is lost', { timeout: 120_000 }, () => {
  it('the vault alone gives every archived entry back, as it was written', async () => {
    const [range] = dropped()
    if (range === undefined) throw new Error('nothing was dropped')
    // A copy of the log of before the last entries, as a backup would have it.
    cpSync(join(gate.directory, 'log'), join(lost, 'log'), { recursive: true })
    await gate.start()
    await gate.halt()
    renameSync(join(gate.directory, 'log'), join(lost, 'gone'))
    const to = join(lost, 'restored')
    const words = ['vault', 'restore', range.snapshot, '--to', to, '--dir', join(gate.directory, 'vault')]
    expect(await run(...words)).toMatchObject({ code: 0 })
    const files = readdirSync(to, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const entries = files
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((file) => file.includes('entries'))
      .sort()
      .flatMap((file) => decodeEntryBundle(readFileSync(file), tileWidth).map(decodeEntry))
    const places = entries.flatMap(({ type, data }) => (type === 'statement' ? [data['place']] : []))
    expect(places).toEqual(Array.from({ length: places.length }, (_, place) => place))
    expect(places.length).toBeGreaterThan(200)
  })

  it('a gate does not begin another log under the vault’s eyes, and `log verify` says that there is none', async () => {
    expect((await run('log', 'verify', gate.directory)).code).toBe(2)
    await expect(gate.start()).rejects.toThrow(/gate/)
    expect(readFileSync(join(gate.directory, 'logs', 'gate.log'), 'utf8')).toMatch(
      /The log has 0 entries, but the witness says it had \d+/,
    )
    rmSync(join(gate.directory, 'log'), { recursive: true, force: true })
  })

  it('an older copy of the log is told from the whole one by what the vault witnessed, and still recalls', async () => {
    cpSync(join(gate.directory, 'vault'), join(lost, 'vault'), { recursive: true })
    const behind = await verify(join(lost, 'log'))
    expect(behind.ok).toBe(false)
    expect(behind.findings.map(({ kind }) => kind)).toContain('truncated')
    expect(await run('log', 'recall', join(lost, 'log'))).toMatchObject({ code: 0 })
    const shown = await run('log', 'show', join(lost, 'log'), '--from', '300', '--count', '1', '--json')
    expect(JSON.parse(shown.out)).toMatchObject({ index: 300, type: 'statement' })
    expect(existsSync(join(lost, 'log', 'recalled'))).toBe(true)
  })

  it('the log itself, put back, is whole, and the gate goes on with it', async () => {
    renameSync(join(lost, 'gone'), join(gate.directory, 'log'))
    expect((await verify(gate.directory)).ok).toBe(true)
    await gate.start()
    expect(gate.events().at(-1)).toBeDefined()
  })
})
