import {
  bindFormats,
  cleanScenario,
  describePortal,
  describeStatement,
  execute,
  firstValue,
  parse,
  query,
  say,
  sync,
  type Scenario,
} from './scenario.ts'

/** A type, and values of it as PostgreSQL writes them. Each goes there and back in text and in binary. */
const values: readonly (readonly [type: string, ...values: readonly string[]])[] = [
  ['bool', 'true', 'f'],
  ['int2', '-32768', '32767', '32768'],
  ['int4', '0', '-2147483648'],
  ['int8', '9223372036854775807'],
  ['float4', '0.1', 'NaN', '-Infinity'],
  ['float8', '0.1', '1e-300', 'Infinity'],
  ['numeric', '0', '-123456789012345678901234567890.123456789', 'NaN'],
  ['numeric(10,2)', '1.005'],
  ['money', '12.34'],
  ['text', '', 'é 日本 😀', 'a\nb\tc\\d'],
  ['varchar(3)', 'abc', 'abcd'],
  ['char(5)', 'ab'],
  ['"char"', 'x'],
  ['name', 'a_name'],
  ['bytea', '\\x', '\\x00ff10'],
  ['uuid', '7d444840-9dc0-11d1-b245-5ffdce74fad2', 'no uuid'],
  ['date', '2024-02-29', '0044-03-15 BC', 'infinity', '2023-02-29'],
  ['time', '23:59:59.999999', '24:00'],
  ['timetz', '12:00:00+05:30'],
  ['timestamp', '2024-02-29 12:34:56.789', '-infinity'],
  ['timestamptz', '2024-02-29 12:34:56.789+02'],
  ['interval', '1 year 2 months 3 days 04:05:06.7', '-1 day'],
  ['json', '{"b": 1,  "a": [null]}', '{'],
  ['jsonb', '{"b": 1,  "a": [null]}'],
  ['jsonpath', '$.a[*] ? (@ > 1)'],
  ['xml', '<a>b</a>'],
  ['int4[]', '{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={1,2}', '{1'],
  ['text[]', '{a,"b c",NULL,"NULL"}'],
  ['int4range', '[1,10)', 'empty', '(,5]'],
  ['numrange', '[1.5,2.5]'],
  ['tstzrange', '["2024-01-01 00:00:00+00",)'],
  ['int4multirange', '{[1,3),[5,7)}'],
  ['inet', '192.168.0.1/24', '::1'],
  ['cidr', '10.0.0.0/8'],
  ['macaddr', '08:00:2b:01:02:03'],
  ['macaddr8', '08:00:2b:01:02:03:04:05'],
  ['bit(4)', '1010'],
  ['varbit', '101'],
  ['point', '(1,2)'],
  ['line', '{1,2,3}'],
  ['lseg', '[(0,0),(1,1)]'],
  ['box', '(1,1),(0,0)'],
  ['path', '[(0,0),(1,1)]'],
  ['polygon', '((0,0),(1,1),(1,0))'],
  ['circle', '<(0,0),2>'],
  ['tsvector', "'a':1 'b':2"],
  ['tsquery', "'a' & 'b'"],
  ['oid', '4294967295'],
  ['regclass', 'items'],
  ['regtype', 'int4'],
  ['pg_lsn', '16/B374D848'],
  ['xid8', '123'],
  ['mood', 'glad'],
  ['small', '99'],
  ['pair', '(1,"a b")'],
  ['items', '(1,anvil,9.50,)'],
  ['unknown', 'what'],
]

const sessionSettings = [
  "bytea_output = 'escape'",
  "datestyle = 'german'",
  "intervalstyle = 'iso_8601'",
  'extra_float_digits = 0',
  "timezone = 'Asia/Tokyo'",
]

export const typeScenarios: readonly Scenario[] = [
  ...values.flatMap(([type, ...list]) =>
    list.map((value) =>
      cleanScenario(
        `type ${type}: ${value}`,
        say(parse('', `select $1::${type} as v`), describeStatement(), sync),
        say(bindFormats('', [Buffer.from(value)], [0], [0]), describePortal(), execute(), sync),
        say(bindFormats('', [Buffer.from(value)], [0], [1]), describePortal(), execute(), sync),
        // What came out in binary goes in again: an error above leaves nothing to send but NULL.
        {
          on: 'a',
          until: 1,
          says: (answers) => {
            const failed = !answers.some(({ type: kind }) => kind === 'D')
            return Buffer.concat([bindFormats('', [failed ? null : firstValue(answers)], [1], [0]), execute(), sync])
          },
        },
      ),
    ),
  ),
  ...sessionSettings.map((setting) =>
    cleanScenario(
      `as written under ${setting}`,
      say(query(`set ${setting}`)),
      say(
        query(
          "select '\\x00ff'::bytea, '2024-02-29'::date, '1 day 2 hours'::interval, 0.1::float8, '2024-02-29 12:00+00'::timestamptz",
        ),
      ),
      say(query(`reset ${setting.split(' ')[0]}`)),
    ),
  ),
]
