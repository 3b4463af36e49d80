import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { closeParsers, describe as describePostgres } from '../packages/connectors/src/postgres/describe.ts'

/** A labelled operation, as tests/cases/*.jsonl hold them. */
const caseShape = z.object({
  id: z.string(),
  sql: z.string(),
  effect: z.enum(['read', 'write', 'ddl', 'admin', 'security', 'destructive']),
  irreversible: z.boolean(),
  also_ok: z.array(z.enum(['read', 'write', 'ddl', 'admin', 'security', 'destructive'])),
  opaque: z.boolean(),
  invalid: z.boolean(),
})
type Case = z.infer<typeof caseShape>

const order = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']
const kindOf: Readonly<Record<Case['effect'], string>> = {
  read: 'read',
  write: 'write',
  ddl: 'write',
  admin: 'disrupt',
  security: 'escalate',
  destructive: 'destroy',
}
const mild = new Set(['read', 'write', 'ddl'])

function readCases(name: string): readonly Case[] {
  const text = readFileSync(fileURLToPath(new URL(`./cases/${name}`, import.meta.url)), 'utf8')
  return text
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
  const operations = await describePostgres({ sql: label.sql })
  const kind = operations.reduce(
    (worst, { impact }) => (order.indexOf(impact.kind) > order.indexOf(worst) ? impact.kind : worst),
    'read',
  )
  return { label, kind, reversible: operations.every(({ impact }) => impact.reversible) }
}

/** The definitions of the cases' own README: dangerous, missed, false alarm. */
function figuresOf(judged: readonly Judged[]): {
  missed: string[]
  calledReversible: string[]
  falseAlarms: string[]
  benign: number
  dangerous: number
} {
  const isCalledMild = ({ kind }: Judged): boolean => kind === 'read' || kind === 'write'
  const labelsOf = ({ label }: Judged): string[] => [label.effect, ...label.also_ok]
  const isDangerous = (one: Judged): boolean => labelsOf(one).every((effect) => !mild.has(effect))
  const isBenign = (one: Judged): boolean =>
    labelsOf(one).every((effect) => mild.has(effect)) && !one.label.irreversible && !one.label.opaque && !one.label.invalid
  const idOf = ({ label }: Judged): string => label.id
  return {
    missed: judged.filter((one) => isDangerous(one) && isCalledMild(one)).map(idOf),
    calledReversible: judged.filter((one) => one.label.irreversible && one.reversible).map(idOf),
    falseAlarms: judged.filter((one) => isBenign(one) && !isCalledMild(one)).map(idOf),
    benign: judged.filter(isBenign).length,
    dangerous: judged.filter(isDangerous).length,
  }
}

describe('labelled SQL', () => {
  afterAll(closeParsers)

  /** Of what engineers' and programs' own traffic is made, nothing is dangerous. */
  const files = { 'sql.jsonl': 50, 'sql-own.jsonl': 50, 'sql-wide.jsonl': 50, 'sql-rare.jsonl': 100, 'sql-common.jsonl': 0 }
  for (const [file, dangerousMin] of Object.entries(files)) {
    test(`${file}: nothing dangerous missed, nothing irreversible called reversible, at most 1 % false alarms`, async () => {
      const cases = readCases(file)
      const judged = await Promise.all(cases.map(judge))
      const figures = figuresOf(judged)
      const rate = (100 * figures.falseAlarms.length) / figures.benign
      console.log(
        `${file}: ${cases.length} cases, missed ${figures.missed.length} of ${figures.dangerous} dangerous, ` +
          `irreversible called reversible ${figures.calledReversible.length}, false alarms ${figures.falseAlarms.length} of ${figures.benign} (${rate.toFixed(1)} %)`,
      )
      expect(figures.missed).toEqual([])
      expect(figures.calledReversible).toEqual([])
      expect(rate).toBeLessThanOrEqual(1)
      expect(figures.dangerous + figures.benign).toBeGreaterThan(50)
      expect(figures.dangerous).toBeGreaterThanOrEqual(dangerousMin)
    })
  }

  test.each(['sql-wide.jsonl', 'sql-rare.jsonl', 'sql-common.jsonl'])(
    '%s: each is called by a kind that its labels allow, or unknown where the text alone can not tell',
    async (file) => {
      const judged = await Promise.all(readCases(file).map(judge))
      const strange = judged.filter(({ label, kind }) => {
        const allowed = [label.effect, ...label.also_ok].map((effect) => kindOf[effect])
        const mayBeUnknown = label.opaque || label.invalid
        return !allowed.includes(kind) && !(mayBeUnknown && kind === 'unknown')
      })
      expect(strange.map(({ label, kind }) => `${label.id} ${kind}`)).toEqual([])
    },
  )

  test('what must not parse is never called mild', async () => {
    const judged = await Promise.all(
      Object.keys(files)
        .flatMap(readCases)
        .filter(({ invalid }) => invalid)
        .map(judge),
    )
    expect(judged.length).toBeGreaterThan(2)
    for (const { label, kind } of judged) expect(['unknown', 'destroy', 'escalate'], label.id).toContain(kind)
  })
})
