import {
  bind,
  copyData,
  copyDone,
  copyFail,
  describePortal,
  execute,
  flush,
  parse,
  query,
  say,
  sayUntil,
  scenario,
  sync,
  type Scenario,
} from './scenario.ts'

const binaryHead = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
const binaryEnd = Buffer.from([0xff, 0xff])
const binaryRow = Buffer.concat([
  Buffer.from([0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 1]),
  Buffer.from('x'),
  Buffer.from([0xff, 0xff, 0xff, 0xff]),
])
const show = say(query('select a, b, c from copied order by a, b'))
const clear = say(query('truncate copied'))

/** COPY OUT, each by Query and by Execute. */
const out: readonly string[] = [
  'copy items to stdout',
  "copy items (id, name) to stdout with (delimiter '|', null 'NIL')",
  'copy items to stdout with (format csv, header)',
  "copy items to stdout with (format csv, force_quote *, quote '''')",
  'copy items to stdout with (format binary)',
  'copy (select generate_series(1, 500)) to stdout',
  'copy (select 1 where false) to stdout',
  'copy (select 1 where false) to stdout with (format csv, header)',
  'copy (values (E$$a\\tb$$, null), (E$$c\\nd$$, $$$$)) to stdout',
  'copy (select 1 / (3 - g) from generate_series(1, 5) g) to stdout',
  'copy (select repeat($$x$$, 200000)) to stdout',
  'copy nowhere to stdout',
  'copy items (nothing) to stdout',
  'copy cheap to stdout',
  'copy (delete from changed where id = 20000 returning id) to stdout',
]

const copyIn = 'copy copied from stdin'
const rows = [copyData('1\tone\t2024-01-01 00:00:00\n'), copyData('2\ttwo\t\\N\n')]

/** What comes after a COPY FROM STDIN; the answer to it ends with one ReadyForQuery. */
const into: readonly (readonly [name: string, sql: string, ...data: readonly Buffer[]])[] = [
  ['rows', copyIn, ...rows, copyDone],
  ['nothing', copyIn, copyDone],
  [
    'rows cut anywhere',
    copyIn,
    copyData('1\to'),
    copyData('ne\t2024-01-01\n2\tt'),
    copyData('wo\t\\N'),
    copyData('\n'),
    copyDone,
  ],
  ['no newline at the end', copyIn, copyData('1\tone\t\\N'), copyDone],
  ['an end mark', copyIn, copyData('1\tone\t\\N\n\\.\n'), copyDone],
  ['fewer columns', 'copy copied (a, b) from stdin', copyData('1\tone\n'), copyDone],
  ['csv', "copy copied from stdin with (format csv, header, null 'NIL')", copyData('a,b,c\n1,"o,""ne",NIL\n'), copyDone],
  ['another delimiter', "copy copied from stdin with (delimiter ';')", copyData('1;one;2024-01-01\n'), copyDone],
  [
    'binary',
    'copy copied from stdin with (format binary)',
    copyData(Buffer.concat([binaryHead, binaryRow, binaryEnd])),
    copyDone,
  ],
  ['binary without a head', 'copy copied from stdin with (format binary)', copyData(binaryRow), copyDone],
  ['CopyFail', copyIn, ...rows, copyFail('changed my mind')],
  ['CopyFail at once', copyIn, copyFail('')],
  ['a bad number in the first row', copyIn, copyData('x\tone\t\\N\n'), copyDone],
  ['a bad number in the third row', copyIn, ...rows, copyData('x\tone\t\\N\n'), copyDone],
  ['too many columns', copyIn, copyData('1\tone\t\\N\tmore\n'), copyDone],
  ['too few columns', copyIn, copyData('1\n'), copyDone],
  ['not UTF-8', copyIn, copyData(Buffer.from([0x31, 0x09, 0xff, 0x0a])), copyDone],
  ['a thousand rows', copyIn, ...Array.from({ length: 1000 }, (_, index) => copyData(`${index}\trow\t\\N\n`)), copyDone],
  ['one row of 300 kB', copyIn, copyData(`1\t${'y'.repeat(300_000)}\t\\N\n`), copyDone],
  ['a condition', 'copy copied from stdin where a > 1', ...rows, copyDone],
  ['a trigger that says something', 'copy loud from stdin', copyData('7\n8\n'), copyDone],
  ['a row that is there', 'copy changed from stdin', copyData('1\ttwice\n'), copyDone],
]
const byExecute = (sql: string): Buffer => Buffer.concat([parse('', sql), bind('', '', []), describePortal(), execute()])

export const copyScenarios: readonly Scenario[] = [
  ...out.map((sql) => scenario(`out: ${sql.slice(0, 60)}`, say(query(sql)), say(byExecute(sql), sync))),
  ...into.flatMap(([name, sql, ...data]) => [
    scenario(`in, all at once: ${name}`, sayUntil(1, query(sql), ...data), show, clear),
    scenario(`in, after the answer: ${name}`, sayUntil('G', query(sql)), sayUntil(1, ...data), show, clear),
    scenario(`in, by Execute: ${name}`, sayUntil('G', byExecute(sql), flush), say(...data, sync), show, clear),
  ]),
  scenario(
    'in, with Sync behind Execute too',
    sayUntil('G', byExecute(copyIn), sync),
    sayUntil(1, ...rows, copyDone, sync),
    show,
    clear,
  ),
  scenario(
    'in, in a transaction',
    say(query('begin')),
    sayUntil('G', query(copyIn)),
    sayUntil(1, ...rows, copyDone),
    show,
    say(query('rollback')),
    show,
  ),
  scenario(
    'in, failed in a transaction',
    say(query('begin')),
    sayUntil('G', query(copyIn)),
    sayUntil(1, copyData('x\n'), copyDone),
    show,
    say(query('rollback')),
  ),
  scenario(
    'in, and a Query behind it in the same write',
    sayUntil(2, query(copyIn), ...rows, copyDone, query('select count(*) from copied')),
    clear,
  ),
  scenario(
    'in, among other statements',
    sayUntil('G', query(`select 1; ${copyIn}; select 2`)),
    sayUntil(1, ...rows, copyDone),
    show,
    clear,
  ),
  scenario('in of a table that is not', say(query('copy nowhere from stdin'))),
  scenario('in, refused before data', sayUntil(2, query('copy nowhere from stdin'), query('select 1'))),
  scenario('copy data where none is wanted', say(copyData('x'), copyDone, copyFail('y'), query('select 1'))),
  scenario('out among other statements', say(query('select 1; copy items to stdout; select 2'))),
  scenario('out in a transaction', say(query('begin')), say(query('copy items to stdout')), say(query('commit'))),
  scenario('out by Execute with a row limit', say(parse('', 'copy items to stdout'), bind('', '', []), execute('', 2), sync)),
  scenario('out, then more in one batch', say(byExecute('copy items to stdout'), byExecute('select 1'), sync)),
  scenario('out and in without STDIN', say(query("copy items to program 'true'")), say(query("copy copied from '/nowhere'"))),
]
