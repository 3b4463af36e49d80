import {
  bind,
  cleanScenario,
  closeStatement,
  describeStatement,
  execute,
  flush,
  parse,
  query,
  say,
  statement,
  sync,
  type Scenario,
} from './scenario.ts'

const ten = 'select generate_series(1, 10) as n'

/** Several statements in one write, and Sync at different places. */
export const pipelineScenarios: readonly Scenario[] = [
  cleanScenario(
    'pipeline: three statements, one Sync',
    say(statement('select 1'), statement('select 2'), statement('select 3'), sync),
  ),
  cleanScenario(
    'pipeline: three statements, three Syncs, one write',
    say(statement('select 1'), sync, statement('select 2'), sync, statement('select 3'), sync),
  ),
  cleanScenario(
    'pipeline: writes in one batch are one transaction',
    say(statement('insert into changed values (300)'), statement('insert into changed values (301)'), sync),
    say(query('select id from changed where id in (300, 301)')),
  ),
  cleanScenario(
    'pipeline: an error takes the batch along',
    say(
      statement('insert into changed values (302)'),
      statement('insert into changed values (300)'),
      statement('insert into changed values (303)'),
      sync,
    ),
    say(query('select id from changed where id between 302 and 303')),
  ),
  cleanScenario('pipeline: an error stops at its Sync', say(statement('select 1/0'), sync, statement('select 2'), sync)),
  cleanScenario(
    'pipeline: fails when parsed, in the middle',
    say(statement('select 1'), statement('selec 2'), statement('select 3'), sync),
  ),
  cleanScenario(
    'pipeline: fails when bound, in the middle',
    say(statement('select 1'), statement('select $1::int', ['x']), statement('select 3'), sync),
  ),
  cleanScenario(
    'pipeline: fails when run, in the middle',
    say(statement('select 1'), statement('select 1/$1::int', ['0']), statement('select 3'), sync),
  ),
  cleanScenario(
    'pipeline: a write that fails when run, in the middle',
    say(statement('select 1'), statement('insert into counted (value) values ($1)', ['500']), statement('select 3'), sync),
  ),
  cleanScenario(
    'pipeline: everything is skipped but Sync',
    say(
      statement('selec'),
      describeStatement('none'),
      closeStatement('none'),
      execute('none'),
      flush,
      parse('', 'select 1'),
      sync,
      statement('select 2'),
      sync,
    ),
  ),
  cleanScenario(
    'pipeline: a read, a write, a read',
    say(
      statement('select count(*) from changed where id = 310'),
      statement('insert into changed values (310)'),
      statement('select count(*) from changed where id = 310'),
      sync,
    ),
  ),
  cleanScenario(
    'pipeline: begin, write, commit in one batch',
    say(statement('begin'), statement('insert into changed values (311)'), statement('commit'), sync),
    say(query('select count(*) from changed where id = 311')),
  ),
  cleanScenario(
    'pipeline: begin, fail, commit in one batch',
    say(statement('begin'), statement('select 1/0'), statement('commit'), sync),
    say(query('commit')),
  ),
  cleanScenario(
    'pipeline: begin, fail, Sync, rollback',
    say(statement('begin'), statement('select 1/0'), sync, statement('select 1'), sync, statement('rollback'), sync),
  ),
  cleanScenario(
    'pipeline: a Sync after each, in a transaction',
    say(
      query('begin'),
      statement('insert into changed values (312)'),
      sync,
      statement('select id from changed where id = 312'),
      sync,
      query('rollback'),
    ),
  ),
  cleanScenario('pipeline: Queries one behind the other', say(query('select 1'), query('select 2'), query('select 3'))),
  cleanScenario(
    'pipeline: Queries that fail and do not',
    say(query('select 1'), query('selec'), query('select 1/0'), query('select 2')),
  ),
  cleanScenario(
    'pipeline: Query and extended by turns',
    say(
      query('select 1'),
      statement('select 2'),
      sync,
      query('insert into changed values (313)'),
      statement('delete from changed where id = $1', ['313']),
      sync,
      query('select 3'),
    ),
  ),
  cleanScenario(
    'pipeline: hundred reads',
    say(...Array.from({ length: 100 }, (_, index) => Buffer.concat([statement('select $1::int', [String(index)]), sync]))),
  ),
  cleanScenario(
    'pipeline: thirty writes',
    say(
      ...Array.from({ length: 30 }, (_, index) =>
        Buffer.concat([statement('insert into changed values ($1)', [String(400 + index)]), sync]),
      ),
    ),
  ),
  cleanScenario(
    'pipeline: thirty deletes, one Sync',
    say(
      ...Array.from({ length: 30 }, (_, index) => statement('delete from changed where id = $1', [String(9_400 + index)])),
      sync,
    ),
  ),
  cleanScenario(
    'pipeline: deletes between reads and writes, one Sync',
    say(
      statement('insert into changed values (340), (341), (342)'),
      statement('delete from changed where id = 340 returning value'),
      statement('select count(*) from changed where id between 340 and 349'),
      statement('update changed set value = $1 where id >= 341 and id <= 342', ['new']),
      statement('insert into changed values (343)'),
      statement('delete from changed where id between 340 and 349'),
      sync,
    ),
    say(query('select count(*) from changed where id between 340 and 349')),
  ),
  cleanScenario(
    'pipeline: deletes, and the last fails',
    say(
      statement('insert into changed values (350)'),
      statement('delete from changed where id = 350'),
      statement('delete from changed where id = 350 and 1/0 = 1'),
      statement('delete from changed where id = 350'),
      sync,
      statement('select count(*) from changed where id = 350'),
      sync,
    ),
  ),
  cleanScenario(
    'pipeline: deletes in the client’s own transaction, one Sync',
    say(
      statement('begin'),
      statement('insert into changed values (351)'),
      statement('delete from changed where id = 351'),
      statement('update changed set value = $1 where id < 0', ['x']),
      statement('commit'),
      sync,
    ),
  ),
  cleanScenario(
    'pipeline: deletes, and a deferred constraint at Sync',
    say(
      statement('insert into child values (352, 9999)'),
      statement('delete from child where id = 351'),
      statement('delete from child where id = 350'),
      sync,
    ),
    say(query('select count(*) from child where id = 352')),
  ),
  cleanScenario(
    'pipeline: deletes with Flush between, and a Sync after nothing',
    say(
      statement('delete from changed where id = 9500'),
      flush,
      statement('delete from changed where id = 9501'),
      flush,
      sync,
      sync,
      statement('select 1'),
      sync,
    ),
  ),
  cleanScenario(
    'pipeline: a delete by name, ten times, and closed',
    say(
      parse('d', 'delete from changed where id = $1 returning id'),
      ...Array.from({ length: 10 }, (_, index) => Buffer.concat([bind('', 'd', [String(9_600 + index)]), execute()])),
      closeStatement('d'),
      sync,
    ),
  ),
  cleanScenario(
    'pipeline: a statement made and used at once, often',
    say(
      parse('m', 'select $1::int'),
      bind('', 'm', ['1']),
      execute(),
      bind('', 'm', ['2']),
      execute(),
      closeStatement('m'),
      sync,
    ),
  ),
  cleanScenario('pipeline: Flush in the middle', say(statement('select 1'), flush, statement('select 2'), flush, sync)),
  cleanScenario(
    'pipeline: created and used in one batch',
    say(
      statement('create temp table piped (a int)'),
      statement('insert into piped values (1)'),
      statement('select * from piped'),
      sync,
    ),
    say(query('drop table piped')),
  ),
  cleanScenario(
    'pipeline: set and used in one batch',
    say(statement("set application_name = 'piped'"), statement('show application_name'), sync),
    say(query('reset application_name')),
  ),
  cleanScenario(
    'pipeline: an unparsed text behind a write',
    say(statement('insert into changed values (320)'), statement('selec'), sync),
    say(query('select count(*) from changed where id = 320')),
  ),
  cleanScenario(
    'pipeline: a write behind a suspended read',
    say(parse('', ten), bind('', '', []), execute('', 2), statement('insert into changed values (321)'), sync),
    say(query('delete from changed where id = 321')),
  ),
  cleanScenario(
    'Parse of three, then used',
    say(parse('p1', 'select 1'), parse('p2', 'insert into changed values (330)'), parse('p3', 'selec'), sync),
    say(bind('', 'p1', []), execute(), sync),
    say(bind('', 'p2', []), execute(), sync),
    say(bind('', 'p3', []), execute(), sync),
    say(query('deallocate all')),
  ),
]
