import { describe, expect, it } from 'vitest'
import { Redaction, withheldText } from './redaction.ts'
import { sqlTokens } from './sql-token.ts'

const redaction = new Redaction(['customers.email', 'people_view'], Buffer.alloc(32, 7))
const secret = 'ada@example.org'
const shown = (sql: string): string => redaction.show(sql, []).text

describe('what stays out of the log', () => {
  it.each([
    ['compared', `select 1 from customers where email = '${secret}'`],
    ['written', `insert into customers values (1, '${secret}')`],
    ['by the column alone, through an alias', `select * from c where c.email in ('${secret}')`],
    ['quoted and in capitals', `select * from "Customers" where "EMAIL" = '${secret}'`],
    ['in a marked view, which names the column otherwise', `select * from people_view where mail = '${secret}'`],
    ['with escapes', `select 1 from customers where email = E'${secret}\\' or 1'`],
    ['national', `select 1 from customers where email = N'${secret}'`],
    ['in dollars', `select 1 from orders where note = $a$${secret}$a$`],
    ['in a comment', `select 1 from orders /* was ${secret} /* nested */ */`],
    ['in a line comment', `select 1 from orders -- ${secret}`],
    ['given to a function', `select find_by_mail('${secret}')`],
    ['given to a qualified function', `select shop . find ('${secret}')`],
    ['given to a prepared statement', `execute p('${secret}')`],
    ['in a later statement', `select 1; execute p ('${secret}')`],
    ['in an anonymous block', `do 'begin perform x(''${secret}''); end'`],
    ['in a call', `call p ('${secret}')`],
    ['in a string that does not end', `select 1 from orders where x = '${secret}`],
    ['behind a comment that does not end', `select '${secret}' /* from orders`],
    ['with Unicode escapes in a name', String.raw`select * from U&"c\0075stomers" where x = '${secret}'`],
    ['with Unicode escapes in the value', `select * from customers where x = U&'${secret}'`],
    ['continued on the next line', `select * from customers where email = 'ada'\n'@example.org'`],
  ])('%s', (_, sql) => {
    const text = shown(sql)
    expect(text).not.toContain('ada')
    expect(text).not.toContain('example')
  })

  it('keeps what is no value, and says equal values equally', () => {
    const [one, two] = [
      shown(`select 1 from customers where email = '${secret}'`),
      shown(`update customers set email = '${secret}'`),
    ]
    expect(one).toMatch(/^select \[redacted [0-9a-f]{12}\] from customers where email = \[redacted [0-9a-f]{12}\]$/)
    const tag = /email = (\[redacted \w+\])$/.exec(one)?.[1] ?? 'none'
    expect(two).toBe(`update customers set email = ${tag}`)
    const bound = redaction.show('select 1 from customers where email = $1', [
      { type: 25, format: 0, value: Buffer.from(secret).toString('base64') },
      null,
    ])
    expect(JSON.stringify(bound.bindValues)).toContain(/\w{12}/.exec(tag)?.[0] ?? 'none')
    expect(JSON.stringify(bound.bindValues)).not.toContain(Buffer.from(secret).toString('base64'))
    expect(bound.text).toContain('$1')
  })

  it('is told by another key in another process', () => {
    const other = new Redaction(['customers.email'], Buffer.alloc(32, 8))
    const sql = `select 1 from customers where email = '${secret}'`
    expect(other.show(sql, []).text).not.toBe(shown(sql))
  })

  it('keeps nothing of a text that it cannot read, nor its bind values', () => {
    const { text, bindValues } = redaction.show("select 'x", ['a'])
    expect(text).toBe(withheldText)
    expect(bindValues).toEqual([{ redacted: expect.any(String) }])
  })

  it('keeps nothing of a text too long to be looked at', () => {
    expect(shown(`select '${secret}' ${' '.repeat(300_000)}`)).toBe(withheldText)
  })

  it.each([
    "select id, count(*) from orders where status = 'paid' and total > 12.5 group by id",
    "update orders set status = 'sent' where id in (1, 2) returning id",
    "select coalesce(note, 'none') from orders where placed > now() - interval '1 day'",
  ])('leaves alone what names neither: %s', (sql) => {
    expect(redaction.show(sql, ['a'])).toEqual({ text: sql, bindValues: ['a'] })
  })

  it('does nothing where nothing is marked', () => {
    expect(new Redaction([], Buffer.alloc(32)).show(`select '${secret}' from customers`, [])).toEqual({
      text: `select '${secret}' from customers`,
      bindValues: [],
    })
  })
})

it('reads a string whose prefix is a name of its own as part of neither', () => {
  expect(sqlTokens("select date'2026-01-01'")?.map(({ kind }) => kind)).toEqual(['name', 'name', 'literal'])
  expect(sqlTokens("select e'a\\'b', x'1f', 1e5, .5, 0x1F, $1")?.filter(({ kind }) => kind === 'literal')).toHaveLength(5)
})
