import fc from 'fast-check'

/** Pieces of PostgreSQL's grammar, put together by chance: most of it parses, and any piece can stand in any fitting place. */
const table = fc.constantFrom('orders', 'users', 'public.t', '"Odd Name"', 'pg_class', 'ONLY t', 'v', 'pg_temp.x')
const column = fc.constantFrom('id', 'total', 'u.name', '"a b"', 'note', 'data', '*')
const name = fc.constantFrom('x', 'y', '"Z"', 'orders', 'made')
const type = fc.constantFrom(
  'int',
  'text',
  'numeric(10,2)',
  'jsonb',
  'timestamptz',
  'my_type',
  'int[]',
  'regclass',
  'public.sure',
)
const literal = fc.constantFrom(
  '1',
  '-2.5',
  "'a'",
  "'it''s'",
  "E'\\n'",
  'NULL',
  'true',
  '$1',
  '$$b$$',
  "B'01'",
  "U&'\\0041'",
  "interval '1 day'",
  'current_date',
  "'2020-01-01'::date",
)
const operator = fc.constantFrom(
  '=',
  '<>',
  '+',
  '||',
  '->>',
  '@>',
  '~',
  'AND',
  'OR',
  'IS DISTINCT FROM',
  'LIKE',
  'OPERATOR(pg_catalog.=)',
  '===',
)
const plainFunction = fc.constantFrom(
  'lower',
  'count',
  'max',
  'coalesce',
  'now',
  'abs',
  'jsonb_build_object',
  'pg_catalog.upper',
  'generate_series',
)
const harmfulFunction = fc.constantFrom(
  'nextval',
  'setval',
  'lo_unlink',
  'pg_terminate_backend',
  'pg_notify',
  'pg_read_file',
  'my_function',
  'pg_catalog.pg_switch_wal',
  'public.my_function',
  'pg_reload_conf',
)

type Grammar = Readonly<Record<'expression' | 'query' | 'change' | 'statement' | 'source', string>>

const list = (item: fc.Arbitrary<string>, minLength = 1): fc.Arbitrary<string> =>
  fc.array(item, { minLength, maxLength: 3 }).map((items) => items.join(', '))
const maybe = (item: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof({ weight: 2, arbitrary: fc.constant('') }, item)
/** Pieces in a row, with a blank between. */
const row = (...parts: readonly (fc.Arbitrary<string> | string)[]): fc.Arbitrary<string> =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((texts) => texts.filter((text) => text !== '').join(' '))
const quoted = (item: fc.Arbitrary<string>): fc.Arbitrary<string> => item.map((text) => `'${text.replaceAll("'", "''")}'`)

type Ties = Readonly<Record<keyof Grammar, fc.Arbitrary<string>>>

const returning = ({ change, expression }: Ties): fc.Arbitrary<string> => row(change, 'RETURNING', list(expression))
const where = ({ expression }: Ties): fc.Arbitrary<string> => maybe(row('WHERE', expression))

function ctes(ties: Ties): fc.Arbitrary<string> {
  const { query } = ties
  const inner = row(
    name,
    'AS',
    fc.constantFrom('', 'MATERIALIZED', 'NOT MATERIALIZED'),
    '(',
    fc.oneof(query, query, returning(ties)),
    ')',
  )
  return row('WITH', fc.constantFrom('', 'RECURSIVE'), list(inner))
}

function expressionOf({ expression, query, statement: whole }: Ties): fc.Arbitrary<string> {
  return fc.oneof(
    { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
    fc.oneof(literal, column),
    row(expression, operator, expression),
    row('(', expression, ')'),
    row(
      fc.oneof({ weight: 4, arbitrary: plainFunction }, { weight: 1, arbitrary: harmfulFunction }),
      '(',
      maybe(list(expression)),
      ')',
    ),
    row('CAST (', expression, 'AS', type, ')'),
    row('( SELECT', expression, ')'),
    row('EXISTS (', query, ')'),
    row(expression, 'IN (', query, ')'),
    row('CASE WHEN', expression, 'THEN', expression, 'ELSE', expression, 'END'),
    row('ARRAY [', list(expression), ']'),
    row('sum (', expression, ') OVER ( PARTITION BY', expression, 'ORDER BY', expression, ')'),
    row('query_to_xml (', quoted(whole), ", true, true, '' )"),
  )
}

function sourceOf({ source, query, expression }: Ties): fc.Arbitrary<string> {
  return fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    table,
    row(table, 'AS u'),
    row('(', query, ') AS', name),
    row('LATERAL (', query, ') AS', name),
    row('generate_series ( 1 ,', expression, ') AS', name),
    row(source, 'JOIN', source, 'ON', expression),
    row(table, 'TABLESAMPLE system (', expression, ')'),
  )
}

function queryOf(ties: Ties): fc.Arbitrary<string> {
  const { expression, query, source } = ties
  return fc.oneof(
    { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
    row('SELECT', list(expression)),
    row(
      'SELECT',
      list(expression),
      'FROM',
      list(source),
      where(ties),
      maybe(row('GROUP BY', list(expression))),
      maybe(row('ORDER BY', expression)),
      maybe(row('LIMIT', expression)),
    ),
    row('VALUES (', list(expression), ')'),
    row('TABLE t'),
    row(query, fc.constantFrom('UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT'), query),
    row(ctes(ties), query),
    row('(', query, ')'),
    row('SELECT', list(expression), 'FROM', table, 'FOR UPDATE'),
    row('SELECT', expression, 'INTO', name, 'FROM', source),
  )
}

function changeOf(ties: Ties): fc.Arbitrary<string> {
  const { expression, query, source } = ties
  return fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    row('DELETE FROM', table, where(ties)),
    row('UPDATE', table, 'SET total =', expression, where(ties)),
    row('INSERT INTO t', query),
    row('INSERT INTO t VALUES (', list(expression), ') ON CONFLICT DO NOTHING'),
    row(
      'MERGE INTO t USING',
      source,
      'ON',
      expression,
      'WHEN MATCHED THEN',
      fc.constantFrom('DELETE', 'DO NOTHING', 'UPDATE SET a = 1'),
    ),
    row(ctes(ties), 'DELETE FROM t'),
  )
}

function statementOf(ties: Ties): fc.Arbitrary<string> {
  const { query, change, statement: whole } = ties
  return fc.oneof(
    { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
    query,
    change,
    row(
      'EXPLAIN',
      fc.constantFrom('', 'ANALYZE', '( ANALYZE )', '( ANALYZE false )', '( VERBOSE )', '( ANALYZE 1 , COSTS off )'),
      fc.oneof(query, change),
    ),
    row('COPY (', fc.oneof(query, returning(ties)), ') TO STDOUT'),
    row('COPY t', fc.constantFrom('TO STDOUT', 'FROM STDIN', "TO '/x'", "TO PROGRAM 'x'", 'FROM STDIN WHERE id > 1')),
    row('PREPARE', name, 'AS', fc.oneof(query, change)),
    row('DECLARE c CURSOR', fc.constantFrom('', 'WITH HOLD'), 'FOR', query),
    row('CREATE', fc.constantFrom('TABLE', 'VIEW', 'MATERIALIZED VIEW', 'TEMP TABLE'), name, 'AS', query),
    row('DO', quoted(row('BEGIN', whole, '; END'))),
    row('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS', quoted(whole)),
    row('CREATE RULE r AS ON INSERT TO t DO INSTEAD', fc.oneof(change, query)),
    row(
      'SET',
      fc.constantFrom('search_path', 'work_mem', 'role', 'app.x', 'standard_conforming_strings'),
      '=',
      fc.constantFrom('on', 'off', 'x', 'DEFAULT'),
    ),
    fc.constantFrom(
      'BEGIN',
      'COMMIT',
      'ROLLBACK',
      'SHOW ALL',
      'DISCARD ALL',
      'VACUUM',
      'LISTEN a',
      'NOTIFY a',
      'CHECKPOINT',
      'FETCH 1 FROM c',
      'DROP TABLE t',
      'TRUNCATE t',
      'CALL p()',
      'LOCK t',
    ),
    row(whole, ';', whole),
  )
}

const rules = fc.letrec<Grammar>((tie) => {
  const ties: Ties = {
    expression: tie('expression'),
    query: tie('query'),
    change: tie('change'),
    statement: tie('statement'),
    source: tie('source'),
  }
  return {
    expression: expressionOf(ties),
    query: queryOf(ties),
    change: changeOf(ties),
    statement: statementOf(ties),
    source: sourceOf(ties),
  }
})

export const statement: fc.Arbitrary<string> = rules.statement
