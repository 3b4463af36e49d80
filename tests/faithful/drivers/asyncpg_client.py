"""asyncpg: binary, prepared statements, pipelines of its own; one line for each thing that it sees."""
import asyncio, datetime, decimal, io, os, uuid
import asyncpg


def show(name, value):
    print(f"{name}: {value!r}")


async def failure(work):
    try:
        return ("no error", await work)
    except asyncpg.PostgresError as error:
        return (type(error).__name__, error.sqlstate, str(error), error.detail, error.hint)


async def main():
    url = os.environ["DRIVER_URL"]
    by_url = await asyncpg.connect(url)
    show("by url", await by_url.fetchval("SELECT 1"))
    await by_url.close()
    connection = await asyncpg.connect(
        host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]), user=os.environ["PGUSER"], password=os.environ["PGPASSWORD"],
        database=os.environ["PGDATABASE"], ssl=None if os.environ["PGSSLMODE"] == "disable" else os.environ["PGSSLMODE"],
        server_settings={"application_name": "asyncpg"},
    )
    connection.add_log_listener(lambda _, message: show("notice", (message.severity, message.sqlstate, message.message)))
    settings = connection.get_settings()
    show("settings", (settings.server_encoding, settings.client_encoding, settings.application_name, settings.standard_conforming_strings))
    show("script", await connection.execute("CREATE TABLE apg (id int PRIMARY KEY, name text NOT NULL, price numeric, at timestamptz, tags text[], raw bytea, key uuid, mood mood, duo pair); INSERT INTO apg (id, name) VALUES (1, 'first')"))
    values = (2, "é'\\", decimal.Decimal("1.50"), datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc), ["x", None], b"\x00\xff", uuid.UUID(int=9), "glad", (1, "one"))
    show("insert", await connection.execute("INSERT INTO apg VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", *values))
    show("row", dict(await connection.fetchrow("SELECT * FROM apg WHERE id = $1", 2)))
    show("types", tuple(await connection.fetchrow("SELECT 1::int2, 2::int8, 1.5::float8, true, '2024-01-02'::date, '1 day'::interval, '{1,2}'::int[], '[1,5)'::int4range, '1.2.3.4'::inet, NULL, '{\"a\":1}'::jsonb, point(1,2), 5::small")))
    statement = await connection.prepare("SELECT name FROM apg WHERE id = $1")
    show("prepared", [await statement.fetchval(number) for number in (1, 2, 3)])
    show("attributes", [(attribute.name, attribute.type.name) for attribute in statement.get_attributes()])
    show("parameters", [kind.name for kind in statement.get_parameters()])
    show("explained", bool(await statement.explain(1)))
    show("many", await connection.executemany("INSERT INTO apg (id, name) VALUES ($1, $2)", [(number, f"n{number}") for number in range(10, 60)]))
    show("middle of a batch", await failure(connection.executemany("INSERT INTO apg (id, name) VALUES ($1, $2)", [(100, "a"), (10, "taken"), (101, "b")])))
    show("all or none", await connection.fetchval("SELECT count(*) FROM apg"))
    show("null", await failure(connection.execute("INSERT INTO apg (id, name) VALUES ($1, $2)", 5, None)))
    show("syntax", await failure(connection.fetch("SELEC 1")))
    show("no table", await failure(connection.fetch("SELECT * FROM nothing WHERE a = $1", 1)))
    async with connection.transaction():
        await connection.execute("INSERT INTO apg (id, name) VALUES (3, 'outer')")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO apg (id, name) VALUES (3, 'twice')")
        except asyncpg.UniqueViolationError as error:
            show("savepoint", error.sqlstate)
        show("inside", await connection.fetchval("SELECT name FROM apg WHERE id = 3"))
    try:
        async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
            show("read only", await failure(connection.execute("DELETE FROM apg WHERE id = 3")))
            raise asyncio.CancelledError
    except asyncio.CancelledError:
        show("rolled back", connection.is_in_transaction())
    async with connection.transaction():
        show("cursor", [record["id"] async for record in connection.cursor("SELECT id FROM apg ORDER BY id", prefetch=7)])
        cursor = await connection.cursor("SELECT generate_series(1, $1)", 20)
        show("fetched", [await cursor.forward(3), [r[0] for r in await cursor.fetch(4)], (await cursor.fetchrow())[0]])
    show("copied in", await connection.copy_records_to_table("apg", records=[(200, "c"), (201, "d")], columns=["id", "name"]))
    show("copied in", await connection.copy_to_table("apg", source=io.BytesIO(b"202,e\n"), columns=["id", "name"], format="csv"))
    out = io.BytesIO()
    show("copied out", (await connection.copy_from_query("SELECT id, name FROM apg WHERE id >= $1 ORDER BY id", 200, output=out), out.getvalue()))
    out = io.BytesIO()
    show("copied binary", (await connection.copy_from_table("apg", columns=["id"], output=out, format="binary"), len(out.getvalue())))
    show("copy fails", await failure(connection.copy_to_table("apg", source=io.BytesIO(b"x,e\n"), columns=["id", "name"], format="csv")))
    heard = asyncio.Queue()
    await connection.add_listener("heard3", lambda _, __, channel, payload: heard.put_nowait((channel, payload)))
    await connection.execute("NOTIFY heard3, 'one'; SELECT pg_notify('heard3', 'two')")
    show("notified", [await heard.get(), await heard.get()])
    await connection.reset()
    await connection.execute("SELECT tell('asyncpg hears')")
    show("timeout", await failure_of_timeout(connection))
    await connection.execute("SET statement_timeout = 80")
    show("statement timeout", await failure(connection.fetch("SELECT pg_sleep(30)")))
    await connection.execute("RESET statement_timeout")
    show("after", await connection.fetchval("SELECT 1"))
    await connection.execute("ALTER TABLE apg ADD COLUMN more int")
    show("stale plan", await failure(statement.fetchval(1)))
    show("star", len(await connection.fetchrow("SELECT * FROM apg LIMIT 1")))
    pool = await asyncpg.create_pool(url, min_size=2, max_size=3)
    show("pool", await asyncio.gather(*[pool.fetchval("SELECT $1::int", number) for number in range(8)]))
    await pool.close()
    await connection.execute("DROP TABLE apg")
    await connection.close()
    again = await asyncpg.connect(url, statement_cache_size=0)
    show("reconnected", await again.fetchval("SELECT to_regclass('apg')"))
    await again.close()


async def failure_of_timeout(connection):
    try:
        return await connection.fetch("SELECT pg_sleep(60)", timeout=0.2)
    except asyncio.TimeoutError:
        return "timed out, cancelled"


asyncio.run(main())
