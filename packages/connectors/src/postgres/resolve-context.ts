import type { Operation } from '@sallyport/core'
import { z } from 'zod'

const targetSchema = z.object({
  schema: z.string().nullable(),
  name: z.string(),
  only: z.boolean().default(false),
})

const preimageSchema = z.object({
  /** The FROM item as written, with its alias, and what DELETE … USING or UPDATE … FROM adds. */
  from: z.string(),
  where: z.string().nullable(),
  alias: z.string(),
  keyColumns: z.array(z.string()).optional(),
})
export type Preimage = z.infer<typeof preimageSchema>

/** What describe says for our steps. A piece that is missing or not as expected is as good as the worst it could say. */
export interface OperationContext {
  readonly functions: readonly string[] | null
  readonly extensionFunctions: readonly string[] | null
  /** The server's own functions that it calls without naming their schema. */
  readonly builtins: readonly string[] | null
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
  return {
    functions: read('functions', names),
    extensionFunctions: read('extensionFunctions', names),
    builtins: read('builtins', names),
    cascade: read('cascade', z.boolean()) ?? true,
    targets: read('targets', z.array(targetSchema)) ?? (target ? [target] : []),
    preimage: read('preimage', preimageSchema),
    keyed: read('keyed', z.boolean()) ?? false,
    keyEquality: read('keyEquality', names) ?? [],
    assigned: read('assigned', names),
    columns: read('columns', names),
    missingOk: read('missingOk', z.boolean()) ?? false,
    bindValues: read('bindValues', z.array(z.string().nullable())),
  }
}
