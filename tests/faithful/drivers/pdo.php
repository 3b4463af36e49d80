<?php
// PDO and pgsql of PHP: what an application does with them, one line for each thing that it sees.
function show($name, $value) { echo $name, ': ', json_encode($value, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE), "\n"; }
function failure($work) {
  try { return ['no error', $work()]; } catch (PDOException $error) { return [$error->getCode(), $error->getMessage()]; }
}
$place = sprintf('pgsql:host=%s;port=%s;dbname=%s;sslmode=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'), getenv('PGSSLMODE'));
foreach ([false, true] as $emulated) {
  $db = new PDO($place, getenv('PGUSER'), getenv('PGPASSWORD'), [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => $emulated]);
  show('emulated', $emulated);
  show('version', strlen($db->getAttribute(PDO::ATTR_SERVER_VERSION)) > 1);
  $db->exec('CREATE TABLE pdo (id serial PRIMARY KEY, name text NOT NULL, flag boolean, price numeric)');
  $insert = $db->prepare('INSERT INTO pdo (name, flag, price) VALUES (:name, :flag, :price)');
  foreach (['a', "é'\\?", ':b'] as $name) {
    $insert->bindValue(':name', $name);
    $insert->bindValue(':flag', true, PDO::PARAM_BOOL);
    $insert->bindValue(':price', '1.5');
    show('inserted', [$insert->execute(), $insert->rowCount(), $db->lastInsertId()]);
  }
  $select = $db->prepare('SELECT * FROM pdo WHERE id = ?');
  foreach ([1, 2, 3, 4] as $id) { $select->execute([$id]); show('row', $select->fetch(PDO::FETCH_ASSOC)); }
  show('meta', array_map(fn($at) => $select->getColumnMeta($at)['native_type'] ?? null, [0, 1, 2, 3]));
  show('unique', failure(fn() => $db->exec("INSERT INTO pdo (id, name) VALUES (1, 'x')")));
  show('null', failure(fn() => $db->prepare('INSERT INTO pdo (name) VALUES (?)')->execute([null])));
  $db->beginTransaction();
  $db->exec("INSERT INTO pdo (name) VALUES ('inside')");
  $db->exec('SAVEPOINT s');
  show('divided', failure(fn() => $db->query('SELECT 1/0')));
  show('failed', failure(fn() => $db->query('SELECT 1')));
  $db->exec('ROLLBACK TO SAVEPOINT s');
  show('committed', [$db->inTransaction(), $db->commit()]);
  $db->beginTransaction();
  $cursor = $db->prepare('SELECT generate_series(1, 6)', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
  $cursor->execute();
  show('cursor', [$cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_LAST), $cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_PRIOR), $cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_FIRST)]);
  $cursor = null;
  $db->rollBack();
  show('copied in', $db->pgsqlCopyFromArray('pdo', ["10\tc\t\\N\t\\N", "11\td\tt\t2"]));
  show('copied out', $db->pgsqlCopyToArray('pdo', "\t", '\\\\N', 'id,name'));
  show('copy fails', failure(fn() => $db->pgsqlCopyFromArray('pdo', ["x\tc"])));
  $db->exec('LISTEN heard_pdo');
  $db->exec("NOTIFY heard_pdo, 'payload'");
  $note = $db->pgsqlGetNotify(PDO::FETCH_ASSOC, 5000);
  show('notified', [$note['message'], $note['payload']]);
  $db->exec('SET statement_timeout = 80');
  show('timeout', failure(fn() => $db->query('SELECT pg_sleep(30)')));
  $db->exec('RESET statement_timeout');
  show('many', $db->exec("UPDATE pdo SET price = 9 WHERE id = 1; DELETE FROM pdo WHERE id = 2"));
  $db->exec('DROP TABLE pdo');
  show('gone', failure(fn() => $db->query('SELECT * FROM pdo')));
  $db = null;
}
$raw = pg_connect(sprintf('host=%s port=%s dbname=%s user=%s password=%s sslmode=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'), getenv('PGUSER'), getenv('PGPASSWORD'), getenv('PGSSLMODE')));
show('parameter', pg_parameter_status($raw, 'client_encoding'));
pg_query($raw, 'CREATE TABLE php (id int, name text)');
show('insert', pg_fetch_all(pg_query_params($raw, 'INSERT INTO php VALUES ($1, $2) RETURNING *', [1, 'x'])));
show('converted', pg_insert($raw, 'php', ['id' => 2, 'name' => 'y']) !== false);
show('selected', pg_select($raw, 'php', ['id' => 2]));
show('metadata', array_keys(pg_meta_data($raw, 'php')));
pg_prepare($raw, 'p', 'SELECT name FROM php WHERE id = $1');
show('prepared', pg_fetch_result(pg_execute($raw, 'p', [2]), 0, 0));
pg_query($raw, "SELECT tell('a last notice')");
show('notice', pg_last_notice($raw));
pg_send_query($raw, 'SELECT pg_sleep(30) /* php */');
$other = new PDO($place, getenv('PGUSER'), getenv('PGPASSWORD'));
while ($other->query("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(30) /* php */'")->fetchColumn() == 0);
$other = null;
show('cancelled', [pg_cancel_query($raw), pg_fetch_result(pg_query($raw, 'SELECT 1'), 0, 0)]);
pg_send_query($raw, 'SELECT 1; SELECT 1/0; SELECT 2');
while ($result = pg_get_result($raw)) show('result', [pg_result_status($result), pg_result_error_field($result, PGSQL_DIAG_SQLSTATE)]);
pg_query($raw, 'DROP TABLE php');
pg_close($raw);
