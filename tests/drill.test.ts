import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'

const run = promisify(execFile)
const launcher = new URL('../packages/cli/bin/sallyport.js', import.meta.url).pathname
const kept = join(mkdtempSync(join(tmpdir(), 'sallyport-drill-test-')), 'kept')
const actShape = z.object({
  act: z.string(),
  expected: z.string(),
  observed: z.string(),
  client: z.string(),
  milliseconds: z.number(),
  eventIndexes: z.array(z.number()),
  evidence: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  matches: z.boolean(),
})
let acts: z.infer<typeof actShape>[] = []

beforeAll(async () => {
  const { stdout } = await run(process.execPath, [launcher, 'drill', 'incident', '--json', '--keep', kept], {
    timeout: 120_000,
    maxBuffer: 64 * 1024 * 1024,
  })
  acts = stdout
    .trim()
    .split('\n')
    .map((line) => actShape.parse(JSON.parse(line)))
}, 120_000)
afterAll(() => rmSync(join(kept, '..'), { recursive: true, force: true }))

describe('drill incident', () => {
  it('ends every act as expected, psql playing the agent', () => {
    expect(acts).toHaveLength(10)
    for (const { act, observed, expected } of acts) expect({ act, observed }).toEqual({ act, observed: expected })
    expect(acts.filter(({ client }) => client === 'psql').length).toBeGreaterThanOrEqual(4)
  })

  it('has evidence from outside the gate', () => {
    expect(acts[0]?.evidence['bytesToServer']).toBe(0)
    expect(acts[1]?.evidence['sqlState']).toBe('SP001')
    expect(acts[1]?.evidence['rowsShown']).toBe(acts[1]?.evidence['rowsCounted'])
    expect(acts[4]?.evidence['before']).toBe(acts[4]?.evidence['after'])
    expect(acts.find(({ act }) => act.includes('kill switch'))?.evidence['bytesAfterKill']).toBe(0)
  })

  it('does not claim to stop what it does not stop', () => {
    expect(acts.find(({ act }) => act.includes('around the gate'))?.observed).toBe('not stopped by this set-up')
  })

  it('leaves log and vault so that each claim can be checked again with no gate running', async () => {
    const log = await run(process.execPath, [launcher, 'log', 'verify', kept, '--require-witness', '--json'])
    expect(JSON.parse(log.stdout)).toMatchObject({ ok: true, findings: [] })
    const vault = await run(process.execPath, [launcher, 'vault', 'verify', join(kept, 'vault')])
    expect(vault.stdout).toMatch(/\S/)
    const shown = await run(process.execPath, [
      launcher,
      'log',
      'show',
      kept,
      '--from',
      String(acts[3]?.eventIndexes[0] ?? 0),
      '--count',
      '20',
      '--json',
    ])
    expect(shown.stdout).toContain('"intent"')
  })
})
