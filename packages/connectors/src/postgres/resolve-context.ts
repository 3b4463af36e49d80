import type { Operation } from '@sallyport/core'
import { z } from 'zod'
import { parseShownName } from './catalog-name.ts'

const targetSchema = z.object({
  schema: z.string().nullable(),
  name: z.string(),
  only: z.boolean().default(false),
})

const preimageSchema = z.object({
  /** The FROM item as written, with its alias, and what DELETE … USING or UPDATE … FROM adds. */
  from: z.string(),
  where: z.string().nullable(),
  /** Ready to stand in SQL: bare or quoted. */
  alias: z.string().regex(/^(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)$/),
  keyColumns: z.array(z.string()).optional(),
})
export type Preimage = z.infer<typeof preimageSchema>

/** What describe says for our steps. A piece that is missing or not as expected is as good as the worst it could say. */
export interface OperationContext {
  readonly functions: readonly string[] | null
  /** True when nothing but the functions made it unknown. */
  readonly onlyFunctions: boolean
  readonly extensionFunctions: readonly string[] | null
  /** The server's own functions that it calls without naming their schema. */
  readonly builtins: readonly string[] | null
  /** Every table it names, sub-queries included. */
  readonly relations: readonly string[] | null
  readonly cascade: boolean
  readonly targets: readonly z.infer<typeof targetSchema>[]
  readonly preimage: Preimage | null
  readonly keyed: boolean
  readonly keyEquality: readonly string[]
  /** Columns an UPDATE assigns to; null when not known. */
  readonly assigned: readonly string[] | null
  /** Columns an ALTER TABLE drops or rewrites; null when not known: then all. */
  readonly columns: readonly string[] | null
  readonly missingOk: boolean
  readonly bindValues: readonly (string | null)[] | null
}

export function readContext(operation: Operation): OperationContext {
  const read = <Out>(name: string, schema: z.ZodType<Out>): Out | null => {
    const parsed = schema.safeParse(operation.context[name])
    return parsed.success ? parsed.data : null
  }
  const target = read('target', targetSchema)
  const names = z.array(z.string())
  const column = read('column', z.string())
  return {
    functions: read('functions', names),
    onlyFunctions: read('onlyFunctions', z.boolean()) ?? false,
    extensionFunctions: read('extensionFunctions', names),
    builtins: read('builtins', names),
    relations: read('relations', names),
    cascade: read('cascade', z.boolean()) ?? true,
    targets: read('targets', z.array(targetSchema)) ?? (target ? [target] : shownTargets(operation)),
    preimage: read('preimage', preimageSchema),
    keyed: read('keyed', z.boolean()) ?? false,
    keyEquality: read('keyEquality', names) ?? [],
    assigned: read('assigned', names),
    columns: column === null ? null : [column],
    missingOk: read('missingOk', z.boolean()) ?? false,
    bindValues: read('bindValues', z.array(z.string().nullable())),
  }
}

/** Where describe gives no targets, the resources name them: one target each, or none at all when one can't be read. */
function shownTargets(operation: Operation): OperationContext['targets'] {
  const resources = operation.resources.filter(({ type }) => relationTypes.has(type))
  const parsed = resources.map(({ name }) => parseShownName(name))
  if (parsed.some((parts) => parts === null || parts.length > 2)) return []
  return parsed.map((parts) => ({ schema: parts?.at(-2) ?? null, name: parts?.at(-1) ?? '', only: false }))
}

const relationTypes = new Set(['table', 'view', 'materialized_view', 'foreign_table', 'sequence', 'index', 'schema'])

/**
 * Whether the condition looks at nothing but the row itself: then a row that is locked goes on to be named. A second table needs a comma, a
 * sub-query one of these words; a text or a name that holds one only makes the locks stronger.
 */
export function isRowwise({ preimage, relations }: OperationContext): boolean {
  if (preimage === null || relations?.length !== 1 || preimage.from.includes(',')) return false
  return !/\b(?:select|table|values|with)\b/i.test(preimage.where ?? '')
}

/** The tables that the whole statement reads or changes. Null when one can't be told. */
export function readSourceNames({
  relations,
}: OperationContext): readonly { readonly schema: string | null; readonly name: string }[] | null {
  const parsed = relations?.map((shown) => parseShownName(shown))
  if (!parsed || parsed.some((parts) => parts === null || parts.length > 2)) return null
  return parsed.map((parts) => ({ schema: parts?.at(-2) ?? null, name: parts?.at(-1) ?? '' }))
}

/** The condition on lines of its own, so that a comment at its end swallows nothing of ours. */
export function whereClause(preimage: Preimage): string {
  return preimage.where === null ? '' : `WHERE (\n${preimage.where}\n)`
}
