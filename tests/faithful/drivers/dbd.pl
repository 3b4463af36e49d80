# Perl's DBD::Pg: what an application does with it, one line for each thing that it sees.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:pg_types :async);

$| = 1;
binmode STDOUT, ':utf8';
sub show { my ($name, @values) = @_; print "$name: ", join(' | ', map { defined $_ ? (ref $_ ? '{' . join(',', map { $_ // 'undef' } @$_) . '}' : $_) : 'undef' } @values), "\n"; }
sub failure { my ($handle, $work) = @_; my $got = eval { $work->() }; return $@ ? ($handle->state, $handle->errstr) : ('no error', $got); }

my $by = "dbi:Pg:host=$ENV{PGHOST};port=$ENV{PGPORT};dbname=$ENV{PGDATABASE};sslmode=$ENV{PGSSLMODE}";
my $db = DBI->connect($by, $ENV{PGUSER}, $ENV{PGPASSWORD}, { RaiseError => 1, PrintError => 0, AutoCommit => 1, PrintWarn => 0, pg_enable_utf8 => 1 });
local $SIG{__WARN__} = sub { print "notice: $_[0]" };
show('pinged', $db->ping);
$db->do('CREATE TABLE dbd (id int PRIMARY KEY, name text NOT NULL, raw bytea, tags text[])');
my $insert = $db->prepare('INSERT INTO dbd VALUES (?, ?, ?, ?)');
$insert->bind_param(3, undef, { pg_type => PG_BYTEA });
show('inserted', $insert->execute($_, "n$_ \x{e9}'\\", "\x00\xff", ['x', undef])) for 1 .. 5;
my $select = $db->prepare('SELECT * FROM dbd WHERE id = ?');
for my $id (1 .. 4) { $select->execute($id); my @row = $select->fetchrow_array; $row[2] = unpack 'H*', $row[2]; show('row', @row); }
my @status;
show('execute_array', failure($insert, sub { $db->prepare('INSERT INTO dbd (id, name) VALUES (?, ?)')->execute_array({ ArrayTupleStatus => \@status }, [10 .. 14], [map { "a$_" } 10 .. 14]) }));
show('placeholders', $db->selectrow_array('SELECT name FROM dbd WHERE id = $1 AND $2 > 0', undef, 10, 1));
show('named', $db->selectrow_array(do { my $s = $db->prepare('SELECT :a::int + :b::int'); $s->bind_param(':a', 2); $s->bind_param(':b', 3); $s }));
show('unique', failure($db, sub { $db->do("INSERT INTO dbd (id, name) VALUES (1, 'again')") }));
show('null', failure($insert, sub { $insert->execute(6, undef, undef, undef) }));
$db->begin_work;
$db->do("INSERT INTO dbd (id, name) VALUES (20, 'outer')");
$db->pg_savepoint('inside');
show('syntax', failure($db, sub { $db->do('SELEC 1') }));
show('failed', failure($db, sub { $db->do('SELECT 1') }));
$db->pg_rollback_to('inside');
$db->pg_release('inside');
$db->commit;
$db->begin_work;
$db->do('DECLARE rows CURSOR FOR SELECT generate_series(1, 10)');
show('cursor', map { $_->[0] } @{ $db->selectall_arrayref('FETCH 4 FROM rows') });
$db->rollback;
$db->do('COPY dbd (id, name) FROM STDIN');
$db->pg_putcopydata("30\tc\n31\td\n");
show('copied in', $db->pg_putcopyend);
$db->do('COPY (SELECT id, name FROM dbd WHERE id >= 30 ORDER BY id) TO STDOUT');
my $line = '';
while ($db->pg_getcopydata($line) >= 0) { chomp $line; show('copied out', $line); }
$db->do('COPY dbd (id, name) FROM STDIN');
$db->pg_putcopydata("x\td\n");
show('copy fails', failure($db, sub { $db->pg_putcopyend }));
$db->do('LISTEN heard_dbd');
$db->do("NOTIFY heard_dbd, 'payload'");
my $note = $db->pg_notifies;
show('notified', $note->[0], $note->[2]);
$db->do("SELECT tell('as a warning')");
$db->do('SET statement_timeout = 80');
show('timeout', failure($db, sub { $db->do('SELECT pg_sleep(30)') }));
$db->do('RESET statement_timeout');
$db->do('SELECT pg_sleep(30) /* dbd */', { pg_async => PG_ASYNC });
my $other = DBI->connect($by, $ENV{PGUSER}, $ENV{PGPASSWORD}, { RaiseError => 1 });
1 until $other->selectrow_array("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(30) /* dbd */'");
$other->disconnect;
show('asynchronous', $db->pg_ready, $db->pg_cancel);
show('after cancel', $db->selectrow_array('SELECT 1'));
show('columns', map { $_->[3] . ' ' . $_->[5] } @{ $db->column_info(undef, 'public', 'dbd', '%')->fetchall_arrayref });
show('key', $db->primary_key(undef, 'public', 'dbd'));
$db->do('CREATE TEMP TABLE counted_here (id serial, a int)');
$db->do('INSERT INTO counted_here (a) VALUES (1)');
show('last id', $db->last_insert_id(undef, undef, undef, undef, { sequence => 'counted_here_id_seq' }));
$db->do('DROP TABLE dbd');
show('gone', failure($db, sub { $db->do('SELECT * FROM dbd') }));
$db->disconnect;
show('reconnected', DBI->connect($by, $ENV{PGUSER}, $ENV{PGPASSWORD}, { RaiseError => 1 })->clone->selectrow_array('SELECT 2'));
