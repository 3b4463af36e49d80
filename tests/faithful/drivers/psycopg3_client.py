"""psycopg 3: what an application does with it, one line for each thing that it sees."""
import datetime, decimal, os, threading, uuid
import psycopg
from psycopg import pq, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb


def failure(work):
    try:
        return ("no error", work())
    except psycopg.Error as error:
        diag = error.diag
        return (type(error).__name__, error.sqlstate, diag.message_primary, diag.message_detail, diag.constraint_name)


def show(name, value):
    print(f"{name}: {value!r}")


url = os.environ["DRIVER_URL"]
with psycopg.connect(url) as by_url:
    show("by url", by_url.execute("SELECT current_setting('server_version_num')::int > 90000").fetchone())
connection = psycopg.connect(
    host=os.environ["PGHOST"], port=os.environ["PGPORT"], user=os.environ["PGUSER"], password=os.environ["PGPASSWORD"],
    dbname=os.environ["PGDATABASE"], sslmode=os.environ["PGSSLMODE"], application_name="psycopg3",
)
connection.add_notice_handler(lambda diag: show("notice", (diag.severity, diag.sqlstate, diag.message_primary)))
show("parameters", [connection.info.parameter_status(name) for name in ("server_encoding", "client_encoding", "application_name", "DateStyle")])

connection.execute("CREATE TABLE psy (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2), at timestamptz, data jsonb, tags text[], raw bytea, key uuid)")
connection.commit()
moment = datetime.datetime(2024, 2, 3, 4, 5, 6, 789000, datetime.timezone.utc)
for binary in (False, True):
    cursor = connection.cursor(binary=binary)
    row = (10 + binary, "é'\\", decimal.Decimal("12.50"), moment, Jsonb({"a": [1, None]}), ["x", None, "y,z"], b"\x00\xff", uuid.UUID(int=7))
    cursor.execute("INSERT INTO psy VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", row)
    show("count", cursor.rowcount)
    cursor.execute("SELECT * FROM psy WHERE id = %s", (row[0],))
    show("row", cursor.fetchone())
    cursor.execute("SELECT 1::int2, 2::int8, 1.5::float8, true, '2024-01-02'::date, '1 day 02:00'::interval, 'NaN'::float4, NULL, '{1,2}'::int[], '[1,5)'::int4range")
    show("types", cursor.fetchone())
connection.commit()

for turn in range(7):
    cursor = connection.execute("SELECT name FROM psy WHERE id = %s AND %s > 0", (10, turn + 1), prepare=turn == 2 or None)
    show("prepared", cursor.fetchone())
show("prepared names", connection.execute("SELECT count(*) > 0 FROM pg_prepared_statements").fetchone())
connection.commit()

cursor = connection.cursor()
cursor.executemany("INSERT INTO psy (id, name) VALUES (%s, %s)", [(number, f"n{number}") for number in range(100, 120)])
show("executemany", cursor.rowcount)
cursor.executemany("INSERT INTO psy (id, name) VALUES (%s, %s) RETURNING id", [(200, "r"), (201, "s")], returning=True)
returned = [cursor.fetchone()]
while cursor.nextset():
    returned.append(cursor.fetchone())
show("returning", returned)
show("middle of a batch", failure(lambda: cursor.executemany("INSERT INTO psy (id, name) VALUES (%s, %s)", [(300, "a"), (301, None), (302, "c")])))
connection.rollback()
show("after rollback", connection.execute("SELECT count(*) FROM psy").fetchone())
connection.rollback()

show("syntax", failure(lambda: connection.execute("SELEC 1")))
show("in failed transaction", failure(lambda: connection.execute("SELECT 1")))
connection.rollback()
show("unique", failure(lambda: connection.execute("INSERT INTO psy (id, name) VALUES (10, 'again')")))
connection.rollback()
show("bad value", failure(lambda: connection.execute("SELECT %s::int", ("x",))))
connection.rollback()


def inner(conn):
    with conn.transaction():
        conn.execute("INSERT INTO psy (id, name) VALUES (2, 'inner')")
        conn.execute("INSERT INTO psy (id, name) VALUES (2, 'twice')")


try:
    with connection.transaction():
        show("savepoint again", failure(lambda: inner(connection)))
        show("still inside", connection.execute("SELECT array_agg(id) FROM psy WHERE id < 5").fetchone())
        raise psycopg.Rollback()
except psycopg.Rollback:
    pass

with connection.cursor(name="server side") as server:
    server.itersize = 3
    server.execute("SELECT generate_series(1, 10)")
    show("server cursor", [row[0] for row in server])
with connection.cursor(name="scrolls", scrollable=True, row_factory=dict_row) as server:
    server.execute("SELECT id FROM psy ORDER BY id")
    show("fetchmany", server.fetchmany(2))
    server.scroll(-1)
    show("scrolled", server.fetchone())
connection.commit()

with connection.cursor().copy("COPY psy (id, name) FROM STDIN") as copy:
    for number in range(400, 405):
        copy.write_row((number, f"c\t{number}"))
with connection.cursor().copy("COPY psy (id, name) FROM STDIN (FORMAT binary)") as copy:
    copy.set_types(["int4", "text"])
    copy.write_row((405, "binary"))
with connection.cursor().copy("COPY (SELECT id, name FROM psy WHERE id >= 400 ORDER BY id) TO STDOUT") as copy:
    copy.set_types(["int4", "text"])
    show("copied", list(copy.rows()))


def bad_copy():
    with connection.cursor().copy("COPY psy (id, name) FROM STDIN") as copy:
        copy.write("500\tok\nx\tbad\n")


connection.rollback()
show("copy fails", failure(bad_copy))
connection.rollback()


def given_up():
    with connection.cursor().copy("COPY psy (id, name) FROM STDIN") as copy:
        copy.write_row((501, "half"))
        raise ZeroDivisionError


show("copy given up", failure(given_up))
show("status", connection.info.transaction_status)
connection.rollback()

if psycopg.Pipeline.is_supported():
    with connection.pipeline() as pipeline:
        first = connection.execute("INSERT INTO psy (id, name) VALUES (%s, %s) RETURNING id", (600, "p"))
        second = connection.execute("SELECT name FROM psy WHERE id = %s", (600,))
        pipeline.sync()
        show("pipelined", (first.fetchone(), second.fetchone()))
    connection.commit()

    def pipeline_fails():
        with connection.pipeline():
            connection.execute("INSERT INTO psy (id, name) VALUES (601, 'p')")
            connection.execute("SELECT 1/0")
            connection.execute("INSERT INTO psy (id, name) VALUES (602, 'p')")

    show("pipeline fails", failure(pipeline_fails))
    connection.rollback()
    show("none of it", connection.execute("SELECT count(*) FROM psy WHERE id > 600").fetchone())
    connection.commit()

connection.autocommit = True
connection.execute("LISTEN heard")
with psycopg.connect(url, autocommit=True) as other:
    other.execute("NOTIFY heard, 'hello'")
    other.execute("SELECT pg_notify(%s, %s)", ("heard", "again"))
notifications = connection.notifies()
show("notified", [(note.channel, note.payload) for note in (next(notifications), next(notifications))])
notifications.close()
connection.execute("UNLISTEN *")
connection.execute("SELECT tell('to whom it concerns')")

connection.execute("SET statement_timeout = 80")
show("timeout", failure(lambda: connection.execute("SELECT pg_sleep(30)")))
connection.execute("RESET statement_timeout")
asked = threading.Thread(target=lambda: show("cancelled", failure(lambda: connection.execute("SELECT pg_sleep(60) /* psycopg */"))))
asked.start()
with psycopg.connect(url, autocommit=True) as other:
    while other.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60) /* psycopg */'").fetchone()[0] == 0:
        pass
connection.cancel()
asked.join()
show("after cancel", connection.execute("SELECT 1").fetchone())
show("composed", connection.execute(sql.SQL("SELECT {} FROM {}").format(sql.Literal("it's"), sql.Identifier("psy")) + sql.SQL(" LIMIT 1")).fetchone())
show("many statements", [connection.execute("SELECT 1; SELECT 2").fetchone()])
connection.close()

with psycopg.connect(url, autocommit=True, options="-c statement_timeout=5s -c timezone=UTC") as again:
    show("reconnected", again.execute("SELECT count(*), current_setting('statement_timeout') FROM psy").fetchone())
    again.execute("DELETE FROM psy WHERE id = 10")
    again.execute("ALTER TABLE psy ADD COLUMN more int DEFAULT 3")
    show("more", again.execute("SELECT more FROM psy LIMIT 1").fetchone())
    again.execute("DROP TABLE psy")
    show("gone", failure(lambda: again.execute("SELECT * FROM psy")))
