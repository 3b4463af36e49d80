import type { Operation } from '@sallyport/core'
import { describe } from './describe.ts'

/** A bare name that starts a column of the row a trigger runs for. */
const rowColumn = /\b(new|old)\s*\.\s*([a-z_][a-z0-9_]*)/gi
const prefix = 'sallyport_row_'

/**
 * What the body of a trigger's function does each time it fires: the statements in it, described as if they were sent by themselves. In a trigger for
 * each row the columns of NEW and OLD stand for variables, as they hold one value while it runs: `WHERE id = NEW.id` finds what `WHERE id = $1` finds.
 * Text that is rewritten inside a string or a comment changes nothing that is read here: strings are data, and what is run as text is unknown anyway.
 */
export async function describeFired(source: string, eachRow: boolean): Promise<readonly Operation[]> {
  const columns = new Set<string>()
  const body = source.replaceAll(rowColumn, (whole, row: string, column: string) => {
    if (!eachRow) return whole
    const name = `${prefix}${row.toLowerCase()}_${column.toLowerCase()}`
    columns.add(name)
    return name
  })
  const declarations = [...columns].map((name) => `${name} text;`).join(' ')
  const whole = await describeBlock(declarations, `${body.replace(/[\s;]*$/, '')}\n;`)
  // A comment after its last semicolon hides that there is one.
  return whole.some(({ action }) => action === 'postgres.routine') ? describeBlock(declarations, body) : whole
}

async function describeBlock(declarations: string, body: string): Promise<readonly Operation[]> {
  const tag = freeTag(body)
  const operations = await describe({
    sql: `CREATE FUNCTION pg_temp.sallyport_fired() RETURNS trigger LANGUAGE plpgsql AS ${tag}
DECLARE ${declarations} BEGIN ${body}
END ${tag}; SELECT pg_temp.sallyport_fired()`,
  })
  const called = operations.filter(({ context }) => context['statementIndex'] === 1)
  // Nothing at the second statement: the text was not read as two.
  return called.length === 0 ? operations : called
}

function freeTag(body: string): string {
  for (let at = 0; ; at += 1) {
    const tag = `$sallyport${at}$`
    if (!body.includes(tag)) return tag
  }
}
