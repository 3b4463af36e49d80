import { remedies } from './copy-fit.ts'
import type { Refused } from './copy-plan.ts'
import type { ForeignKeyAction } from './table-closure.ts'

/** Which tables a DELETE reaches by foreign keys. */
export interface Reach {
  readonly ok: true
  readonly target: string
  /** Tables that lose rows. */
  readonly gone: ReadonlySet<string>
  /** Tables in which foreign keys get NULL or their defaults, with these columns. */
  readonly changed: ReadonlyMap<string, readonly string[]>
  /** The keys that act. */
  readonly follow: readonly ForeignKeyAction[]
  readonly words: readonly string[]
}

/** Tables and foreign keys followed from one statement. */
const reachMax = 200

/** Which tables lose rows, and which lose the values of their foreign keys, when rows of `target` are deleted. */
export function followDeletes(target: string, actions: readonly ForeignKeyAction[]): Reach | ({ readonly ok: false } & Refused) {
  const gone = new Set([target])
  const changed = new Map<string, string[]>()
  const follow: ForeignKeyAction[] = []
  for (const oid of gone) {
    for (const action of actions.filter(({ parent }) => parent === oid)) {
      const { table, onDelete, columns } = action
      if (onDelete === 'a' || onDelete === 'r') continue
      follow.push(action)
      if (onDelete === 'c') gone.add(table)
      else changed.set(table, [...new Set([...(changed.get(table) ?? []), ...columns])])
    }
  }
  if (follow.length > reachMax)
    return { ok: false, reason: `more than ${reachMax} foreign keys act with it`, remedy: remedies.narrow }
  const onward = actions.find(
    ({ parent, onUpdate, parentColumns }) =>
      onUpdate !== 'a' && onUpdate !== 'r' && parentColumns.some((column) => changed.get(parent)?.includes(column)),
  )
  if (onward) {
    return { ok: false, reason: `${onward.label} would follow by foreign key ${onward.name}`, remedy: remedies.ordinary }
  }
  return { ok: true, target, gone, changed, follow, words: follow.map((action) => sayAction(action, null)) }
}

/** What a foreign key does when its parents go. `rows` null: not counted. */
export function sayAction({ label, name, onDelete }: ForeignKeyAction, rows: number | null): string {
  const counted = rows === null ? 'rows' : `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`
  switch (onDelete) {
    case 'c':
      return `${label}: ${counted} ${rows === 1 ? 'goes' : 'go'} with it by foreign key ${name}`
    case 'n':
      return rows === null
        ? `${label}: foreign key ${name} becomes NULL`
        : `${label}: foreign key ${name} becomes NULL in ${counted}`
    case 'd':
      return `${label}: foreign key ${name} gets its default${rows === null ? '' : ` in ${counted}`}`
    case 'a':
    case 'r':
      return `${label}: foreign key ${name}`
  }
}

/** Whether the server may count one row twice: a place in the count that a row nobody copied could take. */
export function countsTwice({ gone, changed, follow }: Reach): boolean {
  const setting = follow.filter(({ onDelete }) => onDelete !== 'c').map(({ table }) => table)
  return [...changed.keys()].some((oid) => gone.has(oid)) || new Set(setting).size < setting.length
}
