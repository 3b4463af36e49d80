import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { makeDescribers } from '../packages/connectors/src/index.ts'

const effect = z.enum(['read', 'write', 'ddl', 'admin', 'security', 'destructive'])
/** A labelled request, as tests/cases/http-*.jsonl hold them. */
const caseShape = z.object({
  id: z.string(),
  /** `other`: a host whose API nobody here reads. */
  provider: z.enum(['railway', 'other']),
  method: z.string(),
  url: z.string(),
  headers: z.record(z.string(), z.string()).optional(),
  body: z.string().nullish(),
  effect,
  irreversible: z.boolean(),
  also_ok: z.array(effect),
  opaque: z.boolean(),
})
type Case = z.infer<typeof caseShape>

const order = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']
const mild = new Set(['read', 'write', 'ddl'])

function readCases(name: string): readonly Case[] {
  return readFileSync(fileURLToPath(new URL(`./cases/${name}`, import.meta.url)), 'utf8')
    .trim()
    .split('\n')
    .map((line) => caseShape.parse(JSON.parse(line)))
}

interface Judged {
  readonly label: Case
  readonly kind: string
  readonly reversible: boolean
}

async function judge(label: Case): Promise<Judged> {
  const { method, url, headers, body } = label
  const operations = await makeDescribers().describe('http', {
    method,
    url,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body }),
  })
  const kind = operations.reduce(
    (worst, { impact }) => (order.indexOf(impact.kind) > order.indexOf(worst) ? impact.kind : worst),
    'read',
  )
  return { label, kind, reversible: operations.every(({ impact }) => impact.reversible) }
}

const labelsOf = ({ label }: Judged): string[] => [label.effect, ...label.also_ok]
const isCalledMild = ({ kind }: Judged): boolean => kind === 'read' || kind === 'write'
const isDangerous = (one: Judged): boolean => labelsOf(one).every((name) => !mild.has(name))
const isBenign = (one: Judged): boolean =>
  labelsOf(one).every((name) => mild.has(name)) && !one.label.irreversible && !one.label.opaque
const idOf = ({ label }: Judged): string => label.id

describe('labelled requests to Railway', () => {
  for (const [file, least] of [
    ['http-railway.jsonl', 50],
    ['http-railway-own.jsonl', 80],
    ['http-railway-blind.jsonl', 150],
  ] as const) {
    test(`${file}: nothing dangerous missed, nothing irreversible called reversible, at most 3 % false alarms`, async () => {
      const cases = readCases(file)
      expect(cases.length).toBeGreaterThanOrEqual(least)
      const judged = await Promise.all(cases.map(judge))
      const benign = judged.filter(isBenign)
      const falseAlarms = benign.filter((one) => !isCalledMild(one))
      const rate = (100 * falseAlarms.length) / benign.length
      console.log(
        `${file}: ${cases.length} cases, ${judged.filter(isDangerous).length} dangerous, false alarms ${falseAlarms.length} of ${benign.length} (${rate.toFixed(1)} %)`,
      )
      expect(judged.filter((one) => isDangerous(one) && isCalledMild(one)).map(idOf)).toEqual([])
      expect(judged.filter(({ label, reversible }) => label.irreversible && reversible).map(idOf)).toEqual([])
      expect(rate, falseAlarms.map(idOf).join(', ')).toBeLessThanOrEqual(3)
      // calling everything grave would pass the first two: what is mild by every label must be among the cases
      expect(benign.length).toBeGreaterThan(10)
    })
  }

  test('a host whose API nobody described is unknown, whatever is sent to it', async () => {
    const others = readCases('http-railway-blind.jsonl').filter(({ provider }) => provider === 'other')
    const judged = await Promise.all(others.map(judge))
    expect(judged.map(({ kind, reversible }) => [kind, reversible])).toEqual(others.map(() => ['unknown', false]))
    expect(others.length).toBeGreaterThan(5)
  })
})
