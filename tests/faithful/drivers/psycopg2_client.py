"""psycopg2: what an application does with it, one line for each thing that it sees."""
import datetime, decimal, io, os, select
import psycopg2, psycopg2.extras, psycopg2.extensions


def failure(work):
    try:
        return ("no error", work())
    except psycopg2.Error as error:
        return (type(error).__name__, error.pgcode, str(error).strip())


def show(name, value):
    print(f"{name}: {value!r}")


url = os.environ["DRIVER_URL"]
by_url = psycopg2.connect(url)
with by_url, by_url.cursor() as cursor:
    cursor.execute("SELECT 1")
    show("by url", cursor.fetchone())
by_url.close()
connection = psycopg2.connect(
    host=os.environ["PGHOST"], port=os.environ["PGPORT"], user=os.environ["PGUSER"], password=os.environ["PGPASSWORD"],
    dbname=os.environ["PGDATABASE"], sslmode=os.environ["PGSSLMODE"],
)
psycopg2.extras.register_uuid()
cursor = connection.cursor()
cursor.execute("CREATE TABLE psy2 (id serial PRIMARY KEY, name text NOT NULL, price numeric, at timestamptz, data jsonb, tags text[], raw bytea)")
cursor.execute(
    "INSERT INTO psy2 (name, price, at, data, tags, raw) VALUES (%s, %s, %s, %s, %s, %s) RETURNING *",
    ("é'\\", decimal.Decimal("1.10"), datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), psycopg2.extras.Json({"a": 1}), ["x", None], b"\x00\\\xff"),
)
row = cursor.fetchone()
show("row", row[:6] + (bytes(row[6]),))
show("columns", [(column.name, column.type_code) for column in cursor.description])
psycopg2.extras.execute_values(cursor, "INSERT INTO psy2 (name, price) VALUES %s", [(f"v{n}", n) for n in range(250)], page_size=100)
psycopg2.extras.execute_batch(cursor, "INSERT INTO psy2 (name) VALUES (%s)", [(f"b{n}",) for n in range(25)], page_size=10)
cursor.executemany("INSERT INTO psy2 (name) VALUES (%s)", [("m1",), ("m2",)])
connection.commit()
show("middle of a batch", failure(lambda: psycopg2.extras.execute_batch(cursor, "INSERT INTO psy2 (name) VALUES (%s)", [("ok",), (None,), ("never",)])))
show("failed", failure(lambda: cursor.execute("SELECT 1")))
connection.rollback()
cursor.execute("SELECT count(*) FROM psy2")
show("count", cursor.fetchone())
cursor.execute("SAVEPOINT a")
show("unique", failure(lambda: cursor.execute("INSERT INTO psy2 (id, name) VALUES (1, 'again')")))
cursor.execute("ROLLBACK TO SAVEPOINT a")
cursor.execute("RELEASE SAVEPOINT a")
connection.commit()
with connection.cursor("server side", cursor_factory=psycopg2.extras.DictCursor) as server:
    server.itersize = 50
    server.execute("SELECT id, name FROM psy2 ORDER BY id")
    show("server cursor", sum(1 for _ in server))
with connection.cursor("held", withhold=True, scrollable=True) as held:
    held.execute("SELECT id FROM psy2 ORDER BY id")
    connection.commit()
    held.scroll(5, mode="absolute")
    show("held", held.fetchmany(2))
connection.commit()
cursor.copy_from(io.StringIO("c1\t1\nc2\t\\N\n"), "psy2", columns=("name", "price"))
cursor.copy_expert("COPY psy2 (name, price) FROM STDIN WITH (FORMAT csv, HEADER)", io.StringIO("name,price\n\"a,b\",3\n"))
out = io.StringIO()
cursor.copy_expert("COPY (SELECT name, price FROM psy2 WHERE name LIKE 'c%' OR price = 3 ORDER BY 1) TO STDOUT", out)
show("copied", out.getvalue())
show("copy fails", failure(lambda: cursor.copy_from(io.StringIO("c3\tnot a number\n"), "psy2", columns=("name", "price"))))
connection.rollback()
show("bad literal", failure(lambda: cursor.execute("SELECT 'x'::int")))
connection.rollback()
connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
cursor.execute("SHOW transaction_isolation")
show("isolation", cursor.fetchone())
connection.rollback()
connection.set_session(readonly=True)
show("read only", failure(lambda: cursor.execute("INSERT INTO psy2 (name) VALUES ('no')")))
connection.rollback()
connection.set_session(readonly=False, isolation_level=psycopg2.extensions.ISOLATION_LEVEL_DEFAULT, autocommit=True)
cursor.execute("LISTEN heard2")
cursor.execute("NOTIFY heard2, 'p'")
while not connection.notifies:
    select.select([connection], [], [], 1)
    connection.poll()
show("notified", [(note.channel, note.payload) for note in connection.notifies])
cursor.execute("SELECT tell('loud')")
show("notices", connection.notices)
cursor.execute("SET statement_timeout = 80")
show("timeout", failure(lambda: cursor.execute("SELECT pg_sleep(30)")))
cursor.execute("RESET statement_timeout")
cursor.callproc("tell", ["by callproc"])
show("callproc", cursor.fetchone())
show("call", [cursor.execute("CALL in_and_out(1, 2)"), cursor.fetchone()])
cursor.execute("DROP TABLE psy2")
show("gone", failure(lambda: cursor.execute("SELECT * FROM psy2")))
connection.close()
show("closed", failure(lambda: connection.cursor()))
