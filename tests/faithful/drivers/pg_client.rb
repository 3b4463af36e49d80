# Ruby's pg: what an application does with it, one line for each thing that it sees.
require 'pg'

$stdout.sync = true
def show(name, value) = puts("#{name}: #{value.inspect}")

def failure
  ['no error', yield]
rescue PG::Error => e
  [e.class.name, e.result&.error_field(PG::PG_DIAG_SQLSTATE), e.message.strip]
end

PG.connect(ENV['DRIVER_URL']) { |c| show('by url', c.exec('SELECT 1').values) }
db = PG.connect(host: ENV['PGHOST'], port: ENV['PGPORT'], dbname: ENV['PGDATABASE'], user: ENV['PGUSER'], password: ENV['PGPASSWORD'], sslmode: ENV['PGSSLMODE'])
db.set_notice_receiver { |result| show('notice', [result.error_field(PG::PG_DIAG_SEVERITY), result.error_message.strip]) }
db.exec('CREATE TABLE rb (id int PRIMARY KEY, name text NOT NULL, raw bytea, at timestamptz)')
db.type_map_for_results = PG::BasicTypeMapForResults.new(db)
show('inserted', db.exec_params('INSERT INTO rb VALUES ($1, $2, $3, $4) RETURNING *', [1, "é'\\", { value: "\x00\xff".b, format: 1 }, '2024-01-02 03:04:05+00']).to_a)
show('binary', db.exec_params('SELECT 1::int4, 2.5::float8, true, id FROM rb', [], 1).values)
db.prepare('by id', 'SELECT name FROM rb WHERE id = $1')
show('prepared', (1..3).map { |id| db.exec_prepared('by id', [id]).values })
show('described', [db.describe_prepared('by id').paramtype(0), db.describe_prepared('by id').fname(0)])
show('unique', failure { db.exec_params('INSERT INTO rb VALUES ($1, $2)', [1, 'x']) })
show('transaction', failure { db.transaction { |c| c.exec("INSERT INTO rb VALUES (2, 'two')"); c.exec('SAVEPOINT s'); (c.exec('SELECT 1/0') rescue c.exec('ROLLBACK TO s')); c.exec('SELECT count(*) FROM rb').values } })
show('rolled back', failure { db.transaction { |c| c.exec("INSERT INTO rb VALUES (3, 'three')"); c.exec("INSERT INTO rb VALUES (3, 'three')") } })
show('count', db.exec('SELECT count(*) FROM rb').getvalue(0, 0))
db.transaction do |c|
  c.exec('DECLARE c CURSOR FOR SELECT generate_series(1, 7)')
  show('cursor', [c.exec('FETCH 3 FROM c').values, c.exec('FETCH ALL FROM c').values])
end
show('copied in', db.copy_data('COPY rb (id, name) FROM STDIN', PG::TextEncoder::CopyRow.new) { (10..14).each { |n| db.put_copy_data([n, "c#{n}"]) } }.cmd_status)
out = []
db.copy_data('COPY (SELECT id, name FROM rb WHERE id >= 10 ORDER BY id) TO STDOUT') { while (line = db.get_copy_data) do out << line end }
show('copied out', out)
show('copy fails', failure { db.copy_data('COPY rb (id, name) FROM STDIN') { db.put_copy_data("x\ty\n") } })
show('copy given up', (db.copy_data('COPY rb (id, name) FROM STDIN') { raise ArgumentError } rescue [$!.class, db.transaction_status]))
db.discard_results
db.send_query('SELECT generate_series(1, 5)')
db.set_single_row_mode
rows = []
while (result = db.get_result) do rows << [result.result_status, result.values] end
show('single rows', rows)
if db.respond_to?(:enter_pipeline_mode)
  db.enter_pipeline_mode
  db.send_query_params('INSERT INTO rb VALUES ($1, $2)', [20, 'p'])
  db.send_query_params('SELECT 1/$1::int', [0])
  db.send_query_params('SELECT 2', [])
  db.pipeline_sync
  db.send_query_params('SELECT count(*) FROM rb WHERE id = 20', [])
  db.pipeline_sync
  seen = []
  until seen.count(PG::PGRES_PIPELINE_SYNC) == 2
    while (result = db.get_result)
      seen << result.result_status
      seen << result.error_field(PG::PG_DIAG_SQLSTATE) if result.result_status == PG::PGRES_FATAL_ERROR
      seen << result.values if result.result_status == PG::PGRES_TUPLES_OK
      break if result.result_status == PG::PGRES_PIPELINE_SYNC
    end
  end
  db.exit_pipeline_mode
  show('pipeline', seen)
end
db.exec('LISTEN heard_rb')
PG.connect(ENV['DRIVER_URL']) { |c| c.exec("NOTIFY heard_rb, 'payload'") }
db.wait_for_notify(20) { |channel, _, payload| show('notified', [channel, payload]) }
db.exec("SELECT tell('to the receiver')")
db.exec('SET statement_timeout = 80')
show('timeout', failure { db.exec('SELECT pg_sleep(30)') })
db.exec('RESET statement_timeout')
db.send_query('SELECT pg_sleep(30) /* rb */')
PG.connect(ENV['DRIVER_URL']) do |c|
  nil until c.exec("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(30) /* rb */'").getvalue(0, 0) == '1'
end
show('cancel', [db.cancel, failure { db.get_last_result.values }])
show('after cancel', db.exec('SELECT 1').values)
db.exec('DROP TABLE rb')
show('gone', failure { db.exec('SELECT * FROM rb') })
db.reset
show('reset', db.exec('SELECT 2').values)
db.close
