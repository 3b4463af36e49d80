import { bind, cleanScenario, execute, parse, query, say, scenario, statement, sync, type Scenario } from './scenario.ts'

const columns = (count: number): string => Array.from({ length: count }, (_, index) => `${index} as c${index}`).join(', ')
export const bigScenarios: readonly Scenario[] = [
  cleanScenario('big: 1,600 columns', say(query(`select ${columns(1600)}`))),
  cleanScenario('big: 1,600 columns by Execute', say(statement(`select ${columns(1600)}`), sync)),
  cleanScenario('big: 1,665 columns are too many', say(query(`select ${columns(1665)}`))),
  scenario(
    'big: a table of 1,600 columns',
    say(query(`create table wide (${Array.from({ length: 1600 }, (_, index) => `c${index} int`).join(', ')})`)),
    say(query('insert into wide (c0, c1599) values (1, 2)')),
    say(query('select * from wide')),
    say(query('drop table wide')),
  ),
  cleanScenario('big: a row of 3 MB', say(query("select repeat('x', 3000000)"))),
  cleanScenario('big: a value of 1 MB as parameter', say(statement('select length($1::text)', ['z'.repeat(1_000_000)]), sync)),
  cleanScenario('big: a text of 200 kB', say(query(`select length('${'q'.repeat(200_000)}')`))),
  cleanScenario('big: 20,000 rows', say(query('select g, g::text from generate_series(1, 20000) g'))),
  cleanScenario(
    'big: 20,000 rows by 1,000',
    say(
      parse('', 'select g from generate_series(1, 20000) g'),
      bind('', '', []),
      ...Array.from({ length: 21 }, () => execute('', 1000)),
      sync,
    ),
  ),
  cleanScenario(
    'big: 300 notices',
    say(query("do $$ begin for i in 1..300 loop raise notice '% %', i, repeat('n', 100); end loop; end $$")),
  ),
  cleanScenario('big: an error message of 100 kB', say(query("do $$ begin raise exception '%', repeat('e', 100000); end $$"))),
]
