import type { TableShape } from './catalog-shape.ts'

/** Why a table can't be copied and brought back whole, or null. A shape not covered is refused, never copied in part (DESIGN §7). */
export function whyNotCopied(shape: TableShape): string | null {
  const kind = whyNotOrdinary(shape)
  if (kind !== null) return `${shape.label} ${kind}`
  if (/^pg_|^information_schema$/.test(shape.schema)) return `${shape.label} belongs to the server itself`
  if (shape.persistence === 't') return `${shape.label} is temporary in another session`
  if (shape.accessMethod !== 'heap') return `${shape.label} is stored by ${shape.accessMethod ?? 'an unknown access method'}`
  if (shape.ownTablespace || shape.indexes.some(({ ownTablespace }) => ownTablespace))
    return `${shape.label} has a tablespace of its own`
  if (shape.extension) return `${shape.label} belongs to an extension`
  if (shape.securityLabel) return `${shape.label} carries a security label`
  if (shape.publications.some(({ plain }) => !plain)) return `${shape.label} is published with a row filter or a column list`
  const text = shape.columns.find(({ binary }) => !binary)
  if (text) return `column ${text.name} of ${shape.label} has the type ${text.type}, which has no binary form`
  return null
}

function whyNotOrdinary(shape: TableShape): string | null {
  if (shape.partition) return 'is a partition'
  switch (shape.kind) {
    case 'r':
      break
    case 'p':
      return 'is partitioned'
    case 'f':
      return 'is a foreign table: its rows live on another server'
    case 'm':
      return 'is a materialized view'
    case 'v':
      return 'is a view'
    default:
      return 'is no table'
  }
  if (shape.inheritance) return 'inherits or is inherited from'
  if (shape.typed) return 'is typed by a composite type'
  return null
}

/** Bit of pg_trigger.tgtype. */
const truncateBit = 32

/** A trigger that runs with TRUNCATE can do what no copy of this table covers, and TRUNCATE's changes are counted by nobody. */
export function whyNotEmptied(shape: TableShape): string | null {
  const trigger = shape.triggers.find(({ enabled, events }) => enabled !== 'D' && (events & truncateBit) !== 0)
  return trigger ? `trigger ${trigger.name} on ${shape.label} runs with it and may change anything` : null
}

/** Rules turn the statement into others. */
export function whyNotPlain(shape: TableShape, event: 'delete' | 'update'): string | null {
  const number = event === 'update' ? '2' : '4'
  const rule = shape.rules.find((one) => one.enabled !== 'D' && one.event === number)
  return rule ? `rule ${rule.name} on ${shape.label} replaces or adds statements` : null
}

export const remedies = {
  ordinary: 'Let a person do this outside the gate, or make a copy first with the tools that know this shape.',
  trigger: 'Let a person look at the trigger or rule and run this themselves, or disable it first.',
  key: 'Add a primary key to the table, then ask again.',
  commit: 'Commit or roll back first, then send this statement alone.',
  alone: 'Send this statement alone, in a request of its own.',
  base: 'Name the table itself instead of the view.',
  narrow: 'Drop or detach what depends on it in a request of its own first, then ask again.',
} as const
