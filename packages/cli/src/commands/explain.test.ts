import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { explainLine, splitLines, summarize } from './explain.ts'
import { inDepth } from '../../../../tests/breadth.ts'

const line = z.strictObject({
  id: z.json(),
  kind: z.enum(['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']),
  reversible: z.boolean(),
  operations: z.array(
    z.strictObject({
      action: z.string(),
      kind: z.string(),
      reversible: z.boolean(),
      resources: z.array(z.strictObject({ type: z.string(), name: z.string() })),
      why: z.string(),
    }),
  ),
  why: z.string(),
})

/** Runs the command alone, as `sallyport explain` does. */
async function run(
  words: readonly string[],
  input: Uint8Array | string,
): Promise<{ readonly code: number | null; readonly out: string; readonly error: string }> {
  const module = fileURLToPath(new URL('./explain.ts', import.meta.url))
  const program = `const { makeCommand } = await import(${JSON.stringify(module)}); await makeCommand().parseAsync(process.argv.slice(1), { from: 'user' })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, '--', ...words], { stdio: 'pipe' })
  let out = ''
  let error = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (error += chunk))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, out, error }
}

const linesOf = (out: string): z.infer<typeof line>[] =>
  out
    .split('\n')
    .slice(0, -1)
    .map((text) => line.parse(JSON.parse(text)))

async function* chunked(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
}

describe('sallyport explain', () => {
  test('one line out for each in, in order, whatever is in it; exit 0', async () => {
    const input = Buffer.concat([
      Buffer.from('{"id":1,"sql":"SELECT 1"}\n\nnot json\n{"id":"x"}\n'),
      Buffer.from([0xff, 0xfe, 10]),
      Buffer.from(
        '[1]\nnull\n"DROP TABLE x"\n{"id":{"deep":[1]},"sql":"DROP TABLE t"}\n{"id":3,"sql":5}\n{"id":4,"sql":"\\ud800"}\n{"id":5,"sql":"DELETE FROM t"}',
      ),
    ])
    const { code, out } = await run(['--protocol', 'postgres', '--jsonl'], input)
    expect(code).toBe(0)
    const results = linesOf(out)
    expect(results.map(({ id }) => id)).toEqual([1, null, null, 'x', null, null, null, null, { deep: [1] }, 3, 4, 5])
    expect(results.map(({ kind }) => kind)).toEqual([
      'read',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'destroy',
      'unknown',
      'unknown',
      'destroy',
    ])
    expect(results.filter(({ kind }) => kind === 'unknown').every(({ reversible }) => !reversible)).toBe(true)
  })

  test('the development cases keep their order and their ids', async () => {
    const input = readFileSync(fileURLToPath(new URL('../../../../tests/cases/sql.jsonl', import.meta.url)), 'utf8')
    const { code, out } = await run(['--protocol', 'postgres', '--jsonl'], input)
    expect(code).toBe(0)
    const ids = input
      .trim()
      .split('\n')
      .map((text) => z.looseObject({ id: z.string() }).parse(JSON.parse(text)).id)
    expect(linesOf(out).map(({ id }) => id)).toEqual(ids)
  })

  test.each(inDepth('thousands of lines are quick'))('%s', async () => {
    const input = Array.from({ length: 5_000 }, (_, index) =>
      JSON.stringify({ id: index, sql: `SELECT a, b FROM t JOIN u USING (id) WHERE t.id = ${index}` }),
    ).join('\n')
    const started = performance.now()
    const { code, out } = await run(['--protocol', 'postgres', '--jsonl'], input)
    expect(code).toBe(0)
    expect(linesOf(out).map(({ id }) => id)).toEqual(Array.from({ length: 5_000 }, (_, index) => index))
    // one core would do it in less than a second; the bound leaves room for a busy machine
    expect(performance.now() - started).toBeLessThan(60_000)
  })

  test('a line past the bound is unknown and the next one is read', async () => {
    const bytes = Buffer.from(`${'x'.repeat(5_000)}\nshort\n${'y'.repeat(100)}`)
    for (const size of [1, 7, 100, 10_000]) {
      const lines: (string | null)[] = []
      for await (const piece of splitLines(chunked(bytes, size), 50))
        lines.push(piece === null ? null : Buffer.from(piece).toString())
      expect(lines).toEqual([null, 'short', null])
    }
  })

  test('a text as an argument, in words and as JSON', async () => {
    const words = await run(['--protocol', 'postgres', 'DROP TABLE "a\u202eb"; SELECT 1'], '')
    expect(words.code).toBe(0)
    expect(words.out).toContain('destroy, not reversible')
    expect(words.out).not.toContain('\u202e')
    const json = await run(['--protocol', 'postgres', '--json'], 'UPDATE t SET a = 1 WHERE id = 2')
    expect(line.parse(JSON.parse(json.out))).toMatchObject({ id: null, kind: 'write', reversible: true })
  })

  test('a connector that fails makes the line unknown', async () => {
    const failing = (): Promise<never> => Promise.reject(new Error('boom'))
    expect(await explainLine(Buffer.from('{"id":1,"sql":"SELECT 1"}'), 'postgres', failing)).toMatchObject({
      id: 1,
      kind: 'unknown',
      reversible: false,
    })
    expect(summarize(1, [])).toMatchObject({ kind: 'unknown', reversible: false })
  })

  test('an HTTP request is read by the connector of its host, as a line and as a text', async () => {
    const request = (url: string): string =>
      JSON.stringify({
        id: 'x',
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json' },
        body: '{"query":"mutation { volumeDelete(volumeId: \\"v1\\") }"}',
        effect: 'a label is not read',
      })
    const known = request('https://backboard.railway.com/graphql/v2')
    const { out } = await run(
      ['--protocol', 'http', '--jsonl'],
      `${known}\n${request('https://api.example.com/graphql/v2')}\n{}\n`,
    )
    expect(linesOf(out).map(({ id, kind, operations }) => [id, kind, operations[0]?.action])).toEqual([
      ['x', 'destroy', 'railway.volumeDelete'],
      ['x', 'unknown', 'http.unreadable'],
      [null, 'unknown', 'http.unreadable'],
    ])
    expect(linesOf(out)[0]?.operations[0]?.resources).toEqual([{ type: 'volume', name: 'v1' }])
    const text = await run(['--protocol', 'http', '--json'], known)
    expect(linesOf(text.out).map(({ kind, reversible }) => [kind, reversible])).toEqual([['destroy', false]])
  })

  test('an unknown protocol is an error of the command line', async () => {
    const { code, out } = await run(['--protocol', 'cobol', '--jsonl'], '{"id":1}\n')
    expect(code).not.toBe(0)
    expect(out).toBe('')
  })
})
