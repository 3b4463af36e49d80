import type { Operation } from '@sallyport/core'

/** Ways to lose data that a surgical copy can undo. */
export type LosingVerb = 'drop_table' | 'drop_schema' | 'alter_table' | 'truncate' | 'delete' | 'update'

const losingVerbs: ReadonlyMap<string, LosingVerb> = new Map([
  ['postgres.drop_table', 'drop_table'],
  ['postgres.drop_schema', 'drop_schema'],
  ['postgres.truncate', 'truncate'],
  ['postgres.delete', 'delete'],
  ['postgres.update', 'update'],
  ['postgres.alter_table_drop_column', 'alter_table'],
  ['postgres.alter_table_alter_column_type', 'alter_table'],
])

/** Null: no copy of ours covers what this operation would lose. */
export function losingVerb(operation: Operation): LosingVerb | null {
  return losingVerbs.get(operation.action) ?? null
}
