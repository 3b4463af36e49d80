/** Runs SQL as the server's superuser, around gate and relay. */
type AskServer = (sql: string) => Promise<readonly (readonly string[])[]>

const tableNames = `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname`

/**
 * Every table, counted and summed by the server itself over all its rows in an order that depends on nothing but them. Nothing is taken from the gate,
 * whose own checksums are made in another way.
 */
export async function sumTables(ask: AskServer): Promise<ReadonlyMap<string, string>> {
  const names = (await ask(tableNames)).map(([name = '']) => name)
  const sums = names.map(
    (name) =>
      `SELECT '${name}', count(*) || ' rows, md5 ' || coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '-') FROM public."${name}" t`,
  )
  const rows = await ask(sums.join(' UNION ALL '))
  // The server answers in any order.
  return new Map(
    rows.map(([name = '', sum = '']): [string, string] => [name, sum]).toSorted(([one], [other]) => (one < other ? -1 : 1)),
  )
}

export function countRows(sums: ReadonlyMap<string, string>): number {
  return [...sums.values()].reduce((rows, sum) => rows + Number.parseInt(sum, 10), 0)
}
