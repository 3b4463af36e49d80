"""SQLAlchemy over psycopg2 with reflection and the ORM, and alembic migrating up and down; one line for each thing that it sees."""
import contextlib, io, os, tempfile, warnings
import sqlalchemy as sa
from sqlalchemy.orm import Session, declarative_base, relationship
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

warnings.simplefilter("ignore")
Base = declarative_base()


class Author(Base):
    __tablename__ = "sa_author"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50), nullable=False, unique=True)
    books = relationship("Book", back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "sa_book"
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.Text)
    price = sa.Column(sa.Numeric(8, 2))
    data = sa.Column(sa.JSON)
    author_id = sa.Column(sa.ForeignKey("sa_author.id"), nullable=False)
    author = relationship("Author", back_populates="books")


def show(name, value):
    print(f"{name}: {value!r}")


url = os.environ["DRIVER_URL"].replace("postgres://", "postgresql+psycopg2://", 1)
engine = sa.create_engine(url, pool_pre_ping=True, pool_size=2)
Base.metadata.create_all(engine)
with Session(engine) as session:
    ada = Author(name="Ada", books=[Book(title=f"book {n}", price=n, data={"n": n}) for n in range(30)])
    session.add_all([ada, Author(name="Grace")])
    session.commit()
    show("loaded", [(a.name, len(a.books)) for a in session.query(Author).order_by(Author.name)])
    with contextlib.suppress(sa.exc.IntegrityError):
        with session.begin_nested():
            session.add(Author(name="Ada"))
            session.flush()
    session.query(Book).filter(Book.title == "book 3").update({"price": 33})
    ada.books.pop()
    session.commit()
    show("joined", session.execute(sa.select(Author.name, sa.func.sum(Book.price)).join(Book).group_by(Author.name)).all())
    try:
        session.add(Author(name=None))
        session.commit()
    except sa.exc.IntegrityError as error:
        show("refused", (error.orig.pgcode, str(error.orig).strip()))
        session.rollback()
with engine.connect().execution_options(stream_results=True) as connection:
    show("streamed", sum(1 for _ in connection.execute(sa.text("SELECT generate_series(1, 2500)")).yield_per(100)))
inspector = sa.inspect(engine)
show("tables", sorted(name for name in inspector.get_table_names() if name.startswith("sa_")))
show("columns", [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns("sa_book")])
show("foreign keys", inspector.get_foreign_keys("sa_book"))
show("unique", inspector.get_unique_constraints("sa_author"))
with engine.connect() as connection:
    found = compare_metadata(MigrationContext.configure(connection, opts={"include_object": lambda o, name, *_: str(name).startswith("sa_")}), Base.metadata)
    show("autogenerate", [one[0] if isinstance(one, tuple) else one for one in found])

with tempfile.TemporaryDirectory() as folder:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", f"{folder}/migrations")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    os.makedirs(f"{folder}/migrations/versions")
    with open(f"{folder}/migrations/env.py", "w") as file:
        file.write(
            "from alembic import context\nimport sqlalchemy as sa\n"
            "engine = sa.create_engine(context.config.get_main_option('sqlalchemy.url'))\n"
            "with engine.connect() as connection:\n"
            "    context.configure(connection=connection, target_metadata=None, transaction_per_migration=True)\n"
            "    with context.begin_transaction():\n        context.run_migrations()\n"
        )
    for number, down, up_text, down_text in (
        ("one", None, "op.create_table('sa_moved', sa.Column('id', sa.Integer, primary_key=True), sa.Column('what', sa.String(20)))", "op.drop_table('sa_moved')"),
        ("two", "one", "op.add_column('sa_moved', sa.Column('extra', sa.Integer, server_default='7')); op.create_index('sa_moved_what', 'sa_moved', ['what']); op.bulk_insert(sa.table('sa_moved', sa.column('what')), [{'what': 'a'}, {'what': 'b'}])", "op.drop_index('sa_moved_what'); op.drop_column('sa_moved', 'extra')"),
        ("three", "two", "op.alter_column('sa_moved', 'what', type_=sa.Text(), nullable=False); op.execute('SELECT nothing FROM nowhere')", "pass"),
    ):
        with open(f"{folder}/migrations/versions/{number}.py", "w") as file:
            file.write(f"from alembic import op\nimport sqlalchemy as sa\nrevision = {number!r}\ndown_revision = {down!r}\ndef upgrade():\n    {up_text}\ndef downgrade():\n    {down_text}\n")
    command.upgrade(config, "two")
    with engine.connect() as connection:
        show("migrated", connection.execute(sa.text("SELECT what, extra FROM sa_moved ORDER BY 1")).all())
    try:
        command.upgrade(config, "three")
    except sa.exc.ProgrammingError as error:
        show("migration fails", (error.orig.pgcode, str(error.orig).splitlines()[0]))
    show("column as before", str(next(c for c in sa.inspect(engine).get_columns("sa_moved") if c["name"] == "what")["type"]))
    command.downgrade(config, "one")
    show("down", [c["name"] for c in sa.inspect(engine).get_columns("sa_moved")])
    command.downgrade(config, "base")
    show("base", sa.inspect(engine).has_table("sa_moved"))
with engine.begin() as connection:
    connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
Base.metadata.drop_all(engine)
engine.dispose()
