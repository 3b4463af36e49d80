import type { Operation, SqlChannel } from '@sallyport/core'
import { parseShownName } from './catalog-name.ts'
import { readContext } from './resolve-context.ts'
import { resolveFunctions, type WrittenName } from './resolve-name.ts'

/**
 * `unknown` because of functions only becomes `read` when the database knows all of them and none can change anything. The label alone is not
 * believed (DESIGN §13): the body may not name a volatile function or one outside the server's own.
 */
export async function lowerByFunctions(session: SqlChannel, operation: Operation): Promise<Operation> {
  const { functions, onlyFunctions } = readContext(operation)
  if (operation.impact.kind !== 'unknown' || operation.action !== 'postgres.select' || !onlyFunctions) {
    return operation
  }
  if (functions === null || functions.length === 0 || functions.length > 50) return operation
  const names = functions.map(toName)
  if (names.some((name) => name === null)) return operation
  const known = await resolveFunctions(
    session,
    names.filter((name) => name !== null),
  )
  const all = known.length === functions.length && known.every(({ candidates, harmless }) => candidates === 1 && harmless)
  if (!all) return operation
  return {
    ...operation,
    impact: { ...operation.impact, kind: 'read', reversible: true },
    why: `calls ${functions.join(', ')}, which the database knows to change nothing`,
  }
}

function toName(shown: string): WrittenName | null {
  const [first, second, third] = parseShownName(shown) ?? []
  if (first === undefined || third !== undefined) return null
  return second === undefined ? { schema: null, name: first } : { schema: first, name: second }
}
