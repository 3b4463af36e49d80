import fc from 'fast-check'
import { describe as describeSql } from '../../packages/connectors/src/postgres/describe.ts'
import { statement } from './grammar.ts'
import { dressed, mutated, readSeeds } from './mutation.ts'
import { read } from './oracle.ts'

const order = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']
/** The parser's own limit is 1 s, and 3 s for long texts. */
const answerMaxMs = 8_000

/** What the gate makes of a text: the gravest of its operations. */
async function kindOf(sql: string): Promise<string> {
  const startedMs = performance.now()
  const operations = await describeSql({ sql })
  if (performance.now() - startedMs > answerMaxMs) throw new Error(`took ${Math.round(performance.now() - startedMs)} ms`)
  if (operations.length === 0) throw new Error('nothing was answered')
  return operations.reduce(
    (worst, { impact }) => (order.indexOf(impact.kind) > order.indexOf(worst) ? impact.kind : worst),
    'read',
  )
}

/** Why the verdict on a text is wrong; null when it may be right. */
async function whyWrong(sql: string): Promise<string | null> {
  const kind = await kindOf(sql)
  const { parses, changes } = read(sql)
  if (!parses) return kind === 'unknown' ? null : `PostgreSQL can not read it, and it is called ${kind}`
  return changes !== null && kind === 'read' ? `it holds ${changes}, and is called a read` : null
}

export interface Property {
  readonly name: string
  /** Of all inputs. */
  readonly share: number
  readonly property: () => fc.IAsyncProperty<[unknown]>
}

function holds(texts: fc.Arbitrary<string>): () => fc.IAsyncProperty<[unknown]> {
  return () =>
    fc.asyncProperty(texts, async (sql) => {
      const why = await whyWrong(sql)
      if (why !== null) throw new Error(why)
    })
}

const seeds = readSeeds()
const anything = fc.oneof(fc.string({ unit: 'binary', maxLength: 120 }), fc.string({ unit: 'grapheme', maxLength: 120 }))

export const properties: readonly Property[] = [
  { name: 'pieces of grammar', share: 0.4, property: holds(statement) },
  { name: 'mutated statements', share: 0.35, property: holds(mutated(seeds)) },
  {
    name: 'the same in another dress',
    share: 0.2,
    property: () =>
      fc.asyncProperty(dressed(fc.oneof(statement, fc.constantFrom(...seeds))), async ([plain, other]) => {
        const [before, after] = [read(plain), read(other)]
        if (!before.parses || before.shape !== after.shape) return
        const [kind, dressedKind] = [await kindOf(plain), await kindOf(other)]
        if (order.indexOf(dressedKind) < order.indexOf(kind)) throw new Error(`${kind} became ${dressedKind}`)
      }),
  },
  { name: 'any characters', share: 0.05, property: holds(anything) },
]
