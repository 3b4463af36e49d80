"""psqlODBC by pyodbc: what an application does with it, one line for each thing that it sees."""
import datetime, decimal, os
import pyodbc


def failure(work):
    try:
        return ("no error", work())
    except pyodbc.Error as error:
        return (type(error).__name__, error.args)


def show(name, value):
    print(f"{name}: {value!r}")


place = ";".join([
    "DRIVER={PostgreSQL Unicode}", f"SERVER={os.environ['PGHOST']}", f"PORT={os.environ['PGPORT']}", f"UID={os.environ['PGUSER']}",
    f"PWD={os.environ['PGPASSWORD']}", f"DATABASE={os.environ['PGDATABASE']}", f"SSLmode={os.environ['PGSSLMODE']}",
])
# With its own BEGIN in the same text before the application's statement, as its simple protocol has it, the gate refuses what it must count
# before it is committed, and says so: there the UPDATE comes outside of a transaction.
for more in ("UseServerSidePrepare=1", "UseServerSidePrepare=0", "UseDeclareFetch=1;Fetch=4", "Protocol=7.4-2", "Protocol=7.4-0"):
    show("with", more)
    connection = pyodbc.connect(f"{place};{more}")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE odbc (id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(8,2), at timestamp, raw bytea)")
    connection.commit()
    cursor.execute("INSERT INTO odbc VALUES (?, ?, ?, ?, ?)", 1, "é'\\", decimal.Decimal("1.5"), datetime.datetime(2024, 1, 2, 3, 4, 5), b"\x00\xff")
    cursor.executemany("INSERT INTO odbc (id, name) VALUES (?, ?)", [(n, f"n{n}") for n in range(10, 30)])
    connection.commit()
    show("row", tuple(cursor.execute("SELECT * FROM odbc WHERE id = ?", 1).fetchone()))
    show("many", len(cursor.execute("SELECT id FROM odbc ORDER BY id").fetchall()))
    show("unique", failure(lambda: cursor.execute("INSERT INTO odbc (id, name) VALUES (?, ?)", 1, "x")))
    show("after it", failure(lambda: cursor.execute("SELECT 1").fetchone()[0]))
    connection.rollback()
    show("syntax", failure(lambda: cursor.execute("SELEC 1")))
    connection.rollback()
    show("columns", [(column.column_name, column.type_name) for column in cursor.columns(table="odbc")])
    show("keys", [key.column_name for key in cursor.primaryKeys(table="odbc")])
    connection.autocommit = more != "UseServerSidePrepare=1"
    show("counted", cursor.execute("UPDATE odbc SET name = 'same' WHERE id > ?", 15).rowcount)
    if not connection.autocommit:
        connection.rollback()
    connection.autocommit = True
    cursor.execute("SET statement_timeout = 80")
    show("timeout", failure(lambda: cursor.execute("SELECT pg_sleep(30)").fetchone()))
    cursor.execute("RESET statement_timeout")
    show("called", failure(lambda: cursor.execute("{call tell(?)}", "odbc").fetchone()[0]))
    show("after", failure(lambda: cursor.execute("SELECT 1").fetchone()[0]))
    cursor.execute("DROP TABLE odbc")
    connection.close()
