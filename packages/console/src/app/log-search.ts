import * as z from 'zod/mini'

export const logGroups = ['all', 'operations', 'requests', 'copies', 'access', 'alarms'] as const
export type LogGroup = (typeof logGroups)[number]

const shape = z.object({ text: z.optional(z.string()), group: z.optional(z.enum(logGroups)), agent: z.optional(z.string()) })
export type LogSearch = z.infer<typeof shape>

/** What an address asks of the log; what it cannot mean is nothing. */
export function readLogSearch(search: unknown): LogSearch {
  const read = shape.safeParse(search)
  return read.success ? read.data : {}
}
