import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'

/** The command itself, with all its acts; drill-acts.prove.test.ts plays those that need no copy of a whole server. */
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
/** An act that did not end as it had to makes the command fail; the acts then say which. */
const failedShape = z.object({ stdout: z.string().min(1) })
let acts: z.infer<typeof actShape>[] = []

beforeAll(async () => {
  const { stdout } = await run(process.execPath, [launcher, 'drill', 'incident', '--json', '--keep', kept], {
    timeout: 900_000,
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: unknown) => failedShape.parse(error))
  acts = stdout
    .trim()
    .split('\n')
    .map((line) => actShape.parse(JSON.parse(line)))
})
afterAll(() => rmSync(join(kept, '..'), { recursive: true, force: true }))

const find = (words: string): z.infer<typeof actShape> => {
  const act = acts.find((one) => one.act.includes(words))
  if (act === undefined) throw new Error(`no act is called "${words}"`)
  return act
}

describe('drill incident', () => {
  it('ends every act as expected, curl and psql playing the agent', () => {
    expect(acts).toHaveLength(17)
    for (const { act, observed, expected } of acts) expect({ act, observed }).toEqual({ act, observed: expected })
    expect(acts.filter(({ client }) => client === 'psql').length).toBeGreaterThanOrEqual(4)
    expect(acts.filter(({ client }) => client === 'curl').length).toBeGreaterThanOrEqual(4)
  })

  it('plays the incident itself, in its order, before anything else', () => {
    const order = [
      'finds a token',
      'its own handle',
      'has the volume copied',
      'wider scope',
      'cancels while it cools off',
      'nobody cancels',
      'brought back',
    ]
    order.forEach((words, index) => expect(acts[index]?.act).toContain(words))
    expect(find('finds a token').evidence).toMatchObject({ httpStatus: 403, requestsAtCloud: 0, place: 'header authorization' })
    expect(find('wider scope').evidence).toMatchObject({ rowsCounted: 184_000, approvalsNeeded: 1, deletionsAtCloud: 0 })
    expect(find('wider scope').evidence['shown']).toContain(`this volume carries production's database`)
    expect(find('cancels while it cools off').evidence).toMatchObject({
      state: 'cancelled',
      deletionsAtCloud: 0,
      dataThere: true,
    })
    const run = find('nobody cancels').evidence
    expect(run).toMatchObject({ rowsCopied: 184_000, deletionsAtCloud: 1, dataThere: false, serverAnswers: false })
    expect(Number(run['msAfterDue'])).toBeGreaterThanOrEqual(0)
    const tables = Object.values(find('brought back').evidence).filter((fact) => String(fact).endsWith(', before and after'))
    expect(tables).toHaveLength(8)
  })

  it('has evidence from outside the gate', () => {
    expect(find('asks for production').evidence['bytesToServer']).toBe(0)
    const drop = find('drops the orders').evidence
    expect(drop['sqlState']).toBe('SP001')
    expect(drop['rowsShown']).toBe(drop['rowsCounted'])
    const undone = acts.find(({ act }) => act === 'undo')?.evidence
    expect(undone?.['before']).toBe(undone?.['after'])
    expect(find('kill switch').evidence['bytesAfterKill']).toBe(0)
  })

  it('does not claim to stop what it does not stop', () => {
    expect(find('around the gate').observed).toBe('not stopped by this set-up')
  })

  it('leaves log and vault so that each claim can be checked again with no gate running', async () => {
    const log = await run(process.execPath, [launcher, 'log', 'verify', kept, '--require-witness', '--json'])
    expect(JSON.parse(log.stdout)).toMatchObject({ ok: true, findings: [] })
    const vault = await run(process.execPath, [launcher, 'vault', 'verify', join(kept, 'vault')])
    expect(vault.stdout).toMatch(/\S/)
    const [from = 0, to = 0] = find('nobody cancels').eventIndexes
    const words = ['log', 'show', kept, '--from', String(from), '--count', String(to - from + 1), '--json']
    const shown = (await run(process.execPath, [launcher, ...words])).stdout
    const places = ['"snapshot.sealed"', '"intent"', '"outcome"'].map((type) => shown.indexOf(type))
    expect(places.every((place) => place >= 0)).toBe(true)
    expect(places).toEqual(places.toSorted((left, right) => left - right))
  })

  it('neither the stray token nor the gate’s own is on the log', () => {
    const last = acts.at(-1)?.evidence ?? {}
    const found = Object.entries(last).filter(([name]) => name.endsWith('token is in it'))
    expect(found.map(([, isThere]) => isThere)).toEqual([false, false])
  })
})
