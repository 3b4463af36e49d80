import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Place } from '../conformance/postgres-wire/pair.ts'

/** How a driver is asked for encryption. `verify-full` means by this file of authorities. */
export type Encryption =
  | { readonly mode: 'disable' | 'prefer' | 'require' }
  | { readonly mode: 'verify-full'; readonly authorities: string }

/** A script in `drivers/` that does with one driver what applications do, and prints a line for each thing that it sees. */
export interface Driver {
  readonly name: string
  /** The program and its words; the script is named in them. */
  readonly command: readonly string[]
  /** Modes that this driver knows, of those that are tried; all of them unless it says so. */
  readonly modes?: readonly Encryption['mode'][]
}

const script = (name: string): string => fileURLToPath(new URL(`drivers/${name}`, import.meta.url))
/** Debian's, whatever else is called so on PATH: the drivers are packages of its. */
const python = '/usr/bin/python3'
const jars = ['postgresql', 'scram-client', 'scram-common', 'saslprep', 'stringprep'].map((jar) => `/usr/share/java/${jar}.jar`)

export const drivers: readonly Driver[] = [
  { name: 'psycopg 3', command: [python, script('psycopg3_client.py')] },
  { name: 'psycopg2', command: [python, script('psycopg2_client.py')] },
  { name: 'asyncpg', command: [python, script('asyncpg_client.py')] },
  { name: 'SQLAlchemy and alembic', command: [python, script('sqlalchemy_client.py')] },
  { name: 'ODBC', command: [python, script('odbc_client.py')] },
  { name: 'DBD::Pg', command: ['/usr/bin/perl', script('dbd.pl')] },
  { name: 'Ruby pg', command: ['/usr/bin/ruby', script('pg_client.rb')] },
  { name: 'PDO', command: ['/usr/bin/php', script('pdo.php')] },
  { name: 'pgjdbc', command: ['/usr/bin/java', '-cp', jars.join(':'), script('Jdbc.java')] },
  { name: 'lib/pq', command: ['/usr/bin/go', 'run', script('libpq.go')], modes: ['disable', 'require', 'verify-full'] },
]

const pythonAsks = (connect: string, fails: string, notices: string): string => `import os
${connect}
try:
    connection.cursor().execute("DROP TABLE precious")
    print("done")
except ${fails} as error:
    print(error.sqlstate if hasattr(error, "sqlstate") else error.pgcode, error)
${notices}`
const php = `$db = new PDO(sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE')), getenv('PGUSER'), getenv('PGPASSWORD'));
try { $db->exec('DROP TABLE precious'); echo "done"; } catch (PDOException $error) { echo $error->getCode(), ' ', $error->getMessage(); }`
const perl = `use DBI; my $db = DBI->connect("dbi:Pg:host=$ENV{PGHOST};port=$ENV{PGPORT};dbname=$ENV{PGDATABASE}", $ENV{PGUSER}, $ENV{PGPASSWORD}, { PrintError => 0 });
print $db->do('DROP TABLE precious') ? 'done' : $db->state . ' ' . $db->errstr;`
const ruby = `require 'pg'
begin
  PG.connect(ENV['DRIVER_URL']).exec('DROP TABLE precious')
  puts 'done'
rescue PG::Error => e
  puts e.result.error_field(PG::PG_DIAG_SQLSTATE), e.message
end`

/** The same, each in a few lines: an agent that does not know of the gate drops a table, and prints what its driver tells it. */
export const askers: readonly Driver[] = [
  {
    name: 'psycopg 3',
    command: [
      python,
      '-c',
      pythonAsks(
        'import psycopg\nconnection = psycopg.connect(os.environ["DRIVER_URL"], autocommit=True)\nconnection.add_notice_handler(lambda diag: print(diag.message_primary))',
        'psycopg.Error',
        '',
      ),
    ],
  },
  {
    name: 'psycopg2',
    command: [
      python,
      '-c',
      pythonAsks(
        'import psycopg2\nconnection = psycopg2.connect(os.environ["DRIVER_URL"])\nconnection.autocommit = True',
        'psycopg2.Error',
        'print(connection.notices)',
      ),
    ],
  },
  { name: 'PDO', command: ['/usr/bin/php', '-r', php] },
  { name: 'DBD::Pg', command: ['/usr/bin/perl', '-e', perl] },
  { name: 'Ruby pg', command: ['/usr/bin/ruby', '-e', ruby] },
]

/** Both outputs, a line each, without what differs from one place to the other by its nature: ports, names, process ids. */
export function runDriver({ command }: Driver, place: Place, encryption: Encryption, folder: string): Promise<readonly string[]> {
  const [program = '', ...words] = command
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      cwd: folder,
      env: environmentOf(place, encryption, folder),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    let said = ''
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString('utf8')))
    child.stderr.on('data', (piece: Buffer) => (said += piece.toString('utf8')))
    child.once('error', reject)
    child.once('close', (code) => resolve([...linesOf(out, place), ...linesOf(said, place), `ended with ${code}`]))
  })
}

function environmentOf(
  { port, user, password, database }: Place,
  encryption: Encryption,
  folder: string,
): Record<string, string> {
  const host = encryption.mode === 'verify-full' ? 'localhost' : '127.0.0.1'
  const authorities = encryption.mode === 'verify-full' ? encryption.authorities : null
  const query = new URLSearchParams({ sslmode: encryption.mode, ...(authorities === null ? {} : { sslrootcert: authorities }) })
  return {
    PATH: '/usr/bin:/bin',
    HOME: folder,
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    PYTHONDONTWRITEBYTECODE: '1',
    // Debian keeps Go's libraries as a workspace of the time before modules.
    GO111MODULE: 'off',
    GOPATH: '/usr/share/gocode',
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
    PGSSLMODE: encryption.mode,
    ...(authorities === null ? {} : { PGSSLROOTCERT: authorities }),
    DRIVER_URL: `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}/${database}?${query.toString()}`,
  }
}

function linesOf(text: string, { port, user, database }: Place): readonly string[] {
  return text
    .replaceAll(String(port), 'PORT')
    .replaceAll(user, 'USER')
    .replaceAll(database, 'DATABASE')
    .replaceAll(/\bPID \d+/g, 'PID')
    .replaceAll(/\(0x[0-9a-f]+\)/g, '(ADDRESS)')
    .split('\n')
    .filter((line) => line !== '')
}
